"""Theory 5.2: the temperatures of collapse at extreme imbalance, against its conditions written out on their own."""

import numpy as np
import pytest
from scipy.optimize import brentq

from geometry.optimum import solve
from geometry.thresholds import critical_temperature, threshold

LISTED = [
    (3, {"negatives": 1}, 6.00), (3, {"negatives": 4}, 9.78), (3, {"negatives": 16}, 10.74), (3, {}, 11.06),
    (3, {"loss": "exp"}, 12.25), (3, {"loss": "lme"}, 9.65), (5, {"negatives": 1}, 30.3), (5, {"negatives": 4}, 52.0),
    (5, {"negatives": 16}, 57.4), (5, {}, 59.3), (5, {"loss": "exp"}, 60.4), (5, {"loss": "lme"}, 58.1),
    (10, {"negatives": 1}, 160), (10, {"negatives": 4}, 280), (10, {"negatives": 16}, 309), (10, {}, 319),
    (10, {"loss": "exp"}, 320), (10, {"loss": "lme"}, 318), (3, {"loss": "supcon"}, 0.2051),
    (4, {"loss": "supcon"}, 0.1203), (5, {"loss": "supcon"}, 0.0835), (10, {"loss": "supcon"}, 0.0301),
    (20, {"loss": "supcon"}, 0.0120),
]  # fmt: skip


@pytest.mark.parametrize(("majority", "options", "listed"), LISTED)
def test_listed_values(majority, options, listed):
    found = critical_temperature(majority, **options)
    assert found.side == ("below" if options.get("loss") == "supcon" else "above")
    decimals = len(f"{listed}".partition(".")[2])
    assert found.tau_c == pytest.approx(listed, abs=0.501 * 10.0**-decimals)


def enumerated(majority, tau, k, q):
    """Log of [C1 a1 + (C1-1) a2]^2 over 4 C1 (C1-1) a3 a4 of log(1 + (Q/k) sum e^t), differentiated by hand."""
    near, far = -1 / tau, -majority / ((majority - 1) * tau)

    def slope(t, others):
        return q / k * np.exp(t) / (1 + q / k * (np.exp(t) + (k - 1) * np.exp(others)))

    left = majority * slope(near, far) + (majority - 1) * slope(near, near)
    return 2 * np.log(left) - np.log(4 * majority * (majority - 1) * slope(far, far) * slope(0.0, near))


@pytest.mark.parametrize("majority", [3, 6])
@pytest.mark.parametrize(("k", "q"), [(1, 1.0), (3, 1.0), (8, "plain")])
def test_finite_numbers_of_negatives_by_hand(majority, k, q):
    weight = float(k) if q == "plain" else q
    expected = brentq(lambda tau: enumerated(majority, tau, k, weight), 1.0, 1e4)
    assert critical_temperature(majority, negatives=k, q=q).tau_c == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("majority", [3, 5, 100])
def test_exp_in_closed_form(majority):
    expected = (majority - 2) / ((majority - 1) * np.log1p(1 / (4 * majority * (majority - 1))))
    assert critical_temperature(majority, loss="exp").tau_c == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("options", [{}, {"loss": "exp"}, {"loss": "lme"}, {"negatives": 4}, {"collisions": True},
                                     {"loss": "supcon"}, {"loss": "linear"}])  # fmt: skip
@pytest.mark.parametrize("majority", [1, 2])
def test_one_or_two_majority_classes_always_collapse(majority, options):
    assert critical_temperature(majority, **options).side == "always"


def test_infonce_with_collisions_never_does():
    found = critical_temperature(3, collisions=True)
    assert (found.side, found.tau_c, found.windows) == ("never", None, ())


def test_quadratic_has_two_windows():
    """By hand: 25/96 x^2 - (25/24 - 3/4) x + 1/24 = 0 in x = 1/tau, and c = 1 - 2 tau <= -1/3 from tau = 2/3 on."""
    cold, warm = critical_temperature(3, loss="quadratic").windows
    roots = 1 / np.roots([25 / 96, -(25 / 24 - 3 / 4), 1 / 24])
    assert (cold.low, cold.high, warm.low) == pytest.approx((2 / 3, roots.min(), roots.max()), rel=1e-8)


@pytest.mark.parametrize("majority", [1, 2, 3, 5])
@pytest.mark.parametrize("loss", ["hinge", "hardest"])
def test_margin_losses_ask_for_more_than_the_simplex(majority, loss):
    found = critical_temperature(majority, loss=loss, margin=1.5)
    assert found.tau_c == pytest.approx((1 + 1 / majority) / 1.5)
    assert threshold(majority, 3, loss=loss, margin=1.5, tau=1.001 * found.tau_c).r_star is not None
    assert threshold(majority, 3, loss=loss, margin=1.5, tau=0.999 * found.tau_c).r_star is None


@pytest.mark.parametrize("options", [{}, {"loss": "exp"}, {"negatives": 4}, {"loss": "supcon"}])
def test_the_threshold_exists_on_one_side_only(options):
    found = critical_temperature(3, **options)
    inside = 1.02 if found.side == "above" else 0.98
    assert threshold(3, 4, tau=inside * found.tau_c, **options).r_star is not None
    outside = threshold(3, 4, tau=found.tau_c / inside, **options)
    assert outside.r_star is None
    assert 0.9 < outside.limit_cosine < 1.0


def test_the_solver_sees_the_critical_temperature():
    tau = critical_temperature(3).tau_c
    below, above = (solve([1e4] * 3 + [1.0] * 3, tau=f * tau, method="reduced").gram[-1, -2] for f in (0.8, 1.25))
    assert below < 1 - 1e-3
    assert above > 1 - 1e-6
