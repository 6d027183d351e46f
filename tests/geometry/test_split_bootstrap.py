"""Redraws of samples that several splits share, against naive loops and known error rates."""

import numpy as np
import pytest

from geometry.errors import DataError, UsageError
from geometry.significance import bootstrap_test
from geometry.split_bootstrap import redrawn_accuracies


def made_up(rng, rate=(0.7, 0.7), n=150, splits=3, tested=0.8):
    """Outcomes of two classifiers on splits of the same samples; a sample has its own difficulty in all splits."""
    classes = np.repeat([0, 1, 2], [n - n // 3 - n // 10, n // 3, n // 10])
    ease = rng.normal(size=n)
    noise = rng.normal(size=(n, 2)) * 0.7 + rng.normal(size=(n, splits, 2)).transpose(1, 0, 2)
    threshold = np.sqrt(1 + 0.49 + 1) * np.array([{0.7: 0.524, 0.85: 1.036}[r] for r in rate])
    right = (ease[:, None] + noise + threshold > 0).transpose(1, 0, 2).astype(float)
    right[rng.random((n, splits)) > tested] = np.nan
    return right, classes


@pytest.mark.parametrize("balanced", [True, False])
def test_the_estimate_is_each_splits_accuracy(balanced):
    outcomes, classes = made_up(np.random.default_rng(0))
    found = redrawn_accuracies(outcomes, classes, rng=np.random.default_rng(1), balanced=balanced, resamples=30)
    for s in range(3):
        for c in range(2):
            mine = outcomes[:, s, c]
            by_class = [np.nanmean(mine[classes == k]) for k in range(3)]
            assert found.estimate[s, c] == pytest.approx(np.mean(by_class) if balanced else np.nanmean(mine))
    assert found.draws.shape == (30, 3, 2)
    assert found.samples == 150


def test_redraws_are_those_of_a_naive_loop():
    outcomes, classes = made_up(np.random.default_rng(2))
    found = redrawn_accuracies(outcomes, classes, rng=np.random.default_rng(3), resamples=25)
    rng = np.random.default_rng(3)
    times = [rng.multinomial(n, np.full(n, 1 / n), size=25) for n in np.bincount(classes)]
    for r in range(25):
        index = np.concatenate([np.repeat(np.flatnonzero(classes == k), times[k][r]) for k in range(3)])
        drawn, names = outcomes[index], classes[index]
        expected = np.mean([np.nanmean(drawn[names == k], axis=0) for k in range(3)], axis=0)
        np.testing.assert_allclose(found.draws[r], expected)


def test_an_absent_split_is_undefined_and_single_samples_stay():
    outcomes = np.array([[[1.0, np.nan]], [[0.0, np.nan]], [[1.0, np.nan]]])
    found = redrawn_accuracies(outcomes, [0, 0, 7], rng=np.random.default_rng(0), resamples=20)
    assert found.estimate[0, 0] == 0.75
    assert np.isnan(found.estimate[0, 1])
    assert np.isnan(found.draws[:, 0, 1]).all()
    assert set(found.draws[:, 0, 0]) <= {0.5, 0.75, 1.0}


def p_value(rng, rate):
    outcomes, classes = made_up(rng, rate)
    found = redrawn_accuracies(outcomes, classes, rng=rng, balanced=False, resamples=200)
    gain = (found.draws[..., 0] - found.draws[..., 1]).mean(axis=1)
    estimate = float((found.estimate[:, 0] - found.estimate[:, 1]).mean())
    return bootstrap_test(estimate, gain, units=found.samples, method="test").p_value


def test_error_rate_and_power():
    rng = np.random.default_rng(4)
    null = np.mean([p_value(rng, (0.7, 0.7)) <= 0.05 for _ in range(200)])
    assert null <= 0.105  # mean 0.05, standard deviation 0.015
    assert np.mean([p_value(rng, (0.85, 0.7)) <= 0.05 for _ in range(30)]) > 0.8


def test_bad_input_is_named():
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="outcomes"):
        redrawn_accuracies(np.zeros((3, 2)), [0, 0, 0], rng=rng)
    with pytest.raises(DataError, match="classes"):
        redrawn_accuracies(np.zeros((3, 2, 1)), [0, 0], rng=rng)
    with pytest.raises(UsageError, match="20 resamples"):
        redrawn_accuracies(np.zeros((3, 2, 1)), [0, 0, 0], rng=rng, resamples=5)
