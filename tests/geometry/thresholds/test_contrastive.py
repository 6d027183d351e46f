import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.errors import UsageError
from geometry.optimum import Exponential, Quadratic, solve
from geometry.thresholds import closed_form, threshold
from geometry.thresholds.smooth import collapsed_cosine
from geometry.thresholds.step_model import step_model

SUPERVISED = {"k=1": {"negatives": 1}, "k=4": {"negatives": 4}, "k=16": {"negatives": 16}, "inf": {},
              "ii": {"collisions": True}, "lme": {"loss": "lme"}, "exp": {"loss": "exp"},
              "quad": {"loss": "quadratic"}}  # fmt: skip
# Geometry theory, table 5.3: (C1, C2, tau, column, R*)
TABLE = [
    (1, 3, 1.0, "k=1", 6.54165), (1, 3, 1.0, "k=4", 8.05475), (1, 3, 1.0, "k=16", 8.54816), (1, 3, 1.0, "inf", 8.72344),
    (1, 3, 1.0, "ii", 27.0602), (1, 3, 1.0, "lme", 5.67179), (1, 3, 1.0, "exp", 9.30055), (1, 3, 1.0, "quad", None),
    (1, 3, 0.5, "k=1", 20.0085), (1, 3, 0.5, "k=4", 25.3138), (1, 3, 0.5, "k=16", 27.3174), (1, 3, 0.5, "inf", 28.0759),
    (1, 3, 0.5, "ii", 215.605), (1, 3, 0.5, "lme", 8.16513), (1, 3, 0.5, "exp", 28.9486),
    (1, 9, 1.0, "k=1", 18.9183), (1, 9, 1.0, "k=4", 23.1440), (1, 9, 1.0, "k=16", 24.4662), (1, 9, 1.0, "inf", 24.9275),
    (1, 9, 1.0, "ii", 81.1807), (1, 9, 1.0, "lme", 14.4912), (1, 9, 1.0, "exp", 27.1269), (1, 9, 1.0, "quad", None),
    (1, 9, 0.1, "k=1", 1.98e5), (1, 9, 0.1, "inf", 2.8034e5), (1, 9, 0.1, "ii", 5.8e9), (1, 9, 0.1, "lme", 20.2501),
    (1, 9, 0.1, "exp", 2.8034e5),
    (2, 3, 1.0, "k=1", 14.5388), (2, 3, 1.0, "k=4", 27.0299), (2, 3, 1.0, "k=16", 33.7499), (2, 3, 1.0, "inf", 36.7264),
    (2, 3, 1.0, "ii", 1880.67), (2, 3, 1.0, "lme", 12.6372), (2, 3, 1.0, "exp", 57.5301), (2, 3, 1.0, "quad", 9.92452),
    (2, 8, 0.5, "k=1", 107.276), (2, 8, 0.5, "k=4", 265.675), (2, 8, 0.5, "k=16", 429.973), (2, 8, 0.5, "inf", 543.457),
    (2, 8, 0.5, "ii", 6760.29), (2, 8, 0.5, "lme", 43.4913), (2, 8, 0.5, "exp", 743.365),
    (3, 3, 1.0, "inf", None), (5, 5, 1.0, "inf", None), (3, 3, 1.0, "exp", None), (3, 3, 1.0, "k=4", None),
    (3, 3, 1.0, "quad", 87.353), (5, 5, 1.0, "quad", None), (3, 3, 20.0, "inf", 13.2667), (3, 3, 12.0, "inf", 101.129),
]  # fmt: skip


@pytest.mark.parametrize(("majority", "minority", "tau", "column", "expected"), TABLE)
def test_table_of_thresholds(majority, minority, tau, column, expected):
    found = threshold(majority, minority, tau=tau, **SUPERVISED[column])
    if expected is None:
        assert found.r_star is None
        assert found.reason.startswith("never")
        assert (found.limit_cosine < 1.0) == (majority > 1)
    else:
        digits = len(f"{expected:.10g}".replace(".", "").rstrip("0"))
        assert found.r_star == pytest.approx(expected, rel=6 * 10.0 ** -max(2, digits) + 1e-3 * (digits < 5))
        assert found.limit_cosine == 1.0


