import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

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
from geometry.optimum.burer_monteiro import solve_factor, solve_reduced
from geometry.optimum.force_equations import ForceEquations
from geometry.optimum.force_path import CollapseError, solve_forces
from geometry.optimum.groups import group_program
from geometry.thresholds import threshold

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
@pytest.mark.parametrize("merged", [False, True])
def test_newton_steps_use_the_exact_jacobian(loss, collisions, merged):
    """J from the step's definition (J move = -errors) against finite differences of the errors."""
    sizes, pi = np.array([2.0, 3.0, 1.0]), np.array([0.2, 0.1, 0.3])
    vectors = np.array([2.0, 1.0 if merged else 3.0, 1.0])
    factors = np.array([[0.1, -0.2, 0.0], [-0.2, 0.3, 0.1], [0.0, 0.1, 0.0]])
    equations = ForceEquations(loss, 1.3, sizes, pi, collisions, np.array([False, merged, False]), factors)
    start = equations.start()
    start[: len(sizes)] += np.log(sizes / vectors) - [0.0, 0.1, 0.2]
    move = equations.newton_step(start)
    each = np.repeat(np.arange(3), [2, 3, 1])

    def errors(x):
        """Naively, class by class: the equations in the units that newton_step takes at ``start``."""
        g, cosines = np.exp(x[:3]), equations.cosines(x)
        balance = np.array(
            [g[u] + sum((vectors[v] - (u == v)) * cosines[u, v] * g[v] for v in range(3)) for u in range(3)]
        )
        balance /= np.exp(start[:3])
        if loss.separable:
            return balance
        totals = []
        for group in range(3):
            y = int(np.flatnonzero(each == group)[0])
            others = [c for c in range(6) if c != y]
            rest = 1.0 if collisions else sum(pi[each[c]] for c in others)
            total = sum(pi[each[c]] / rest * np.exp((cosines[group, each[c]] - 1) / 1.3) for c in others)
            total += pi[group] if collisions else 0.0
            totals.append(loss.anchor + loss.weight * total)
        return np.concatenate([balance, (np.array(totals) - np.exp(x[3:])) / np.exp(start[3:])])

    step = 1e-6
    slope = (errors(start + step * move) - errors(start - step * move)) / (2 * step)
    assert np.abs(errors(start)).max() > 1e-2
    np.testing.assert_allclose(slope, -errors(start), atol=1e-7)


@pytest.mark.parametrize(
    "loss", [InfoNCE(negatives=1), InfoNCE("plain", negatives=5), LogMeanExp(negatives=3)], ids=str
)
@pytest.mark.parametrize("collisions", [False, True])
@pytest.mark.parametrize("counts", [100.0 ** (-np.arange(8) / 7), [30] * 3 + [10] * 2 + [4]], ids=["tail", "groups"])
def test_finite_numbers_of_negatives_by_correction(loss, collisions, counts):
    program, answer = forces_of(counts, loss, 0.5, collisions)
    assert certify(program, answer.gram).certifies(1e-11)
    forces, off = program.forces(answer.gram), ~np.eye(len(counts), dtype=bool)
    ratio = (forces / np.outer(answer.forces, answer.forces))[off]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
    other = solve_factor(program, simplex_etf(len(counts)))
    np.testing.assert_allclose(answer.gram, other.gram, atol=1e-8)


@pytest.mark.parametrize("loss", [InfoNCE(), InfoNCE(negatives=4), LogMeanExp(), Exponential(), Quadratic()], ids=str)
@pytest.mark.parametrize("counts", [[1000] * 2 + [1] * 4, [5000, 3000] + [1] * 3, [1e4] * 3 + [50] + [1] * 2], ids=str)
def test_groups_that_collapse_go_on_as_one_vector(loss, counts):
    program = Program(class_proportions(counts), loss, 1.0)
    groups = group_program(program)
    try:
        answer = solve_forces(groups)
    except CollapseError:  # a rank lost without a collapse of equals, which the factor route must confirm
        assert np.linalg.eigvalsh(solve_factor(program, simplex_etf(len(counts))).gram)[1] < 1e-6
        return
    assert certify(program, answer.gram).certifies(1e-10)
    reduced = solve_reduced(groups)
    np.testing.assert_allclose(answer.gram, reduced.gram, atol=1e-6)
    eigenvalues = np.linalg.eigvalsh(answer.gram)
    assert (eigenvalues > 1e-9).sum() == answer.distinct - 1


