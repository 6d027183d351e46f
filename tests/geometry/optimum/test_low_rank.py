import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from geometry.atomic import plain
from geometry.errors import UsageError
from geometry.optimum import InfoNCE, Program, class_proportions, solve, solve_low_rank
from geometry.optimum.burer_monteiro import FactorPoint
from geometry.optimum.low_rank import _least_curvature
from geometry.optimum.program import unit_gram, unit_rows


def low_rank(counts, dimension, seed=0, **kwargs):
    return solve_low_rank(counts, dimension, rng=np.random.default_rng(seed), **kwargs)


def naive_loss(counts, vectors, tau):
    """InfoNCE in the limit of many negatives, class by class."""
    pi = [n / sum(counts) for n in counts]
    total = 0.0
    for y, p in enumerate(pi):
        inner = sum(
            pi[c] / (1 - p) * math.exp((float(vectors[y] @ vectors[c]) - 1) / tau) for c in range(len(pi)) if c != y
        )
        total += p * math.log(1 + inner)
    return total


@pytest.mark.parametrize("size", [4, 5, 8, 11])
@pytest.mark.parametrize("tau", [0.1, 0.5, 1.0])
def test_balanced_classes_on_the_circle_are_a_regular_polygon(size, tau):
    found = low_rank([1] * size, 2, tau=tau)
    steps = 2 * np.pi * np.arange(size) / size
    polygon = np.cos(steps[:, None] - steps)
    value = Program(np.full(size, 1 / size), InfoNCE(), tau).value((polygon + polygon.T) / 2)
    assert found.value <= value * (1 + 1e-12)
    if tau < 0.5:  # at high temperature, opposite clusters beat the polygon
        np.testing.assert_allclose(np.sort(found.gram, axis=1), np.sort(polygon, axis=1), atol=1e-6)
    assert not found.certified
    assert found.relative_gap > 1e-3


@pytest.mark.parametrize("counts", [[5, 3, 2, 1, 1], [9, 4, 4, 1], [1, 1, 1, 1, 1, 1]], ids=str)
@pytest.mark.parametrize("tau", [0.2, 1.0])
def test_signs_in_one_dimension_against_all_of_them(counts, tau):
    everything = itertools.product([-1.0, 1.0], repeat=len(counts))
    least = min(naive_loss(counts, np.array(signs)[:, None], tau) for signs in everything)
    found = low_rank(counts, 1, tau=tau)
    assert found.value == pytest.approx(least, rel=1e-12)
    assert set(np.abs(found.vectors).ravel()) == {1.0}
    assert math.isnan(found.curvature)
    assert found.second_order


@pytest.mark.parametrize(("counts", "dimension"), [([5, 3, 2, 1, 1], 2), ([9, 5, 3, 1], 2), ([6, 5, 4, 3, 2, 1], 3)])
@pytest.mark.parametrize("tau", [0.3, 1.0])
def test_no_quasi_newton_run_from_anywhere_does_better(counts, dimension, tau):
    """An oracle that shares no code: free unit vectors, loops, SciPy, many starts."""

    def loss(flat):
        vectors = flat.reshape(len(counts), dimension)
        return naive_loss(counts, vectors / np.linalg.norm(vectors, axis=1)[:, None], tau)

    rng = np.random.default_rng(1)
    least = min(minimize(loss, rng.normal(size=len(counts) * dimension), tol=1e-9).fun for _ in range(4))
    found = low_rank(counts, dimension, tau=tau, starts=30)
    assert found.value <= least * (1 + 1e-9)
    assert found.value == pytest.approx(naive_loss(counts, found.vectors, tau), rel=1e-12)
    assert found.value >= found.lower_bound
    assert found.relative_gap == pytest.approx(found.value / found.lower_bound - 1, rel=1e-9)


@pytest.mark.parametrize("name", ["infonce", "lme", "supcon", "exp", "quadratic", "linear"])
def test_every_smooth_loss_ends_at_a_second_order_stationary_point(name):
    found = low_rank([8, 5, 3, 2, 1, 1], 2, loss=name)
    convex = solve([8, 5, 3, 2, 1, 1], loss=name)
    assert found.second_order
    assert found.residual < 1e-6
    assert -1e-6 <= found.curvature < 1e-9
    assert found.value >= convex.value - 1e-12 * abs(convex.value)
    if convex.rank > 2:
        assert 1 <= found.reached <= found.starts
        assert (found.method, found.certified, found.rank) == ("low-rank", False, 2)
    else:
        assert (found.method, found.certified) == (convex.method, True)


def test_three_classes_in_two_dimensions_are_the_convex_optimum():
    convex = solve([5, 4, 3], tau=0.5)
    for dimension in (2, 3, 7):
        found = low_rank([5, 4, 3], dimension, tau=0.5)
        assert found.certified
        assert (found.method, found.starts, found.convex_rank) == (convex.method, 0, 2)
        assert found.vectors.shape == (3, dimension)
        np.testing.assert_allclose(found.vectors @ found.vectors.T, convex.gram, atol=1e-9)
        assert (found.value, found.lower_bound) == (convex.value, convex.lower_bound)


