import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.frames import simplex_etf
from geometry.optimum import Exponential, InfoNCE, Linear, LogMeanExp, Program, Quadratic, certify, class_proportions
from geometry.optimum.burer_monteiro import FactorPoint, solve_factor, solve_reduced
from geometry.optimum.conic import solve_conic
from geometry.optimum.groups import group_program
from geometry.optimum.program import unit_rows

LOSSES = [InfoNCE(), InfoNCE("plain", negatives=6), LogMeanExp(), Exponential(), Quadratic()]


def groups_of(counts, loss=LOSSES[0], tau=1.0, collisions=False):
    return group_program(Program(class_proportions(counts), loss, tau, collisions))


def random_means(groups, rng):
    """Shared part of a random feasible factor."""
    factor = rng.normal(size=(groups.num_groups, groups.num_groups + 1))
    factor[groups.sizes == 1, -1] = 0.0
    shared = unit_rows(factor)[:, :-1]
    return shared @ shared.T


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    loss=st.sampled_from(LOSSES),
    collisions=st.booleans(),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=40, deadline=None)
def test_the_reduced_program_is_the_full_one_on_invariant_matrices(sizes, loss, collisions, seed):
    if sum(sizes) < 2:
        sizes = [2]
    rng = np.random.default_rng(seed)
    counts = rng.permutation(np.repeat(2.0 ** np.arange(len(sizes)), sizes))
    groups = groups_of(counts, loss, 0.8, collisions)
    means = random_means(groups, rng)
    gram = groups.gram(means)
    assert np.linalg.eigvalsh(gram)[0] > -1e-12
    assert (np.diag(gram) == 1.0).all()
    assert groups.value(means) == pytest.approx(groups.full.value(gram), rel=1e-12)
    other = random_means(groups, rng)
    slope = (groups.forces(means) * (other - means)).sum()
    full = (groups.full.forces(gram) * (groups.gram(other) - gram)).sum()
    assert slope == pytest.approx(full, rel=1e-9, abs=1e-12)
    step, change = 1e-6, other - means
    numeric = (groups.forces(means + step * change) - groups.forces(means - step * change)) / (2 * step)
    np.testing.assert_allclose(groups.force_changes(means, change), numeric, atol=1e-6)


@pytest.mark.parametrize("loss", [*LOSSES, Linear()], ids=str)
@pytest.mark.parametrize(
    "counts", [[60, 3, 3, 3, 3], [9] * 3 + [2] * 4, [40, 40, 1, 1, 1], [8, 8, 4, 2, 2, 1]], ids=str
)
def test_reduced_and_full_routes_reach_the_same_optimum(loss, counts):
    program = Program(class_proportions(counts), loss, 1.0)
    answer = solve_reduced(group_program(program))
    certificate = certify(program, answer.gram)
    assert certificate.certifies(1e-11)
    full = solve_factor(program, simplex_etf(len(counts)))
    assert certificate.value == pytest.approx(certify(program, full.gram).value, rel=1e-12)
    if not isinstance(loss, Linear):
        np.testing.assert_allclose(answer.gram, full.gram, atol=1e-7)


@pytest.mark.parametrize("counts", [[9] * 3 + [2] * 4, [60, 3, 3, 3, 3]])
def test_clarabel_on_the_groups_agrees(counts):
    program = Program(class_proportions(counts), InfoNCE(), 0.5)
    conic = solve_conic(group_program(program))
    assert certify(program, conic.gram).certifies(1e-8)
    np.testing.assert_allclose(conic.gram, solve_reduced(group_program(program)).gram, atol=1e-6)


def test_hessian_with_a_private_column_equals_the_derivative_of_the_gradient():
    rng = np.random.default_rng(0)
    groups = groups_of([9] * 3 + [2] * 4 + [1], tau=0.7)
    factor = rng.normal(size=(3, 4))
    factor[2, 3] = 0.0
    factor = unit_rows(factor)
    point = FactorPoint(groups, factor)
    move = rng.normal(size=(3, 4))
    move[2, 3] = 0.0
    move = point.tangent(move)
    step = 1e-6
    ahead, behind = (FactorPoint(groups, unit_rows(factor + sign * step * move)) for sign in (1, -1))
    difference = point.tangent((ahead.gradient - behind.gradient) / (2 * step))
    np.testing.assert_allclose(point.hessian(move), difference, atol=1e-7)
    assert (point.gradient * move).sum() == pytest.approx((ahead.value - behind.value) / (2 * step), rel=1e-6)


def test_many_classes_in_few_groups_cost_nothing():
    program = Program(class_proportions([100.0] * 100 + [30.0] * 200 + [1.0] * 100), InfoNCE(), 0.2)
    answer = solve_reduced(group_program(program))
    assert answer.steps < 30
    assert certify(program, answer.gram).certifies(1e-9)


def test_groups_are_found_up_to_rounding():
    groups = groups_of(np.array([0.1 + 0.2, 0.3, 0.1, 0.3 * (1 + 1e-9)]))
    assert groups.members.tolist() == [1, 1, 2, 0]
    assert groups.sizes.tolist() == [1.0, 2.0, 1.0]