def step_cosines(majority, minority, tau, ratio, slope, inverse, masses):
    """An oracle for separable losses: one equation in one unknown, brentq in log variables, no matrices.

    Forces factorise as Gamma_AA = a^2, Gamma_AB = a b, Gamma_BB = b^2, and both groups balance. Given log(b/a) the
    first balance fixes a, hence the second is a function of log(b/a) alone.
    """
    p = ratio / (ratio * majority + minority)
    q = p / ratio
    w_aa, w_bb = p * masses(p, p), q * masses(q, q)
    w_ab = (p * masses(p, q) + q * masses(q, p)) / 2

    def cosines(log_a, log_r):
        a, b = np.exp(log_a), np.exp(log_a + log_r)
        return [1 + tau * inverse(tau * f / w) for f, w in ((a * a, w_aa), (a * b, w_ab), (b * b, w_bb))]

    def first(log_a, log_r):
        alpha, gamma, _ = cosines(log_a, log_r)
        return (1 + (majority - 1) * alpha) + minority * gamma * np.exp(log_r)

    def log_a_of(log_r):
        reference = np.log(w_aa * slope(-1.0 / tau) / tau) / 2
        return brentq(first, reference - 40 / tau, reference + 40 / tau, args=(log_r,), xtol=1e-15)

    def second(log_r):
        _, gamma, beta = cosines(log_a_of(log_r), log_r)
        return (1 + (minority - 1) * beta) + majority * gamma * np.exp(-log_r)

    centre = -np.log(ratio)
    log_r = brentq(second, centre - 3.0, centre + 3.0, xtol=1e-15)
    return cosines(log_a_of(log_r), log_r)


@pytest.mark.parametrize("ratio", [1e1, 1e3, 1e6, 1e9, 1e12])
@pytest.mark.parametrize(("majority", "minority"), [(3, 3), (5, 5), (4, 7)])
@pytest.mark.parametrize("tau", [0.3, 1.0])
def test_angles_of_two_groups_at_any_ratio(majority, minority, tau, ratio):
    expected = step_cosines(majority, minority, tau, ratio, np.exp, np.log, lambda own, other: other / (1 - own))
    for shuffle in (False, True):
        counts = np.array([ratio] * majority + [1.0] * minority)
        optimum = solve(counts[::-1] if shuffle else counts, loss="exp", tau=tau)
        gram = optimum.gram[::-1, ::-1] if shuffle else optimum.gram
        found = [gram[0, 1], gram[0, -1], gram[-1, -2]]
        np.testing.assert_allclose(found, expected, atol=1e-10)
        assert (optimum.rank, optimum.distinct, optimum.unresolved) == (len(counts) - 1, len(counts), 0)


STEP_LOSSES = [(name, k) for name in ("infonce", "lme", "supcon") for k in (1, 16, None)]
STEP_LOSSES = [pair for pair in STEP_LOSSES if pair[0] == "infonce" or pair[1] != 1]  # E log e^t is linear


@pytest.mark.parametrize(("name", "k"), [*STEP_LOSSES, ("exp", None), ("quadratic", None)])
@pytest.mark.parametrize(("majority", "minority"), [(2, 3), (3, 3), (5, 5)])
def test_collapse_is_reported_exactly_where_the_threshold_says(majority, minority, name, k):
    tau = 1.0 if name == "quadratic" else 0.5
    found = threshold(majority, minority, loss=name, tau=tau, negatives=k)
    ratios = [1e1, 1e4, 1e8, 1e12]
    if found.r_star is not None:
        ratios += [0.999 * found.r_star, 1.001 * found.r_star]
    for ratio in ratios:
        optimum = solve([ratio] * majority + [1.0] * minority, loss=name, tau=tau, negatives=k)
        collapses = found.r_star is not None and ratio > found.r_star
        assert optimum.distinct == (majority + 1 if collapses else majority + minority)
        assert (optimum.rank, optimum.unresolved) == (optimum.distinct - 1, 0)
        if not collapses and ratio >= 1e8:
            assert optimum.gram[-1, -2] == pytest.approx(found.limit_cosine, abs=1e-6)


@pytest.mark.parametrize(
    ("counts", "loss", "tau"),
    [([60, 20, 2, 1, 0.5], InfoNCE(), 1.0), ([100, 10, 1], LogMeanExp(), 0.5), ([500, 50, 5], Exponential(), 1.0)],
)
def test_collapse_is_detected_on_the_way(counts, loss, tau):
    with pytest.raises(CollapseError, match="lose a dimension"):
        forces_of(counts, loss, tau)
    optimum = solve(counts, loss=loss, tau=tau)
    assert optimum.rank < len(counts) - 1
    assert optimum.certified


@pytest.mark.parametrize("loss", [Linear(), Hinge()])
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
