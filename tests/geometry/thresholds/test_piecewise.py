"""Losses without a unique optimum: the switch of the least loss, of the symmetric optimum, and their closed forms."""

import numpy as np
import pytest

from geometry.errors import UsageError
from geometry.optimum import solve
from geometry.optimum.groups import GroupProgram
from geometry.optimum.loss_family import named_loss
from geometry.optimum.program import Program
from geometry.thresholds import threshold
from geometry.thresholds.piecewise import exact_ratio, free_cosine, piecewise_excess
from geometry.thresholds.roots import collapse_intervals
from geometry.thresholds.step_model import step_model

UNIQUE = [
    (1, 3, {"loss": "linear"}), (3, 7, {"loss": "linear"}), (1, 3, {"loss": "hinge", "margin": 2.5}),
    (2, 8, {"loss": "hinge", "margin": 1.9}), (3, 3, {"loss": "hinge", "margin": 1.6}),
    (3, 7, {"loss": "hinge", "margin": 1.4}), (1, 3, {"loss": "hardest", "margin": 2.5, "negatives": 4}),
    (2, 3, {"loss": "hardest", "margin": 1.7, "negatives": 4}),
    (3, 3, {"loss": "hardest", "margin": 1.4, "negatives": 2}),
    (2, 3, {"loss": "hardest", "margin": 2.5}), (3, 3, {"loss": "hardest", "margin": 1.35}),
    (3, 3, {"loss": "hardest", "margin": 1.6, "negatives": 4, "collisions": True}),
    (1, 3, {"loss": "linear", "collisions": True}), (2, 3, {"loss": "hardest", "margin": 1.6, "negatives": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("majority", "minority", "options"), UNIQUE)
def test_every_optimum_switches(majority, minority, options):
    """Below R* no optimum has coinciding minorities, so the solver's has not; above all have, so its has."""
    found = threshold(majority, minority, **options)
    assert found.all_from == found.r_star > 1.0
    assert "not unique" in found.reason
    for factor in (0.98, 1.02):
        optimum = solve([factor * found.r_star] * majority + [1.0] * minority, method="reduced", **options)
        assert (optimum.gram[-1, -2] > 1 - 1e-5) == (factor > 1)


def least_collapsed(majority, minority, ratio, options):
    """The least loss over geometries with coinciding minorities, by brute force over gamma."""
    weights = np.repeat([ratio, 1.0], [majority, minority])
    collisions = options.get("collisions", False)
    psi = named_loss(options["loss"], margin=options.get("margin", 1.0), negatives=options.get("negatives"))
    groups = GroupProgram(
        Program(weights / weights.sum(), psi, 1.0, collisions), np.repeat([0, 1], [majority, minority])
    )

    def value(gamma):
        return groups.value(np.array([[max(gamma**2, 0.0), gamma], [gamma, 1.0]]))

    grid = np.linspace(-1.0, 0.0, 2001)
    best = grid[np.argmin([value(g) for g in grid])]
    return min(value(g) for g in np.linspace(max(-1.0, best - 1e-3), min(0.0, best + 1e-3), 2001))


@pytest.mark.parametrize("options", [{"loss": "hinge", "margin": 1.6}, {"loss": "hinge", "margin": 1.4}])
@pytest.mark.parametrize(("majority", "minority"), [(3, 3), (3, 7)])
def test_with_collisions_some_optima_switch_before_all(majority, minority, options):
    options = options | {"collisions": True}
    found = threshold(majority, minority, **options)
    assert found.all_from is None or found.all_from > found.r_star
    for factor in (0.9, 1.1):
        ratio = factor * found.r_star
        optimum = solve([ratio] * majority + [1.0] * minority, method="reduced", **options)
        lost = least_collapsed(majority, minority, ratio, options) - optimum.value
        assert (lost < 1e-6) == (factor > 1)
        assert optimum.gram[-1, -2] < 0.9  # an optimum without collapse, on both sides
    if found.all_from is not None:
        weights = [1.2 * found.all_from] * majority + [1.0] * minority
        assert solve(weights, method="reduced", **options).gram[-1, -2] > 1 - 1e-4


@pytest.mark.parametrize("collisions", [False, True])
@pytest.mark.parametrize(("majority", "minority"), [(1, 3), (2, 3), (3, 7)])
@pytest.mark.parametrize(("loss", "margin"), [("linear", 1.0), ("hinge", 2.3), ("hinge", 1.8), ("hinge", 1.4)])
def test_closed_forms_equal_the_general_condition(collisions, majority, minority, loss, margin):
    model = step_model(
        majority, minority, loss=loss, tau=1.0, q=1.0, negatives=None, collisions=collisions, margin=margin
    )
    free = free_cosine(model.loss, 1.0)
    if free > -1.0 / majority:
        assert piecewise_excess(model, free, 1e6) < 0.0
        return
    closed = exact_ratio(model, free)
    if collisions:  # an equality above R*, so only its neighbourhood
        assert piecewise_excess(model, free, 0.99 * closed) < 0.0
        assert piecewise_excess(model, free, 1.01 * closed) > -1e-12
        return
    (window,) = collapse_intervals(lambda ratio: piecewise_excess(model, free, ratio), 0.0, 12.0)
    assert window.low == pytest.approx(closed, rel=1e-9)


@pytest.mark.parametrize(("majority", "minority"), [(1, 2), (1, 9), (2, 3), (5, 40)])
def test_hardest_of_infinitely_many_in_closed_form(majority, minority):
    """The C1 + 1 vectors form a simplex, half of whose pairs' forces are the minorities': R* = (C1+1) C2^2/(C2-1)."""
    expected = (majority + 1) * minority**2 / (minority - 1)
    assert threshold(majority, minority, loss="hardest", margin=2.5).r_star == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("loss", ["hinge", "hardest"])
@pytest.mark.parametrize(("majority", "minority", "margin"), [(1, 3, 1.9), (1, 3, 1.6), (2, 3, 1.4), (3, 7, 1.3)])
def test_limit_cosine_without_collapse(loss, majority, minority, margin):
    found = threshold(majority, minority, loss=loss, margin=margin, negatives=4)
    assert found.r_star is None
    optimum = solve([1e3] * majority + [1.0] * minority, loss=loss, margin=margin, negatives=4, method="reduced")
    assert optimum.gram[-1, -2] == pytest.approx(found.limit_cosine, abs=1e-4)


def test_a_margin_that_all_classes_can_have_is_free():
    found = threshold(3, 3, loss="hinge", margin=1.1)
    assert found.r_star is None
    assert found.limit_cosine == pytest.approx(-0.1)
    assert solve([100.0] * 3 + [1.0] * 3, loss="hinge", margin=1.1).value == 0.0


def test_log_mean_exp_of_one_negative_is_linear():
    for collisions in (False, True):
        one = threshold(2, 5, loss="lme", negatives=1, collisions=collisions)
        assert one.r_star == threshold(2, 5, loss="linear", collisions=collisions).r_star


def test_a_constant_loss_is_refused():
    with pytest.raises(UsageError, match="constant"):
        threshold(2, 3, loss="hardest", margin=3.0, collisions=True)
