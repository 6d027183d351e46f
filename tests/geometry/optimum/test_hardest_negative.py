import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.errors import UsageError
from geometry.frames import simplex_etf
from geometry.optimum import Hinge, Program, certify, named_loss, solve
from geometry.optimum.conic import solve_conic
from geometry.optimum.groups import group_program
from geometry.optimum.hardest_negative import MOST_LEVELS, HardestNegative
from geometry.optimum.program import unit_gram, unit_rows

MANY = [1, 2, 5, 40, 10**6, None]


def rows(seed, kinds=4, tau=1.0, count=3):
    rng = np.random.default_rng(seed)
    return -2 / tau * rng.random((count, kinds)), rng.dirichlet(np.ones(kinds), size=count)


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("margin", [0.3, 1.2, 2.5])
def test_expectation_equals_the_sum_over_all_ordered_draws(k, margin):
    t, masses = rows(k)
    t[0, 1] = t[0, 2]  # a tie
    masses[1] = [0.0, 0.3, 0.0, 0.7]
    expected = [
        sum(
            math.prod(mass[a] for a in draw) * max(0.0, margin + max(row[a] for a in draw))
            for draw in itertools.product(range(4), repeat=k)
        )
        for row, mass in zip(t, masses, strict=True)
    ]
    np.testing.assert_allclose(HardestNegative(margin, k).expectation(t, masses), expected, rtol=1e-14)


@given(seed=st.integers(0, 10**6), k=st.sampled_from(MANY), margin=st.floats(0.1, 3.0))
@settings(max_examples=50, deadline=None)
def test_slopes_are_those_of_the_value_away_from_kinks(seed, k, margin):
    loss, (t, masses) = HardestNegative(margin, k), rows(seed)
    move, step = np.random.default_rng(seed + 1).normal(size=t.shape), 1e-7
    gaps = np.diff(np.sort(np.column_stack([t, np.full(len(t), -margin)]), axis=1), axis=1)
    clear = gaps.min(axis=1) > 100 * step
    ahead, behind = (loss.expectation(t + sign * step * move, masses) for sign in (1, -1))
    slope = (loss.slopes(t, masses) * move).sum(axis=1)
    np.testing.assert_allclose(slope[clear], ((ahead - behind) / (2 * step))[clear], atol=1e-7)


@given(seed=st.integers(0, 10**6), k=st.sampled_from(MANY), margin=st.floats(0.1, 3.0), tied=st.booleans())
@settings(max_examples=50, deadline=None)
def test_slopes_at_a_kink_are_subgradients(seed, k, margin, tied):
    loss, (t, masses) = HardestNegative(margin, k), rows(seed)
    if tied:
        t = np.round(t, 0)
    other = rows(seed + 1)[0]
    bound = loss.expectation(t, masses) + (loss.slopes(t, masses) * (other - t)).sum(axis=1)
    assert (loss.expectation(other, masses) >= bound - 1e-14).all()


def test_rare_kinds_keep_their_digits():
    """P(the hardest of k is a kind of mass 1e-14) = 1 - (1 - 1e-14)^k, whichever way it is sorted."""
    masses = np.array([[1e-14, 1.0 - 1e-14]])
    for k in (1, 3, 1000):
        loss = HardestNegative(1.0, k)
        assert loss.slopes(np.array([[0.0, -0.5]]), masses)[0, 0] == pytest.approx(k * 1e-14, rel=1e-10)
        assert loss.slopes(np.array([[-0.5, 0.0]]), masses)[0, 0] == pytest.approx(1e-14**k, rel=1e-10, abs=0.0)


def test_limits_are_the_mean_hinge_and_the_hardest_class():
    t, masses = rows(0)
    np.testing.assert_allclose(
        HardestNegative(1.1, 1).expectation(t, masses), Hinge(1.1).expectation(t, masses), rtol=1e-14
    )
    np.testing.assert_allclose(HardestNegative(1.1, 1).slopes(t, masses), Hinge(1.1).slopes(t, masses), atol=1e-15)
    hardest = np.maximum(0.0, 1.1 + t.max(axis=1))
    np.testing.assert_array_equal(HardestNegative(1.1).expectation(t, masses), hardest)
    np.testing.assert_allclose(HardestNegative(1.1, 10**6).expectation(t, masses), hardest, rtol=1e-12)
    drawn = [HardestNegative(1.1, k).expectation(t, masses) for k in (1, 2, 3, 10, 100)]
    assert (np.diff(drawn, axis=0)[:, hardest > 0] > 0).all()


def test_classes_that_cannot_be_drawn_do_not_count():
    t, masses = np.array([[0.0, -1.0, -0.5]]), np.array([[0.0, 0.4, 0.6]])
    assert HardestNegative(1.0).expectation(t, masses).tolist() == [0.5]
    assert HardestNegative(1.0).slopes(t, masses).tolist() == [[0.0, 0.0, 1.0]]
    assert HardestNegative(1.0, 7).slopes(t, masses)[0, 0] == 0.0


