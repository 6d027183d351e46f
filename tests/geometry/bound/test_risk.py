import numpy as np
import pytest

from geometry.bound.risk import class_errors, estimate_risk, resample_class_errors


@pytest.fixture
def sample():
    rng = np.random.default_rng(3)
    labels = rng.choice([0, 1, 2, 4], size=300, p=[0.7, 0.2, 0.09, 0.01])
    losses = (rng.random(300) < 0.1 + 0.15 * labels).astype(float)
    return losses, labels


def test_risk_and_balanced_risk_equal_explicit_loops(sample):
    losses, labels = sample
    few = np.array([False, False, True, True, True])
    result = estimate_risk(losses, labels, 5, where="s", rng=np.random.default_rng(0), groups={"few": few})
    per_class = {k: np.mean([loss for loss, y in zip(losses, labels, strict=True) if y == k]) for k in set(labels)}
    assert result.risk.estimate == pytest.approx(losses.mean())
    assert result.balanced.estimate == pytest.approx(np.mean(list(per_class.values())))
    assert result.groups["few"].estimate == pytest.approx(np.mean([per_class[2], per_class[4]]))
    assert result.groups["few"].n == int(np.isin(labels, [2, 4]).sum())
    assert np.isnan(result.class_errors[3])
    assert result.class_counts[3] == 0
    assert "4 of 5" in result.note


def test_interval_contains_the_estimate_and_narrows_with_samples(sample):
    losses, labels = sample
    one = estimate_risk(losses, labels, 5, where="s", rng=np.random.default_rng(0))
    many = estimate_risk(np.tile(losses, 25), np.tile(labels, 25), 5, where="s", rng=np.random.default_rng(0))
    assert one.balanced.low <= one.balanced.estimate <= one.balanced.high
    ratio = (one.risk.high - one.risk.low) / (many.risk.high - many.risk.low)
    assert 3.5 < ratio < 7.0


def test_binomial_redraws_have_the_spread_of_index_redraws(sample):
    losses, labels = sample
    counts, errors = np.bincount(labels, minlength=5), class_errors(losses, labels, 5)
    fast = resample_class_errors(errors, counts, np.random.default_rng(0), 4000)
    rng = np.random.default_rng(1)
    own = losses[labels == 1]
    slow = np.array([rng.choice(own, own.size).mean() for _ in range(4000)])
    assert fast[:, 1].std() == pytest.approx(slow.std(), rel=0.06)
    assert fast[:, 1].mean() == pytest.approx(slow.mean(), abs=0.005)
    assert np.isnan(fast[:, 3]).all()


def test_a_group_without_samples_is_undefined_with_its_count():
    empty = {"few": np.array([False, True])}
    result = estimate_risk([0, 1], [0, 0], 2, where="s", rng=np.random.default_rng(0), groups=empty)
    assert np.isnan(result.groups["few"].estimate)
    assert result.groups["few"].n == 0
    assert [row.note for row in result.rows()][-1] == "no sample"


def test_interval_covers_the_true_balanced_risk():
    rng, truth, hits = np.random.default_rng(5), np.array([0.1, 0.3, 0.5]), 0
    labels = np.repeat([0, 1, 2], [200, 60, 40])
    for _ in range(200):
        result = estimate_risk(rng.random(300) < truth[labels], labels, 3, where="s", rng=rng)
        hits += result.balanced.low <= truth.mean() <= result.balanced.high
    assert 178 <= hits <= 199  # nominal 190; the percentile interval is slightly short