def test_one_negative_of_infonce_is_separable():
    rho = (1 + np.exp(2 / 0.5)) / 2
    expected = (-5 + np.sqrt(25 + 72 * rho)) / 2
    assert threshold(1, 3, tau=0.5, negatives=1).r_star == pytest.approx(expected, rel=1e-11)


def test_more_negatives_raise_or_lower_the_threshold_with_the_weight():
    """Theory 5.1: R* rises with k at Q = 1 and falls for the plain log(1 + sum)."""
    fixed = [threshold(1, 9, tau=0.5, negatives=k).r_star for k in (1, 2, 4, 8, 16)]
    np.testing.assert_allclose(fixed, [59.14, 68.36, 74.62, 78.33, 80.35], atol=0.006)
    assert threshold(1, 9, tau=0.5).r_star == pytest.approx(82.50, abs=0.006)
    plain = [threshold(1, 9, tau=0.5, negatives=k, q="plain").r_star for k in (1, 2, 4, 8, 16)]
    np.testing.assert_allclose(plain, [59.14, 58.33, 56.72, 53.59, 47.90], atol=0.006)


@pytest.mark.parametrize(
    ("majority", "tau", "expected"),
    [
        (3, 1.0, 0.56617),
        (3, 0.5, 0.52898),
        (5, 1.0, 0.27016),
        (5, 0.5, 0.25916),
        (10, 1.0, 0.11560),
        (10, 0.5, 0.11320),
    ],
)
def test_limit_cosines(majority, tau, expected):
    assert threshold(majority, 4, tau=tau).limit_cosine == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("majority", [3, 5])
def test_limit_cosine_of_exp_in_closed_form(majority):
    expected = 1 / (majority - 1) + 0.7 * np.log1p(1 / (4 * majority * (majority - 1)))
    assert threshold(majority, 3, loss="exp", tau=0.7).limit_cosine == pytest.approx(expected, abs=1e-9)


def test_supcon_collapses_only_at_low_temperature():
    """Theory 5.2: window tau <= 0.2051 for three majority classes; R* 1.54e6 at 0.1."""
    assert threshold(3, 3, loss="supcon", tau=0.1).r_star == pytest.approx(1.54e6, rel=5e-3)
    assert threshold(5, 5, loss="supcon", tau=0.07).r_star == pytest.approx(1.46e8, rel=5e-3)
    assert threshold(3, 3, loss="supcon", tau=0.203).r_star is not None
    assert threshold(3, 3, loss="supcon", tau=0.207).r_star is None


SIDES = [(1, 3, 1.0, {}), (1, 3, 1.0, {"negatives": 1}), (1, 3, 1.0, {"negatives": 4}), (1, 9, 0.5, {"loss": "lme"}),
         (1, 3, 1.0, {"loss": "supcon"}), (1, 3, 1.0, {"loss": "exp"}), (1, 3, 1.0, {"collisions": True}),
         (1, 3, 1.0, {"negatives": 4, "collisions": True}), (1, 4, 1.0, {"loss": "lme", "negatives": 5}),
         (1, 3, 2.0, {"loss": "quadratic"}), (1, 3, 1.0, {"loss": "linear"}),
         (1, 4, 1.0, {"negatives": 4, "q": "plain"}),
         (2, 3, 1.0, {}), (2, 3, 1.0, {"negatives": 1}), (2, 3, 1.0, {"negatives": 4}), (2, 3, 1.0, {"loss": "lme"}),
         (2, 3, 1.0, {"loss": "exp"}), (2, 3, 1.0, {"loss": "quadratic"}), (2, 8, 1.0, {"loss": "linear"}),
         (2, 2, 0.5, {"loss": "supcon"}), (2, 3, 1.0, {"collisions": True, "q": 5.0}),
         (2, 3, 1.0, {"collisions": True, "q": 5.0, "negatives": 4}), (2, 8, 1000.0, {"loss": "exp"}),
         (3, 3, 20.0, {}), (3, 3, 12.0, {}), (3, 3, 15.0, {"negatives": 4}), (3, 3, 20.0, {"loss": "exp"}),
         (3, 3, 12.0, {"loss": "lme"}), (3, 3, 0.7, {"loss": "quadratic"}), (3, 3, 1.0, {"loss": "quadratic"}),
         (5, 3, 70.0, {})]  # fmt: skip


