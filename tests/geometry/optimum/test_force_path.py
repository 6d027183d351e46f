import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.errors import UsageError
from geometry.frames import simplex_etf
from geometry.optimum import (
    Exponential,
    Hinge,
    InfoNCE,
    Linear,
    LogMeanExp,
    Program,
    Quadratic,
    certify,
    class_proportions,
    solve,
)
from geometry.optimum.burer_monteiro import solve_factor
from geometry.optimum.force_path import CollapseError, _equations, solve_forces
from geometry.optimum.groups import group_program

FACTORISING = [InfoNCE(), InfoNCE(5.0), LogMeanExp(), Exponential(), Quadratic()]


def forces_of(counts, loss, tau, collisions=False):
    program = Program(class_proportions(counts), loss, tau, collisions)
    return program, solve_forces(group_program(program))


@pytest.mark.parametrize("loss", FACTORISING, ids=str)
@pytest.mark.parametrize("collisions", [False, True])
@pytest.mark.parametrize("counts", [100.0 ** (-np.arange(8) / 7), [30] * 3 + [10] * 2 + [4]], ids=["tail", "groups"])
def test_forces_factorise_balance_and_agree_with_the_factor_route(loss, collisions, counts):
    program, answer = forces_of(counts, loss, 1.0, collisions)
    assert certify(program, answer.gram).certifies(1e-11)
    forces, off = program.forces(answer.gram), ~np.eye(len(counts), dtype=bool)
    ratio = (forces / np.outer(answer.forces, answer.forces))[off]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
    np.testing.assert_allclose(answer.gram @ answer.forces, 0.0, atol=1e-11 * answer.forces.max())
    other = solve_factor(program, simplex_etf(len(counts)))
    np.testing.assert_allclose(answer.gram, other.gram, atol=1e-8)


@pytest.mark.parametrize("loss", FACTORISING, ids=str)
@pytest.mark.parametrize("collisions", [False, True])
def test_newton_steps_use_the_exact_jacobian(loss, collisions):
    """J from the step's definition (J move = -errors) against finite differences of the errors."""
    program = group_program(Program(class_proportions([9, 9, 4, 2]), loss, 1.3, collisions))
    equations = _equations(program, loss, np.log(program.shares / program.sizes))
    start = equations.start()
    move = equations.newton_step(start)

    def errors(x):
        """The equations in the units that newton_step takes at ``start``: g_i for a balance, D_i for a total."""
        g, t = np.exp(x[:3]), (equations.cosines(x) - 1) / 1.3
        others = program.sizes - np.eye(3)
        balance = (g + (others * (1 + 1.3 * t)) @ g) / np.exp(start[:3])
        if loss.separable:
            return balance
        return np.concatenate([balance, (equations._totals(t) - np.exp(x[3:])) / np.exp(start[3:])])

    step = 1e-6
    slope = (errors(start + step * move) - errors(start - step * move)) / (2 * step)
    assert np.abs(errors(start)).max() > 1e-2
    np.testing.assert_allclose(slope, -errors(start), atol=1e-7)


@pytest.mark.parametrize(
    ("counts", "loss", "tau"),
    [([60, 3, 3, 3, 3], InfoNCE(), 1.0), ([60, 20, 2, 1, 0.5], InfoNCE(), 1.0), ([100, 10, 1], LogMeanExp(), 0.5),
     ([500, 50, 5], Exponential(), 1.0)],
)  # fmt: skip
def test_collapse_is_detected_on_the_way(counts, loss, tau):
    with pytest.raises(CollapseError, match="lose a dimension"):
        forces_of(counts, loss, tau)
    optimum = solve(counts, loss=loss, tau=tau)
    assert optimum.rank < len(counts) - 1
    assert optimum.certified


@pytest.mark.parametrize("loss", [InfoNCE(negatives=4), Linear(), Hinge()])
def test_losses_without_such_equations_are_refused(loss):
    with pytest.raises(UsageError, match="factoris"):
        forces_of([5, 2, 1], loss, 1.0)


def test_no_force_at_the_simplex():
    with pytest.raises(CollapseError, match="no forces act"):
        forces_of([5, 2, 1], Quadratic(), 0.5)


@given(
    weights=st.lists(st.floats(1.0, 30.0), min_size=3, max_size=8),
    tau=st.floats(0.05, 0.6),
    loss=st.sampled_from([InfoNCE(), LogMeanExp(), Exponential()]),
)
@settings(max_examples=30, deadline=None)
def test_every_answer_is_optimal_or_a_collapse_that_others_confirm(weights, tau, loss):
    program = Program(class_proportions(weights), loss, tau)
    try:
        answer = solve_forces(group_program(program))
    except CollapseError:
        gram = solve_factor(program, simplex_etf(len(weights))).gram
        assert np.linalg.eigvalsh(gram)[1] < 1e-5
    else:
        assert certify(program, answer.gram).certifies(1e-10)


@pytest.mark.parametrize("tau", [0.1, 0.5, 1.0])
def test_a_hundred_classes_take_milliseconds(tau):
    optimum = solve(100.0 ** (-np.arange(100) / 99), tau=tau)
    assert optimum.method == "factor"
    assert optimum.relative_gap < 1e-10
    assert (optimum.rank, optimum.distinct) == (99, 100)
    assert optimum.seconds < 2.0


@pytest.mark.slow
@pytest.mark.parametrize("tau", [0.1, 0.5, 1.0])
def test_a_thousand_classes_take_seconds(tau):
    optimum = solve(100.0 ** (-np.arange(1000) / 999), tau=tau)
    assert optimum.relative_gap < 1e-9
    assert optimum.rank == 999
    assert optimum.seconds < 60.0


@pytest.mark.parametrize("ratio", [1e2, 1e6, 1e9, 1e12])
def test_rounding_is_not_mistaken_for_collapse(ratio):
    """Theory 5.2: with five majority classes the minorities keep a cosine that tends to 0.27016."""
    optimum = solve([ratio] * 5 + [1.0] * 5)
    assert (optimum.rank, optimum.distinct) == (9, 10)
    if ratio > 1e5:
        assert optimum.gram[8, 9] == pytest.approx(0.27016, abs=1e-5)
