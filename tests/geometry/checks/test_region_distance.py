"""Distance to a class's region against closed forms and a general solver."""

import cvxpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.bound.margin import geometric_margin
from geometry.checks.region_distance import region_distance


def solved(scores, k, weight):
    """Distance into region k by a general convex solver."""
    step = cvxpy.Variable(weight.shape[1])
    normals, gaps = np.delete(weight[k] - weight, k, axis=0), np.delete(scores[k] - scores, k)
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.sum_squares(step)), [normals @ step + gaps >= 0])
    problem.solve(solver="CLARABEL")
    return np.sqrt(problem.value)


@pytest.mark.parametrize("seed", range(3))
def test_outside_it_is_the_shortest_step_into_the_region(seed):
    rng = np.random.default_rng(seed)
    weight, features = rng.normal(size=(5, 7)), rng.normal(size=(8, 7))
    scores = features @ weight.T + rng.normal(size=5)
    for k in range(5):
        distance = region_distance(scores, np.full(8, k), weight)
        inside = scores.argmax(axis=1) == k
        np.testing.assert_allclose(distance[inside], geometric_margin(scores, np.full(8, k), weight)[inside])
        for i in np.flatnonzero(~inside):
            assert -distance[i] == pytest.approx(solved(scores[i], k, weight), rel=1e-5, abs=1e-6)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_it_never_falls_short_of_the_farthest_half_space_and_turns_with_the_space(seed):
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(4, 3))
    scores, labels = rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    distance, bound = region_distance(scores, labels, weight), geometric_margin(scores, labels, weight)
    assert np.all(distance <= bound + 1e-9)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    np.testing.assert_allclose(region_distance(scores, labels, weight @ turn), distance, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(region_distance(3 * scores, labels, 3 * weight), distance, rtol=1e-6, atol=1e-9)


def test_two_classes_are_the_closed_form():
    weight = np.array([[1.0, 2.0], [-1.0, 0.0]])
    assert region_distance([[1.0, 3.0]], [0], weight)[0] == pytest.approx(-2 / np.sqrt(8))


def test_a_class_that_never_wins_is_infinitely_far():
    weight = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # class 1 is class 0 with a lower bias
    assert region_distance([[2.0, 1.0, 0.0]], [1], weight)[0] == -np.inf
    # In the hull of the others with a lower bias: every half-space can be reached, their intersection cannot.
    weight = np.array([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert region_distance([[-1.0, 0.5, 0.5]], [0], weight)[0] == -np.inf
