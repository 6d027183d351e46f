import numpy as np
import pytest

from geometry.bound import divergence
from geometry.bound.divergence import proxy_a_distance
from geometry.errors import DataError


def distance(features, side, labels, weighting="raw", seed=0, **options):
    rng = np.random.default_rng(seed)
    return proxy_a_distance(features, side, labels, where="a | b", weighting=weighting, rng=rng, **options)


def two_domains(shift, n=300, d=6, seed=0):
    rng = np.random.default_rng(seed)
    side = np.repeat([0, 1], n)
    features = rng.normal(size=(2 * n, d))
    features[side == 1, 0] += shift
    return features, side, rng.integers(0, 4, 2 * n)


@pytest.mark.parametrize("weighting", divergence.WEIGHTINGS)
def test_separable_domains_are_two_apart_and_equal_ones_are_not(weighting):
    far = distance(*two_domains(40.0), weighting)
    assert far.distance.estimate == 2.0
    assert far.error == 0.0
    near = distance(*two_domains(0.0), weighting)
    assert near.distance.estimate < 0.25
    assert near.error == pytest.approx(0.5, abs=0.06)
    assert near.distance.low == 0.0


def test_gaussian_shift_gives_the_bayes_error():
    from scipy.stats import norm

    result = distance(*two_domains(1.5, n=1500))
    assert result.error == pytest.approx(norm.cdf(-0.75), abs=0.025)
    assert result.distance.low < 2 * (1 - 2 * norm.cdf(-0.75)) < result.distance.high


def test_cross_fitting_is_honest_with_more_features_than_samples():
    features, side, labels = two_domains(0.0, n=40, d=400)
    assert distance(features, side, labels).error == pytest.approx(0.5, abs=0.2)


def test_label_shift_alone_moves_the_raw_distance_only():
    rng = np.random.default_rng(1)
    labels = np.concatenate([rng.choice(2, 600, p=[0.95, 0.05]), rng.choice(2, 600, p=[0.05, 0.95])])
    features = rng.normal(size=(1200, 5))
    features[:, 0] += 8.0 * labels  # P(x | y) is the same in both domains
    side = np.repeat([0, 1], 600)
    assert distance(features, side, labels, "raw").distance.estimate > 1.6
    balanced = distance(features, side, labels, "class-balanced")
    assert balanced.distance.estimate < 0.4
    assert balanced.distance.low == 0.0


def test_unequal_domain_sizes_do_not_look_like_a_distance():
    rng = np.random.default_rng(2)
    features, side = rng.normal(size=(1100, 4)), np.repeat([0, 1], [1000, 100])
    assert distance(features, side, np.zeros(1100, dtype=int)).error == pytest.approx(0.5, abs=0.08)


def test_balanced_error_equals_the_naively_weighted_one(monkeypatch):
    rng = np.random.default_rng(3)
    labels, side = rng.choice(4, 400, p=[0.65, 0.2, 0.1, 0.05]), rng.integers(0, 2, 400)
    fixed = rng.random(400)
    monkeypatch.setattr(divergence, "_cross_fitted_errors", lambda features, *_: (features[:, 0] < 0.3).astype(float))
    result = distance(fixed[:, None], side, labels, "class-balanced")
    total = weight_sum = 0.0
    for s, y, value in zip(side, labels, fixed, strict=True):
        n_dk = sum(1 for a, b in zip(side, labels, strict=True) if (a, b) == (s, y))
        total += (value < 0.3) / n_dk
        weight_sum += 1 / n_dk
    assert result.classes == 4
    assert result.error == pytest.approx(total / weight_sum)


def test_classes_not_shared_are_left_out_and_counted():
    features, side, labels = two_domains(0.0)
    labels[:] = np.where(labels == 3, np.where(side == 0, 3, 4), labels)
    labels[np.flatnonzero(side == 0)[0]], labels[np.flatnonzero(side == 1)[0]] = 5, 5  # one sample each: too few
    result = distance(features, side, labels, "class-balanced")
    assert result.classes == 3
    assert "3 classes not shared" in result.note


def test_too_few_samples_are_undefined_with_the_reason():
    features, side, labels = two_domains(3.0, n=8)
    result = distance(features, side, labels)
    assert np.isnan(result.distance.estimate)
    assert np.isnan(result.error)
    assert "fewer than 10" in next(result.rows()).note
    labels = side.copy()
    assert np.isnan(distance(features, side, labels, "class-balanced").distance.estimate)


def test_cap_limits_the_samples_and_spares_rare_classes():
    features, side, labels = two_domains(2.0)
    labels[:] = 0
    labels[::50] = 1
    raw = distance(features, side, labels, "raw", cap=60)
    assert (raw.first, raw.second) == (60, 60)
    balanced = distance(features, side, labels, "class-balanced", cap=60)
    assert (balanced.first, balanced.second) == (60, 60)
    assert "smallest cell 6" in balanced.note  # all six samples of class 1 survive


def test_scale_of_a_feature_and_constant_features_do_not_matter():
    features, side, labels = two_domains(1.0)
    stretched = np.column_stack([features * [1e3, 1, 1, 1e-3, 1, 1], np.ones(len(side))])
    assert distance(stretched, side, labels).error == pytest.approx(distance(features, side, labels).error, abs=0.01)


def test_interval_covers_the_mean_distance_of_fresh_samples():
    truth = np.mean([distance(*two_domains(1.0, seed=s)).distance.estimate for s in range(100, 130)])
    results = [distance(*two_domains(1.0, seed=s)).distance for s in range(30)]
    assert sum(r.low <= truth <= r.high for r in results) >= 25


def test_unknown_weighting_is_refused():
    with pytest.raises(DataError, match="class-balanced"):
        distance(*two_domains(0.0), "fair")
