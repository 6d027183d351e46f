"""Class statistics: against loops, absent and single classes, resamples, and refusals."""

import numpy as np
import pytest

from geometry.collapse import LabelledFeatures, class_statistics
from geometry.errors import DataError, UsageError


def test_means_traces_and_gram_against_loops():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 3, 7], [20, 5, 1]))  # labels with gaps
    x = rng.normal(size=(26, 4)) + y[:, None]
    for weighting in ("balanced", "pooled"):
        stats = class_statistics(x, y, 9, weighting=weighting)
        means = {k: x[y == k].mean(axis=0) for k in (0, 3, 7)}
        centre = np.mean(list(means.values()), axis=0) if weighting == "balanced" else x.mean(axis=0)
        np.testing.assert_allclose(stats.global_mean, centre)
        assert stats.counts.tolist() == [20, 0, 0, 5, 0, 0, 0, 1, 0]
        for k in range(9):
            if k not in means:
                assert np.isnan(stats.means[k]).all()
                assert np.isnan(stats.gram[k]).all()
                continue
            np.testing.assert_allclose(stats.means[k], means[k])
            np.testing.assert_allclose(stats.gram[k, 0], (means[k] - centre) @ (means[0] - centre))
        assert stats.within_traces[3] == pytest.approx(np.mean([np.sum((h - means[3]) ** 2) for h in x[y == 3]]))
        assert np.isnan(stats.within_traces[7])
        assert stats.present.tolist() == [0, 3, 7]


def widened(x, y):
    """What resamples are drawn from: every class spread about its mean with its unbiased variance."""
    found = np.array(x)
    for k in np.unique(y):
        n, mean = (y == k).sum(), x[y == k].mean(axis=0)
        found[y == k] = mean + np.sqrt(n / max(n - 1, 1)) * (x[y == k] - mean)
    return found


def test_resamples_are_drawn_from_classes_of_unbiased_variance():
    rng = np.random.default_rng(5)
    y = np.repeat([0, 1], [4, 9])
    x = rng.normal(size=(13, 3))
    for k in (0, 1):
        np.testing.assert_allclose(np.cov(widened(x, y)[y == k].T, ddof=0), np.cov(x[y == k].T, ddof=1))
    data = LabelledFeatures.of(x, y)
    drawn = np.stack([np.bincount(rng.integers(0, 4, 4), minlength=4) for _ in range(20000)]).astype(float)
    means = data.moments(np.concatenate([drawn, np.ones((20000, 9))], axis=1)).means[:, 0]
    np.testing.assert_allclose(means.var(axis=0), x[:4].var(axis=0, ddof=1) / 4, rtol=0.05)


def test_a_resample_equals_the_drawn_samples_measured_afresh():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1, 2], [30, 12, 2])
    x = rng.normal(size=(44, 7)) + 3 * np.eye(7)[y]
    data = LabelledFeatures.of(x, y)
    drawn = np.concatenate([rng.choice(np.flatnonzero(y == k), (y == k).sum()) for k in range(3)])
    counts = np.bincount(drawn, minlength=44).astype(float)[None]
    for weighting in ("balanced", "pooled"):
        stack = data.moments(counts[:, data.order]).statistics(weighting)
        fresh = class_statistics(widened(x, y)[drawn], y[drawn], weighting=weighting)
        np.testing.assert_allclose(stack.gram[0], fresh.gram, atol=1e-12)
        np.testing.assert_allclose(stack.within_traces[0], fresh.within_traces, atol=1e-12)
        np.testing.assert_allclose(stack.global_mean[0], fresh.global_mean, atol=1e-12)
        np.testing.assert_allclose(stack.spectrum[0], fresh.spectrum, atol=1e-12)


def test_class_variances_of_a_resample_lie_along_the_samples_eigenvectors():
    rng = np.random.default_rng(4)
    y = np.repeat([0, 1, 2], [9, 5, 3])
    x = rng.normal(size=(17, 6)) + 2 * np.eye(6)[y]
    data = LabelledFeatures.of(x, y)
    drawn = np.concatenate([rng.choice(np.flatnonzero(y == k), (y == k).sum()) for k in range(3)])
    stack = data.moments(np.bincount(drawn, minlength=17).astype(float)[None]).statistics("pooled")
    offset = np.stack([x[y == k].mean(axis=0) for k in range(3)]) - x.mean(axis=0)
    vectors = np.linalg.eigh(offset.T @ offset)[1][:, ::-1]
    for k in range(3):
        for r in range(2):  # the third eigenvalue is zero
            assert stack.within_along[0, k, r] == pytest.approx((widened(x, y)[drawn][y == k] @ vectors[:, r]).var())
    assert (stack.within_along[0, :, 2] == 0).all()


def test_unit_multiplicities_are_what_resamples_are_drawn_from():
    rng = np.random.default_rng(2)
    y = np.repeat([0, 2, 3], [9, 4, 1])
    x = rng.normal(size=(14, 5))
    one = LabelledFeatures.of(widened(x, y), y).moments().statistics("pooled")
    stack = LabelledFeatures.of(x, y).moments(np.ones((3, 14))).statistics("pooled")
    for name in ("gram", "spectrum", "within_along", "within_traces", "centred_means", "tolerance"):
        for row in getattr(stack, name):
            np.testing.assert_allclose(row, getattr(one, name), rtol=1e-9, atol=1e-12)


def test_a_large_common_offset_costs_no_digits():
    rng = np.random.default_rng(3)
    y = np.repeat([0, 1], [10, 8])
    x = rng.normal(size=(18, 3)).round(6)
    np.testing.assert_allclose(
        class_statistics(x + 2.0**20, y).within_traces, class_statistics(x, y).within_traces, rtol=1e-8
    )


@pytest.mark.parametrize(
    ("features", "labels", "words"),
    [
        (np.zeros((3, 2)), [0, 1], r"got shapes \(3, 2\) and \(2,\)"),
        (np.zeros((0, 2)), np.zeros(0, int), "N >= 1"),
        (np.zeros(3), [0, 1, 1], "features"),
        (np.zeros((2, 2)), [0.0, 1.0], "integer labels"),
        (np.zeros((2, 2)), [0, -1], "labels in 0"),
        ([[0.0], [np.nan]], [0, 1], "NaN"),
    ],
)
def test_bad_input_is_refused_in_words(features, labels, words):
    with pytest.raises(DataError, match=words):
        class_statistics(features, labels)


def test_label_beyond_num_classes_and_unknown_weighting():
    with pytest.raises(DataError, match=r"0\.\.1"):
        class_statistics(np.zeros((2, 2)), [0, 2], 2)
    with pytest.raises(UsageError, match="balanced or pooled"):
        class_statistics(np.eye(2), [0, 1], weighting="median")
