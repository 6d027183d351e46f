import numpy as np
import pytest

from geometry.bound.theorems import margin_form
from geometry.errors import DataError

GOOD = {"margin_risk": [0.1, 0.2], "delta": [1.0, 1.0], "counts": [10, 10], "feature_norm": 1.0, "weight_norm": 1.0}


def scores_margin(weight, features, label):
    scores = features @ weight.T
    return scores[:, label] - np.delete(scores, label, axis=1).max(axis=1)


def test_terms_by_hand():
    found = margin_form([0.1, 0.3], [2.0, 0.5], [100, 25], feature_norm=3.0, weight_norm=0.5, eta=0.1, divergence=0.2)
    np.testing.assert_allclose(found.capacity, [4 * 2 * 3 * 0.5 / (2 * 10), 4 * 2 * 3 * 0.5 / (0.5 * 5)])
    np.testing.assert_allclose(found.confidence, [np.sqrt(np.log(20) / 200), np.sqrt(np.log(20) / 50)])
    total = 0.2 + found.capacity.mean() + found.confidence.mean() + 0.2
    assert found.bound == pytest.approx(total)
    assert found.vacuous == (total >= 1)
    expected = np.mean([1 / 20 + np.log(125) / 10, 1 / 2.5 + np.log(125) / 5])
    assert found.ldam_sum == pytest.approx(expected)


def test_covers_the_true_balanced_error_of_the_worst_head_of_a_family():
    """Two caps of the unit circle, heads of every angle: the bound has to hold for all of them at once."""
    rng, classes, eta = np.random.default_rng(0), 2, 0.2
    angles = np.linspace(0, np.pi, 25)
    heads = np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def draw(label, n):
        where = label * np.pi / 2 + rng.normal(scale=0.6, size=n)
        return np.stack([np.cos(where), np.sin(where)], axis=1)

    population = [draw(k, 20_000) for k in range(classes)]
    counts, delta, covered, informative = np.array([4000, 1000]), np.array([1.0, 1.0]), 0, 0
    for _ in range(40):
        samples = [draw(k, n) for k, n in enumerate(counts)]
        slacks, bounds = [], []
        for head in heads:
            weight = np.stack([head, -head])
            truth = np.mean([np.mean(scores_margin(weight, population[k], k) <= 0) for k in range(classes)])
            empirical = [np.mean(scores_margin(weight, samples[k], k) <= delta[k]) for k in range(classes)]
            bound = margin_form(empirical, delta, counts, feature_norm=1.0, weight_norm=1.0, eta=eta).bound
            slacks.append(bound - truth)
            bounds.append(bound)
        covered += min(slacks) >= 0
        informative += min(bounds) < 1
    assert covered >= 40 * (1 - eta)
    assert informative == 40  # with thousands of samples a class the bound is below 1 for the best head


def test_networks_make_it_vacuous():
    """Norms and margins of a frozen ResNet-50 head on a few hundred images."""
    found = margin_form([0.0] * 7, [1.0] * 7, [300] * 7, feature_norm=25.0, weight_norm=1.0)
    assert found.vacuous
    assert found.bound > 10


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"delta": [0.0, 1.0]}, "positive deltas"),
        ({"counts": [0, 10]}, "positive deltas"),
        ({"margin_risk": [0.1, 1.2]}, "positive deltas"),
        ({"delta": [1.0]}, "three arrays"),
        ({"eta": 1.0}, "eta"),
    ],
)
def test_impossible_quantities_are_refused(change, match):
    with pytest.raises(DataError, match=match):
        margin_form(**(GOOD | change))
