import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.checks.nearer_half import nearer_half, nearer_probability
from geometry.checks.verdict import decide
from geometry.errors import DataError


def by_counting(confidence, distance):
    """Every pair of the two halves, one by one."""
    n = len(confidence)
    low = [i for i in range(n) if sum(c <= confidence[i] for c in confidence) <= n / 2]
    high = [i for i in range(n) if sum(c < confidence[i] for c in confidence) >= n / 2]
    if not low or not high:
        return np.nan
    wins = [(distance[i] < distance[j]) + 0.5 * (distance[i] == distance[j]) for i in low for j in high]
    return np.mean(wins)


values = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=14)


@settings(max_examples=60, deadline=None)
@given(values)
def test_the_probability_is_the_share_of_pairs(pairs):
    confidence, distance = np.array(pairs, dtype=float).T
    found = nearer_probability(confidence, distance)
    assert float(found) == pytest.approx(by_counting(confidence, distance), nan_ok=True)
    # Only order counts, and running against it mirrors the probability.
    assert float(nearer_probability(np.exp(confidence), distance**3)) == pytest.approx(float(found), nan_ok=True)
    assert float(nearer_probability(-confidence, distance)) == pytest.approx(1 - float(found), nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(values, st.integers(0, 1000))
def test_weights_are_repetitions(pairs, seed):
    confidence, distance = np.array(pairs, dtype=float).T
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(pairs)))
    found = nearer_probability(confidence, distance, weights)
    assert found.shape == (3,)
    for row, value in zip(weights, found, strict=True):
        repeated = np.repeat(np.arange(len(pairs)), row)
        expected = by_counting(confidence[repeated], distance[repeated]) if repeated.size else np.nan
        assert value == pytest.approx(expected, nan_ok=True)


def test_shapes_are_checked():
    with pytest.raises(DataError, match="one length"):
        nearer_probability(np.zeros(3), np.zeros(2))


def test_classes_are_averaged_and_not_mixed():
    # Within each class the surer are nearer; between classes it is the other way round.
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2], [40, 40, 4])
    confidence = rng.uniform(size=84) + 10 * classes
    distance = -confidence + 30 * classes
    assert nearer_probability(confidence, distance) > 0.9
    found = nearer_half(confidence, distance, classes, classes, rng=rng, fewest=10)
    assert found.probability.estimate == 0
    assert found.probability.n == 80
    assert (found.classes, found.left_out) == (2, 1)


def test_nothing_to_judge():
    rng = np.random.default_rng(0)
    one = np.zeros(20, dtype=int)
    same = nearer_half(np.ones(20), rng.uniform(size=20), one, one, rng=rng, fewest=10)
    assert np.isnan(same.probability.estimate)
    assert (same.classes, same.left_out) == (0, 1)
    none = nearer_half(np.zeros(0), np.zeros(0), one[:0], one[:0], rng=rng, fewest=10)
    assert (none.classes, none.left_out) == (0, 0)


def test_false_verdicts_stay_near_the_stated_level_where_confidence_says_nothing():
    rng, outcomes = np.random.default_rng(0), []
    classes = np.repeat([0, 1, 2], [60, 30, 15])
    for _ in range(200):
        found = nearer_half(
            rng.normal(size=105) + classes, rng.exponential(size=105), classes, classes, rng=rng, fewest=10
        )
        outcomes.append(decide(found.probability, 0.5))
    # 2.5% on either side; central 99.9% of binomial(200, 0.025) ends at 13
    assert outcomes.count("holds") <= 13
    assert outcomes.count("does not hold") <= 13
    assert outcomes.count("undecided") < 200