@pytest.mark.parametrize(("majority", "minority", "tau", "options"), SIDES)
def test_the_solver_switches_on_either_side(majority, minority, tau, options):
    """Every branch of theory 5: one and several majority classes, each loss, k, collisions."""
    ratio = threshold(majority, minority, tau=tau, **options).r_star
    for factor in (0.98, 1.02):
        optimum = solve([factor * ratio] * majority + [1.0] * minority, tau=tau, method="reduced", **options)
        assert optimum.relative_gap < 1e-8
        assert (optimum.gram[-1, -2] > 1.0 - 1e-7) == (factor > 1)


@pytest.mark.parametrize(("options", "tau"), [({}, 1.0), ({"loss": "exp"}, 1.0), ({"negatives": 1}, 0.5)])
def test_the_conic_solver_agrees(options, tau):
    """An interior-point method knows nothing of the certificate behind the formula."""
    ratio = threshold(1, 2, tau=tau, **options).r_star
    below, above = (
        solve([factor * ratio, 1.0, 1.0], tau=tau, method="conic", **options).gram[1, 2] for factor in (0.95, 1.05)
    )
    assert below < 1 - 1e-3
    assert above > 1 - 1e-5


def test_two_antipodal_clusters():
    """Near-linear losses, few majority classes against many minorities: both groups collapse, onto opposite vectors."""
    model = step_model(2, 40, loss="exp", tau=1000.0, q=1.0, negatives=None, collisions=False, margin=1.0)
    found = threshold(2, 40, loss="exp", tau=1000.0)
    assert collapsed_cosine(model, 1.005 * found.r_star) == -1.0
    gram = solve([1.005 * found.r_star] * 2 + [1.0] * 40, loss="exp", tau=1000.0, method="reduced").gram
    np.testing.assert_allclose([gram[0, 1], gram[0, 2], gram[-1, -2]], [1, -1, 1], atol=1e-7)


def test_no_collapse_however_large_the_ratio():
    """Theory 5.2: three majority classes at tau = 0.5; the minorities' cosine has a limit, which the solver reaches."""
    found = threshold(3, 3, tau=0.5)
    assert found.r_star is None
    for ratio in (1e2, 1e3, 1e4):
        cosine = solve([ratio] * 3 + [1.0] * 3, tau=0.5, method="reduced").gram[-1, -2]
        assert cosine < 1 - 1e-3
    assert cosine == pytest.approx(found.limit_cosine, abs=5e-3)


def test_minorities_can_coincide_and_part_again():
    """A window of R in a log-mean-exp loss with five majority classes (ours): collapse, but not for good."""
    found = threshold(5, 3, loss="lme", tau=0.04)
    assert found.r_star is None
    assert "part again" in found.reason
    (window,) = found.windows
    for ratio, collapsed in ((0.98 * window.low, False), (1.02 * window.low, True), (1.1 * window.high, False)):
        optimum = solve([ratio] * 5 + [1.0] * 3, loss="lme", tau=0.04, method="reduced")
        assert optimum.relative_gap < 1e-9
        assert (optimum.gram[-1, -2] > 1 - 1e-7) == collapsed


@settings(max_examples=25, deadline=None)
@given(
    majority=st.integers(1, 2),
    minority=st.integers(2, 30),
    tau=st.floats(0.2, 5.0),
    loss=st.sampled_from(["infonce", "lme", "exp"]),
)
def test_more_minorities_need_more_imbalance(majority, minority, tau, loss):
    fewer, more = (threshold(majority, m, tau=tau, loss=loss).r_star for m in (minority, minority + 1))
    assert 1.0 < fewer < more