def test_a_collapsed_optimum_fits_into_few_dimensions():
    found = low_rank([500, 50, 5], 1)
    assert found.certified
    assert (found.method, found.convex_rank, found.distinct) == (solve([500, 50, 5]).method, 1, 2)


@given(
    weights=st.lists(st.floats(1.0, 20.0), min_size=4, max_size=6), tau=st.floats(0.2, 1.0), seed=st.integers(0, 10**6)
)
@settings(max_examples=10, deadline=None)
def test_more_dimensions_never_cost(weights, tau, seed):
    values = [low_rank(weights, d, seed, tau=tau, starts=12).value for d in range(1, len(weights))]
    bound = solve(weights, tau=tau).lower_bound
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in itertools.pairwise(values))
    assert values[-1] >= bound


@pytest.mark.parametrize(("size", "dimension"), [(4, 2), (6, 4)])
def test_curvature_dense_and_by_lanczos_and_by_finite_differences(size, dimension, monkeypatch):
    rng = np.random.default_rng(0)
    program = Program(class_proportions(np.arange(1.0, size + 1)), InfoNCE(), 0.4)
    point = FactorPoint(program, unit_rows(rng.normal(size=(size, dimension))))
    dense, direction = _least_curvature(point)
    monkeypatch.setitem(_least_curvature.__globals__, "DENSE", 0)
    lanczos, other = _least_curvature(point)
    assert dense == pytest.approx(lanczos, abs=1e-6)
    assert dense < 0
    overlap = (direction * other * point.scale).sum()
    norms = [np.sqrt((d * d * point.scale).sum()) for d in (direction, other)]
    assert abs(overlap) == pytest.approx(norms[0] * norms[1], rel=1e-3)
    # along the great circles through V the value bends by <move, Hessian move>
    lengths = np.linalg.norm(direction, axis=1)[:, None]
    step = 1e-3

    def value(t):
        turned = np.cos(t * lengths) * point.factor + np.sin(t * lengths) * direction / lengths
        return program.value(unit_gram(turned)) / program.unit

    second = (value(step) - 2 * value(0.0) + value(-step)) / step**2
    assert (direction * point.hessian(direction)).sum() == pytest.approx(second, rel=1e-4)
    assert dense == pytest.approx((direction * point.hessian(direction)).sum() / norms[0] ** 2, rel=1e-6)


def test_local_minima_on_the_circle_are_the_orders_of_the_classes():
    """Five classes have 4!/2 = 12 orders around a circle; several starts are needed to meet the best."""
    counts = [50, 30, 20, 10, 5]
    found = {round(low_rank(counts, 2, seed, tau=0.2, starts=1).value, 10) for seed in range(3)}
    assert len(found) == 1  # the first start is the projected simplex, whatever the seed
    best = low_rank(counts, 2, tau=0.2, starts=60)
    assert best.value < min(found) * (1 - 1e-3)
    assert 1 <= best.reached < 30


def test_a_saddle_point_is_left(monkeypatch):
    """Vectors on one line have no gradient across it, so only the curvature shows the way off."""
    line = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    minimised, ends = solve_low_rank.__globals__["_minimised"], []

    def stuck_at_first(program, start):
        ends.append(minimised(program, start) if ends else (program.value(unit_gram(line)), line))
        return ends[-1]

    monkeypatch.setitem(solve_low_rank.__globals__, "_minimised", stuck_at_first)
    square = low_rank([1, 1, 1, 1], 2, tau=0.2, starts=1)
    assert ends[1][0] < ends[0][0]
    assert "1 saddle points left" in square.status
    assert (square.second_order, square.reached) == (True, 1)
    np.testing.assert_allclose(np.sort(square.gram[0]), [-1, 0, 0, 1], atol=1e-8)


def test_same_seed_same_answer_and_result_becomes_json():
    first, second = (low_rank([5, 3, 2, 1, 1], 2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.gram, second.gram)
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.value = 0.0
    report = json.loads(json.dumps(plain(first), allow_nan=False))
    wanted = {"gram", "value", "rank", "distinct", "method", "relative_gap", "certified", "seconds"}
    assert wanted | {"lower_bound", "starts", "reached", "dimension", "convex_rank"} <= set(report)


def test_progress_is_told():
    told = []
    low_rank([5, 3, 2, 1], 2, starts=4, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("dimension", "kwargs", "message"),
    [
        (0, {}, "feature dimension of at least 1"),
        (2.5, {}, "feature dimension of at least 1"),
        (2, {"starts": 0}, "at least one start"),
        (2, {"loss": "hinge"}, "has kinks"),
        (2, {"loss": "hardest"}, "has kinks"),
        (2, {"tau": -1.0}, "temperature"),
    ],
)
def test_bad_settings(dimension, kwargs, message):
    with pytest.raises(UsageError, match=message):
        low_rank([3, 2, 1, 1], dimension, **kwargs)