@given(seed=st.integers(0, 10**6), kinds=st.integers(2, 9), k=st.sampled_from(MANY), decades=st.floats(0.0, 9.0))
@settings(max_examples=60, deadline=None)
def test_tail_means_are_exact_where_made_and_never_above(seed, kinds, k, decades):
    rng = np.random.default_rng(seed)
    mass = 10 ** (-decades * rng.random(kinds))
    mass[rng.random(kinds) < 0.2] = 0.0
    mass = (mass if mass.any() else np.ones(kinds)) / (mass.sum() or kinds)
    first, second = -2 * rng.random((2, 1, kinds))
    loss = HardestNegative(1.3, k)
    tails = loss.tail_means(first[0], mass)
    assert (tails.weights > 0).all()
    assert ((tails.levels > 0) & (tails.levels <= 1)).all()
    assert len(tails.levels) <= kinds + MOST_LEVELS
    assert tails.value(first[0], mass) == pytest.approx(loss.expectation(first, mass[None])[0], rel=1e-13, abs=1e-14)
    assert tails.value(second[0], mass) <= loss.expectation(second, mass[None])[0] + 1e-14


@pytest.mark.parametrize("k", MANY)
def test_conic_form_minimised_over_its_own_variables_is_the_value(k):
    import cvxpy

    t, masses = rows(3, kinds=3)
    masses[0] = [0.0, 0.9, 0.1]
    loss = HardestNegative(1.2, k)
    expression = loss.expression(cvxpy.Constant(t), masses)
    assert loss.expression(cvxpy.Variable((3, 3)), masses).is_convex()
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum(expression)))
    problem.solve(solver=cvxpy.CLARABEL)
    assert problem.value == pytest.approx(loss.expectation(t, masses).sum(), abs=1e-6)


def tail(size, ratio=100.0):
    weights = ratio ** (-np.arange(size) / (size - 1))
    return weights / weights.sum()


@pytest.mark.parametrize("k", [2, 16, 10**6, None])
@pytest.mark.parametrize(("size", "margin", "tau"), [(3, 1.9, 1.0), (5, 1.3, 1.0), (5, 25.0, 0.1), (8, 0.11, 15.0)])
def test_conic_answer_is_certified(size, margin, tau, k):
    """Measured: relative gaps 1e-13 to 1e-8."""
    program = Program(tail(size), HardestNegative(margin, k), tau)
    certificate = certify(program, solve_conic(program).gram)
    assert certificate.certifies(1e-7)
    assert certificate.value <= program.reference_value


@given(seed=st.integers(0, 10**6), k=st.sampled_from(MANY), margin=st.floats(1.6, 2.5), spread=st.floats(0.0, 0.5))
@settings(max_examples=12, deadline=None)
def test_the_certified_gap_bounds_the_true_excess(seed, k, margin, spread):
    rng = np.random.default_rng(seed)
    program = Program(rng.dirichlet(np.ones(4)) * 0.9 + 0.025, HardestNegative(margin, k), 1.0)
    best = solve_conic(program).gram
    values, vectors = np.linalg.eigh(best)
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    gram = unit_gram(unit_rows(factor + spread * rng.normal(size=(4, 4))))
    certificate = certify(program, gram)
    assert program.value(gram) - program.value(best) <= certificate.gap + 1e-12
    assert certify(program, best).gap <= 1e-6 * program.value(best) + 1e-12


def test_two_classes_and_equal_proportions_have_closed_forms():
    for k in MANY:
        assert solve([3, 1], loss="hardest", margin=2.6, negatives=k).value == pytest.approx(0.6, rel=1e-12)
        optimum = solve([1, 1, 1, 1], loss="hardest", margin=1.7, negatives=k)
        assert optimum.value == pytest.approx(1.7 - 4 / 3, rel=1e-12)  # t = -C/((C-1) tau) for every pair
        assert optimum.certified
        program = Program(np.full(4, 0.25), HardestNegative(1.7, k), 1.0)
        conic = solve_conic(program).gram
        assert program.value(conic) == pytest.approx(1.7 - 4 / 3, rel=1e-8)
    idle = solve([5, 3, 1], loss="hardest", margin=1.4)
    assert (idle.value, idle.certified) == (0.0, True)
    np.testing.assert_allclose(idle.gram, simplex_etf(3), atol=1e-15)


@pytest.mark.parametrize("k", [1, 2, 30, None])
@pytest.mark.parametrize("collisions", [False, True])
def test_reduced_program_has_the_same_optimum(k, collisions):
    weights = np.array([6.0, 2.0, 2.0, 1.0, 1.0])
    program = Program(weights / weights.sum(), HardestNegative(1.8, k), 1.0, collisions)
    full, reduced = solve_conic(program).gram, solve_conic(group_program(program)).gram
    assert program.value(reduced) == pytest.approx(program.value(full), rel=1e-7)
    assert certify(program, reduced).certifies(1e-7)


def test_one_negative_has_the_optimum_of_the_mean_hinge():
    program = Program(tail(4), HardestNegative(1.9, 1), 1.0)
    other = Program(tail(4), Hinge(1.9), 1.0)
    assert program.value(solve_conic(program).gram) == pytest.approx(other.value(solve_conic(other).gram), rel=1e-8)


def test_named_and_refused():
    assert named_loss("hardest", margin=0.5, negatives=3) == HardestNegative(0.5, 3)
    for bad in ({"margin": 0.0}, {"margin": math.nan}, {"negatives": 0}, {"negatives": 1.5}):
        with pytest.raises(UsageError, match=r"positive margin|at least one negative"):
            HardestNegative(**bad)
