from itertools import chain, combinations

import numpy as np
import pytest

from geometry.bound.theorems import hull_distance, posterior_form
from geometry.errors import DataError


def finite_problem(rng):
    """Sources, weights, target on a finite X x Y, and a few classifiers; sparse ones have points without mass."""
    sources, points, classes = int(rng.integers(1, 5)), int(rng.integers(2, 9)), int(rng.integers(2, 6))
    sharp = rng.choice([0.02, 0.1, 1.0, 5.0])
    joints = rng.dirichlet(np.full(points * classes, sharp), size=sources + 1).reshape(-1, points, classes)
    joints = np.where(joints < 1e-12, 0.0, joints)
    joints /= joints.sum(axis=(1, 2), keepdims=True)
    near = rng.choice([0.0, 0.9])  # a target close to a mixture of the sources, or one anywhere
    joints[-1] = (1 - near) * joints[-1] + near * joints[:-1].mean(axis=0)
    rules = rng.integers(0, classes, size=(int(rng.integers(1, 5)), points))
    return joints[:-1], rng.dirichlet(np.ones(sources)), joints[-1], rules


def test_never_violated_on_random_finite_problems():
    rng, slacks, hull_slacks = np.random.default_rng(0), [], []
    for trial in range(3000):
        sources, weights, target, rules = finite_problem(rng)
        hull = trial % 30 == 0
        found = posterior_form(sources, weights, target, rules, hull=hull)
        wrong = rules[0][:, None] != np.arange(target.shape[1])
        assert found.target_risk == pytest.approx((target * wrong).sum(), abs=1e-12)
        assert found.source_risk == pytest.approx((np.tensordot(weights, sources, 1) * wrong).sum(), abs=1e-12)
        assert found.slack >= -1e-12
        slacks.append(found.slack)
        if hull:
            assert found.hull_bound >= found.bound - 1e-9
            hull_slacks.append(found.hull_bound - found.target_risk)
            for half, gamma, eps in zip(found.divergence, found.gamma, found.eps, strict=True):
                assert half <= gamma + eps + 1e-9
    assert len(hull_slacks) == 100
    assert np.all(np.quantile(slacks, [0.01, 0.25]) < [0.05, 0.2])  # not so loose as to say nothing
    assert min(hull_slacks) >= -1e-9


def test_either_line_of_the_minimum_can_be_the_smaller_one():
    rng, lines = np.random.default_rng(1), set()
    for _ in range(200):
        found = posterior_form(*finite_problem(rng), hull=False)
        sums = np.add(found.divergence, found.posterior)
        assert found.bound == pytest.approx(found.source_risk + sums.min())
        lines.add(int(np.argmin(sums)))
    assert lines == {0, 1}


def test_the_discrepancy_equals_a_loop_over_hypotheses_and_thresholds():
    rng = np.random.default_rng(2)
    for _ in range(30):
        sources, weights, target, rules = finite_problem(rng)
        found = posterior_form(sources, weights, target, rules, hull=False)
        source = np.tensordot(weights, sources, 1)
        p_s, p_t = source.sum(axis=1), target.sum(axis=1)
        best = 0.0
        for rule in rules:
            error = [1 - (source[x, rule[x]] / p_s[x] if p_s[x] > 0 else 1 / target.shape[1]) for x in range(len(p_s))]
            for t in (*error, -1.0):
                inside = [x for x in range(len(p_s)) if error[x] > t]
                best = max(best, abs(sum(p_t[x] - p_s[x] for x in inside)))
        assert found.divergence[0] == pytest.approx(best, abs=1e-12)


def test_hull_distance_against_enumeration_and_closed_form():
    rng = np.random.default_rng(3)
    for _ in range(20):
        target, sources = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(5), size=2)
        distance, weights = hull_distance(target, sources)
        grid = np.linspace(0, 1, 2001)[:, None]
        table = 0.5 * np.abs(target - grid * sources[0] - (1 - grid) * sources[1]).sum(axis=1)
        assert distance == pytest.approx(table.min(), abs=1e-3)
        assert distance <= table.min() + 1e-9
        assert weights.sum() == pytest.approx(1.0)
        sets = np.array(
            [[x in part for x in range(5)] for part in chain(*(combinations(range(5), r) for r in range(6)))]
        )
        assert hull_distance(target, sources, sets)[0] == pytest.approx(distance, abs=1e-7)
    inside = np.array([0.3, 0.7]) @ sources
    assert hull_distance(inside, sources)[0] == pytest.approx(0.0, abs=1e-9)
    assert hull_distance(target, target[None])[0] == pytest.approx(0.0, abs=1e-12)


def test_ties_counted_as_errors_break_the_theorem():
    """THEORY.md's counter-example: the scores tie where only the target has mass."""
    source, target = [[[0.0, 0.0], [1.0, 0.0]]], [[1.0, 0.0], [0.0, 0.0]]
    scores = np.array([[0.5, 0.5], [1.0, 0.0]])
    found = posterior_form(source, [1.0], target, [scores.argmax(axis=1)], hull=False)
    tie_risk = sum(
        mass * (scores[x, y] <= np.delete(scores[x], y).max())
        for x, row in enumerate(target)
        for y, mass in enumerate(row)
    )
    # Whatever posterior the source is given at the point it does not hold, (1, 0) is one choice.
    epsilon = 1e-6
    nearly = [[[epsilon, 0.0], [1.0 - epsilon, 0.0]]]
    bound = posterior_form(nearly, [1.0], target, [scores.argmax(axis=1)], hull=False)
    assert bound.bound == pytest.approx(0.0, abs=1e-9)
    assert bound.target_risk == 0.0
    assert tie_risk == 1.0 > bound.bound
    assert found.slack >= 0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"weights": [0.5, 0.6]}, "sum to 1"),
        ({"weights": [1.0]}, r"\(M, X, K\)"),
        ({"hypotheses": [[0, 2]]}, "classes 0..1"),
    ],
)
def test_impossible_quantities_are_refused(change, match):
    good = {
        "sources": np.full((2, 2, 2), 0.25),
        "weights": [0.5, 0.5],
        "target": np.full((2, 2), 0.25),
        "hypotheses": [[0, 1]],
    }
    with pytest.raises(DataError, match=match):
        posterior_form(**(good | change))
