import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.errors import UsageError
from geometry.optimum import LossWarning, MeanLoss, Program, UncertifiedError, certify, named_loss, solve
from geometry.optimum.loss_family import NAMES

SMOOTH = [name for name in NAMES if not named_loss(name).kinked]
ROUTES = ("conic", "reduced", "burer-monteiro")
COUNTS = {
    "pacs": [379, 359, 288, 184, 237, 449, 295],
    "vlcs": [3125, 1003, 2240, 1199, 2240],
    "singletons": [40, 7, 1, 1, 1],
    "nearly equal": [1.0, 1.0 + 1e-13, 1.0 + 1e-8, 1.0 - 1e-5],
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
def test_every_loss_is_solved_and_certified_on_real_counts(name, counts):
    margin = 1.6 if name == "hinge" else 1.0
    optimum = solve(counts, loss=name, margin=margin)
    assert optimum.certified
    assert optimum.relative_gap < (1e-6 if name == "hinge" else 1e-10)
    program = Program(optimum.proportions, named_loss(name, margin=margin), 1.0, optimum.collisions)
    assert certify(program, optimum.gram).certifies(1e-6)
    assert optimum.value == pytest.approx(program.value(optimum.gram), rel=1e-14)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("counts", [[9, 9, 2, 2, 2], [60, 3, 3, 1]], ids=str)
def test_all_routes_reach_the_same_value(name, counts):
    """Clarabel, groups and the full factor share nothing but the program."""
    kwargs = {"loss": name, "margin": 2.5}
    routes = ROUTES[:2] if name == "hardest" else ROUTES  # Newton's method has nothing to go by at its kinks
    values = [solve(counts, method=route, **kwargs).value for route in routes]
    np.testing.assert_allclose(values, values[0], rtol=1e-6)


@pytest.mark.parametrize(("k", "rate"), [(1, None), (16, 1.0), (10**6, 1.0), (16, "plain")])
@pytest.mark.parametrize("name", ["infonce", "lme"])
@pytest.mark.parametrize("collisions", [False, True])
def test_any_number_of_negatives(name, k, rate, collisions):
    optimum = solve([30, 20, 6, 2, 2, 1], loss=name, negatives=k, q=rate or 1.0, collisions=collisions, tau=0.4)
    assert optimum.relative_gap < 1e-10
    assert (optimum.negatives, optimum.collisions) == (k, collisions)
    if k == 10**6:
        limit = solve([30, 20, 6, 2, 2, 1], loss=name, collisions=collisions, tau=0.4)
        np.testing.assert_allclose(optimum.gram, limit.gram, atol=1e-4)


def test_clarabel_confirms_a_finite_number_of_negatives():
    kwargs = {"negatives": 3, "tau": 0.7}
    conic, other = (solve([8, 8, 3, 3], method=route, **kwargs) for route in ("conic", "burer-monteiro"))
    np.testing.assert_allclose(conic.gram, other.gram, atol=1e-6)


def test_three_classes_linear_in_closed_form():
    """Theory 3: g_1^2 = w_12 w_13 / w_23 etc., G_12 = (g_3^2 - g_1^2 - g_2^2) / (2 g_1 g_2)."""
    pi = np.array([0.4, 0.35, 0.25])
    w = pi[:, None] * pi / (1 - pi[:, None])
    w = (w + w.T) / 2
    g = np.sqrt([w[0, 1] * w[0, 2] / w[1, 2], w[0, 1] * w[1, 2] / w[0, 2], w[0, 2] * w[1, 2] / w[0, 1]])
    assert 2 * g.max() < g.sum()
    optimum = solve(pi, loss="linear")
    for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        expected = (g[k] ** 2 - g[i] ** 2 - g[j] ** 2) / (2 * g[i] * g[j])
        assert optimum.gram[i, j] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("counts", [[2, 1], [1e12, 1], [1.0, 1.0 + 1e-9]], ids=str)
def test_two_classes_are_opposite_whatever_their_proportions(name, counts):
    for method in ("auto", "burer-monteiro"):
        optimum = solve(counts, loss=name, method=method, tau=0.7)
        np.testing.assert_allclose(optimum.gram, [[1, -1], [-1, 1]], atol=1e-7)
        assert optimum.certified


@pytest.mark.parametrize("name", ["infonce", "exp", "lme"])
@pytest.mark.parametrize("counts", [[5, 4, 3], [3, 2.9, 1.2], [1e4, 9e3, 8e3]], ids=str)
@pytest.mark.parametrize("negatives", [1, 7, None])
def test_three_classes_close_a_triangle_of_forces(name, counts, negatives):
    """Theory 3: any psi; the vectors g_i mu_i close a triangle with sides g_i = sqrt(lambda_i)."""
    optimum = solve(counts, loss=name, negatives=negatives, tau=0.3)
    program = Program(optimum.proportions, named_loss(name, negatives=negatives), 0.3)
    g = np.sqrt(-(program.forces(optimum.gram) * optimum.gram).sum(axis=1))
    for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        expected = (g[k] ** 2 - g[i] ** 2 - g[j] ** 2) / (2 * g[i] * g[j])
        assert optimum.gram[i, j] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", [*SMOOTH, "hinge"])
@pytest.mark.parametrize("nearly", [1e-14, 1e-12, 1e-10, 1e-6, 1e-3])
def test_nearly_equal_proportions_are_nearly_a_simplex(name, nearly):
    optimum = solve(1.0 + nearly * np.arange(5), loss=name, margin=1.6)
    assert optimum.certified
    if name not in ("hinge", "linear"):  # theirs need not be unique
        assert (optimum.rank, optimum.distinct, optimum.unresolved) == (4, 5, 0)
        np.testing.assert_allclose(optimum.gram[np.triu_indices(5, 1)], -0.25, atol=50 * nearly + 1e-8)


def test_office_home_cifar_100_and_imagenet_like_long_tails():
    office = np.array([*range(99, 60, -2), *[30] * 20, *[5] * 15, *[1] * 10])
    cifar = np.floor(500 * 100 ** (-np.arange(100) / 99))
    imagenet = np.floor(1280 * 256.0 ** (-np.arange(200) / 199))
    for counts in (office, cifar, imagenet):
        for name in ("infonce", "supcon"):
            optimum = solve(counts, loss=name, tau=0.1)
            assert optimum.relative_gap < 1e-9
            assert (optimum.rank, optimum.distinct, optimum.unresolved) == (len(counts) - 1, len(counts), 0)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("tau", [0.01, 0.05, 5.0, 20.0])
def test_temperatures_from_a_hundredth_to_twenty(name, tau):
    optimum = solve([20, 10, 5, 4, 4], loss=name, tau=tau)
    assert optimum.relative_gap < 1e-9
    assert np.isfinite(optimum.gram).all()


@pytest.mark.parametrize("ratio", [1.0, 1e4, 1e8, 1e12])
@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_ratios_up_to_1e12(ratio, tau):
    optimum = solve(ratio ** (-np.arange(10) / 9), tau=tau)
    assert optimum.relative_gap < 1e-10
    # Theory 5.4: at tau = 1 fully antipodal from R = 1e6 on; at tau = 0.1 no collapse.
    if tau == 1.0 and ratio >= 1e6:
        assert (optimum.rank, optimum.distinct) == (1, 2)
    if tau == 0.1 or ratio == 1.0:
        assert (optimum.rank, optimum.distinct) == (9, 10)


@given(st.lists(st.floats(1.0, 50.0), min_size=3, max_size=5), st.integers(0, 4), st.floats(0.2, 1.5))
@settings(max_examples=20, deadline=None)
def test_splitting_a_class_is_a_restriction_with_collisions(weights, which, tau):
    """Two halves of a class could sit on one vector; with collisions that costs exactly the unsplit loss."""
    which %= len(weights)
    halves = [*weights, weights[which] / 2]
    halves[which] /= 2
    whole, split = (solve(w, loss="exp", tau=tau, collisions=True) for w in (weights, halves))
    assert split.value <= whole.value * (1 + 1e-9)


@given(st.lists(st.floats(1.0, 50.0), min_size=3, max_size=6), st.floats(0.2, 1.0), st.floats(1.1, 3.0))
@settings(max_examples=20, deadline=None)
def test_more_weight_on_the_negatives_costs_more(weights, tau, factor):
    assert solve(weights, tau=tau, q=factor).value > solve(weights, tau=tau).value


def test_hinge_that_the_simplex_meets_has_no_loss():
    optimum = solve([5, 3, 1], loss="hinge", margin=1.0)
    assert (optimum.value, optimum.relative_gap, optimum.method) == (0.0, 0.0, "closed-form")


@pytest.mark.parametrize("margin", [1.52, 1.8, 3.0])
@pytest.mark.parametrize("counts", [[50, 20, 10, 5, 2], [9, 9, 9, 2, 2, 2, 2]], ids=str)
def test_hinge_is_certified_although_its_optimum_sits_on_kinks(counts, margin):
    optimum = solve(counts, loss="hinge", margin=margin)
    assert optimum.relative_gap < 1e-6
    rng = np.random.default_rng(0)
    program = Program(optimum.proportions, named_loss("hinge", margin=margin), 1.0)
    for _ in range(20):
        vectors = rng.normal(size=(len(counts), 3))
        vectors /= np.linalg.norm(vectors, axis=1)[:, None]
        gram = vectors @ vectors.T
        np.fill_diagonal(gram, 1.0)
        bound = certify(program, (gram + gram.T) / 2)
        assert bound.lower_bound <= optimum.value * (1 + 1e-12)


class Falling(MeanLoss):
    name = "falling"

    def inner(self, t):
        return -np.exp(t), -np.exp(t), -np.exp(t)


class Logistic(MeanLoss):
    name = "logistic"
    floor = 0.0

    def inner(self, t):
        s = 1.0 / (1.0 + np.exp(-t))
        return np.logaddexp(0.0, t), s, s * (1.0 - s)


def test_a_loss_of_ones_own_is_solved_and_a_wrong_one_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimum = solve([9, 3, 1], loss=Logistic(), tau=0.5)
    assert optimum.relative_gap < 1e-11
    assert optimum.loss == "logistic"
    # one negative of infonce with Q = 1 is the same loss
    np.testing.assert_allclose(optimum.gram, solve([9, 3, 1], negatives=1, tau=0.5).gram, atol=1e-8)
    with pytest.warns(LossWarning, match="not"), pytest.raises(UncertifiedError, match="not convex"):
        solve([9, 3, 1], loss=Falling())
    with pytest.warns(LossWarning, match="not"):
        assert not solve([9, 3, 1], loss=Falling(), require_certificate=False).certified


def test_bad_combinations():
    with pytest.raises(UsageError, match="plain weight"):
        solve([3, 2, 1], q="plain")
    with pytest.raises(UsageError, match="at least one negative"):
        solve([3, 2, 1], negatives=0)
    with pytest.raises(UsageError, match="margin"):
        solve([3, 2, 1], loss="hinge", margin=math.nan)