@settings(max_examples=15, deadline=None)
@given(minority=st.integers(2, 12), tau=st.floats(0.2, 3.0), k=st.integers(1, 30))
def test_monotone_in_the_number_of_negatives(minority, tau, k):
    """R* rises with k at fixed Q = 1, towards its limit."""
    few, more = (threshold(1, minority, tau=tau, negatives=n).r_star for n in (k, k + 3))
    assert few < more < threshold(1, minority, tau=tau).r_star


def test_plain_infonce_is_not_monotone_in_the_number_of_negatives():
    """With nine minorities at tau = 0.5 R* falls with k; with two at tau = 1 it rises first."""
    few, more, many = (threshold(1, 2, negatives=n, q="plain").r_star for n in (1, 4, 400))
    assert few < more > many


def test_a_loss_of_ones_own_scales_and_shifts():
    """c psi + d has the optimum of psi; so has exp with another name."""

    class Twice(Exponential):
        name = "twice"

        def inner(self, t):
            return tuple(2.0 * part for part in super().inner(t))

    for majority in (1, 2):
        assert threshold(majority, 3, loss=Twice()).r_star == pytest.approx(
            threshold(majority, 3, loss="exp").r_star, rel=1e-10
        )
    assert threshold(1, 3, loss=Twice()).loss == "twice"


def test_plain_weight_of_one_negative_is_weight_one():
    assert threshold(2, 3, negatives=1, q="plain").r_star == pytest.approx(threshold(2, 3, negatives=1).r_star)


def test_a_loss_without_slope_at_the_antipode_never_collapses():
    found = threshold(1, 3, loss="quadratic")
    assert closed_form(3, Quadratic(), 1.0, collisions=False) == np.inf
    assert "no slope at opposite vectors" in found.reason
    cosines = [solve([ratio, 1, 1, 1], loss="quadratic").gram[2, 3] for ratio in (1e2, 1e3, 1e4)]
    assert (np.diff(cosines) > 0).all()
    assert cosines[-1] == pytest.approx(found.limit_cosine, abs=1e-2)
    assert max(cosines) < 1 - 1e-6


@pytest.mark.parametrize(("majority", "minority"), [(0, 3), (2, 1)])
def test_bad_numbers_of_classes(majority, minority):
    with pytest.raises(UsageError, match="at least one majority and two minority"):
        threshold(majority, minority)


def test_thresholds_at_low_temperature_are_found_however_large():
    """Theory 5.1: R* ~ sqrt(2) C2 e^(1/tau) at small tau; for k = 4 it lies between those of k = 1 and the limit."""
    one, four, limit = (threshold(1, 5, tau=0.025, negatives=k).r_star for k in (1, 4, None))
    assert limit == pytest.approx(np.sqrt(2) * 5 * np.exp(40), rel=1e-6)
    assert one < four < limit
    assert threshold(2, 3, tau=0.05).r_star > 1e8


def test_extreme_corners():
    assert threshold(1, 9, tau=0.01).r_star == pytest.approx(np.sqrt(2) * 9 * np.exp(100), rel=1e-9)
    assert threshold(1, 9, tau=0.1, collisions=True).r_star == pytest.approx(4 / 3 * 9 * np.exp(20), rel=1e-3)
    assert threshold(1, 9, tau=0.1, loss="supcon").r_star == pytest.approx(2 * 9 * np.exp(20), rel=1e-3)
    assert threshold(1, 9, tau=0.0025).r_star == pytest.approx(np.sqrt(2) * 9 * np.exp(400), rel=1e-9)
    limit = threshold(2, 1000).r_star
    assert threshold(2, 1000, negatives=1_000_000).r_star == pytest.approx(limit, rel=1e-2)
    never = threshold(100, 1000, negatives=16)
    assert never.r_star is None
    assert 1 / 99 < never.limit_cosine < 0.02


@pytest.mark.parametrize(("tau", "options"), [(0.0025, {"loss": "exp"}), (0.0025, {"negatives": 4}), (0.0001, {})])
def test_temperatures_below_the_range_of_numbers_are_refused(tau, options):
    with pytest.raises(UsageError, match=r"larger|at least"):
        threshold(1, 9, tau=tau, **options)
