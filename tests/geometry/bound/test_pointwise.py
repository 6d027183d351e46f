import numpy as np
import pytest

from geometry.bound.pointwise import pointwise_discrepancy

NAMES = ("a", "b", "c")


def gaussian(priors, turn=0.0, n=900, seed=0, d=5):
    """Two domains with P(x | y) normal around the corners of a triangle, turned by an angle in the second."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([rng.choice(3, n, p=p) for p in priors])
    side = np.repeat([0, 1], n)
    angle = 2 * np.pi * labels / 3 + turn * side
    features = rng.normal(size=(2 * n, d))
    features[:, 0] += 2 * np.cos(angle)
    features[:, 1] += 2 * np.sin(angle)
    return features, side, labels


def measure(*data, **options):
    return pointwise_discrepancy(*data, NAMES, where="x | y", rng=np.random.default_rng(3), **options)


EVEN = (1 / 3, 1 / 3, 1 / 3)


def test_equal_domains_differ_by_noise_only():
    raw, corrected = measure(*gaussian((EVEN, EVEN)), resamples=50)
    for found in (raw, corrected):
        assert found.overall.raw == pytest.approx(found.overall.null_mean, abs=0.03)
        assert found.overall.p_value > 0.02
        assert found.overall.raw == pytest.approx((found.first + found.second) / 2)


def test_label_shift_moves_the_raw_posterior_only():
    raw, corrected = measure(*gaussian(((0.9, 0.05, 0.05), (0.05, 0.05, 0.9))), resamples=50)
    assert raw.plug_in.estimate > 0.2
    assert raw.plug_in.low <= raw.plug_in.estimate <= raw.plug_in.high
    assert corrected.overall.corrected.estimate < raw.plug_in.estimate / 2
    # Shuffling inside classes keeps the shift: the null explains the raw value, which is then no sign of P(x | y).
    assert raw.overall.null_mean == pytest.approx(raw.plug_in.estimate, rel=0.15)
    assert raw.overall.p_value > 0.02
    assert next(raw.rows()).estimate == raw.plug_in.estimate


def test_a_turned_class_layout_moves_both_and_half_a_turn_nearly_fully():
    small, large = (measure(*gaussian((EVEN, EVEN), turn), resamples=50) for turn in (0.4, np.pi))
    for before, after in zip(small, large, strict=True):
        assert 0.1 < before.overall.corrected.estimate < after.overall.corrected.estimate
        assert before.overall.p_value == pytest.approx(1 / 51)
        assert after.overall.corrected.low <= after.overall.corrected.estimate <= after.overall.corrected.high


def test_raw_value_approaches_the_population_value():
    turn, (raw, _) = 0.5, measure(*gaussian((EVEN, EVEN), 0.5, n=4000), resamples=20)
    features, _, _ = gaussian((EVEN, EVEN), turn, n=4000, seed=9)
    corner = 2 * np.pi * np.arange(3) / 3

    def posterior(shift):
        scores = 2 * features[:, :1] * np.cos(corner + shift) + 2 * features[:, 1:2] * np.sin(corner + shift)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    truth = 0.5 * np.abs(posterior(0.0) - posterior(turn)).sum(axis=1).mean()
    # The probes shrink half-way to a spherical covariance, which softens their posteriors.
    assert raw.overall.raw == pytest.approx(truth, rel=0.35)
    assert raw.overall.raw < truth


def test_small_and_absent_classes_are_left_out_and_named():
    features, side, labels = gaussian((EVEN, EVEN))
    keep = (labels != 2) | (side == 0)
    found = measure(features[keep], side[keep], labels[keep], resamples=20)[0]
    assert found.absent == ("c",)
    assert found.overall.classes == 2
    few = (labels != 2) | (side == 0) | (np.cumsum((labels == 2) & (side == 1)) <= 4)
    assert measure(features[few], side[few], labels[few], resamples=20)[0].too_small == ("c",)
    alone = labels == 0
    nothing = measure(features[alone], side[alone], labels[alone], resamples=20)
    assert all(np.isnan(found.overall.raw) for found in nothing)
    assert "fewer than two classes" in next(nothing[0].rows()).note


def test_permutation_p_values_are_valid():
    p = [measure(*gaussian((EVEN, EVEN), n=60, seed=s), resamples=20)[0].overall.p_value for s in range(25)]
    assert np.mean(np.array(p) <= 0.2) <= 0.4
    assert np.mean(p) == pytest.approx(0.5, abs=0.2)
