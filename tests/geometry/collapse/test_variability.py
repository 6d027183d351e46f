"""NC1 and CDNV against naive formulas, closed forms and the trap of single-precision pseudo-inverses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.collapse import cdnv, class_statistics, nc1


def naive_nc1(x, y, weighting):
    """D x D scatter matrices and NumPy's pseudo-inverse, class by class; classes of one sample have no scatter."""
    x = np.asarray(x, dtype=np.float64)
    present = sorted(set(y))
    means = {k: np.mean([h for h, c in zip(x, y, strict=True) if c == k], axis=0) for k in present}
    centre = np.mean(list(means.values()), axis=0) if weighting == "balanced" else x.mean(axis=0)
    between = sum(np.outer(m - centre, m - centre) for m in means.values()) / len(present)
    scatters, sizes = [], []
    for k in present:
        own = [h for h, c in zip(x, y, strict=True) if c == k]
        if len(own) >= 2:
            scatters.append(sum(np.outer(h - means[k], h - means[k]) for h in own) / len(own))
            sizes.append(1 if weighting == "balanced" else len(own))
    within = sum(n * s for n, s in zip(sizes, scatters, strict=True)) / sum(sizes)
    return np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / len(present), np.trace(within) / np.trace(between)


def imbalanced(rng, counts=(40, 15, 6, 1, 0, 3), dimension=9):
    y = np.repeat(np.arange(len(counts)), counts)
    x = rng.normal(size=(len(counts), dimension))[y] * 2 + rng.normal(size=(y.size, dimension)) * (1 + y[:, None] / 3)
    return x, y


def antithetic(means, spread, rng, pairs=8):
    """Samples whose class means are exactly the given ones."""
    noise = spread * rng.normal(size=(len(means), pairs, means.shape[1]))
    x = np.concatenate([means[:, None] + noise, means[:, None] - noise], axis=1)
    return x.reshape(-1, means.shape[1]), np.repeat(np.arange(len(means)), 2 * pairs)


@pytest.mark.parametrize("weighting", ["balanced", "pooled"])
def test_nc1_equals_full_scatter_formula(weighting):
    x, y = imbalanced(np.random.default_rng(0))
    result = nc1(class_statistics(x, y, weighting=weighting))
    value, ratio = naive_nc1(x, y, weighting)
    assert result.value == pytest.approx(value, rel=1e-9)
    assert result.trace_ratio == pytest.approx(ratio, rel=1e-12)
    assert (result.rank, result.rank_expected, result.masked) == (4, 4, 2)


@pytest.mark.parametrize("weighting", ["balanced", "pooled"])
def test_nc1_is_the_weighted_mean_of_its_groups(weighting):
    x, y = imbalanced(np.random.default_rng(1))
    stats = class_statistics(x, y, weighting=weighting)
    parts = [([0, 1], 2, 55), ([2, 5], 2, 9)]
    weights = np.array([p[1] if weighting == "balanced" else p[2] for p in parts], dtype=float)
    values = [nc1(stats, classes).value for classes, _, _ in parts]
    assert nc1(stats).value == pytest.approx(np.average(values, weights=weights), rel=1e-12)


def test_isotropic_noise_has_a_closed_form():
    # Sigma_W = s^2 I exactly (one antithetic pair per axis), simplex means: NC1 = s^2 (K - 1) / lambda / K.
    dimension, classes, spread = 6, 4, 0.3
    means = np.zeros((classes, dimension))
    means[:, :classes] = np.eye(classes) - 1 / classes
    axes = spread * np.sqrt(dimension) * np.eye(dimension)
    x = (means[:, None, :] + np.concatenate([axes, -axes])[None]).reshape(-1, dimension)
    stats = class_statistics(x, np.repeat(np.arange(classes), 2 * dimension))
    eigenvalue = 1 / classes
    assert nc1(stats).value == pytest.approx(spread**2 * (classes - 1) / eigenvalue / classes, rel=1e-12)
    assert nc1(stats).trace_ratio == pytest.approx(spread**2 * dimension / ((classes - 1) * eigenvalue), rel=1e-12)
    assert cdnv(stats).mean == pytest.approx(spread**2 * dimension / 2, rel=1e-12)


def test_perfect_collapse_is_zero():
    stats = class_statistics(np.eye(5)[[0, 0, 1, 1, 2, 2]], [0, 0, 1, 1, 2, 2])
    result = nc1(stats)
    assert (result.value, result.trace_ratio, result.rank, cdnv(stats).mean) == (0, 0, 2, 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("weighting", ["balanced", "pooled"])
def test_nc1_rises_as_minority_means_merge(dtype, weighting):
    rng = np.random.default_rng(2)
    dimension, basis = 2048, np.linalg.qr(rng.normal(size=(2048, 7)))[0].T
    values, ratios = [], []
    for shrink in (0.1, 0.03, 0.01, 0.003, 0.001):
        means = basis.copy()
        means[4:] = means[4:].mean(axis=0) + shrink * (means[4:] - means[4:].mean(axis=0))
        x, y = antithetic(means, 0.02 / np.sqrt(dimension), np.random.default_rng(3), pairs=10)
        result = nc1(class_statistics(x.astype(dtype), y, weighting=weighting))
        assert result.rank == result.rank_expected == 6
        values.append(result.value)
        ratios.append(result.trace_ratio)
    growth = np.array(values[1:]) / np.array(values[:-1])
    assert (growth > 5).all(), values
    # Isotropic noise: the merging directions dominate, so NC1 grows as 1 / shrink^2 while the trace ratio stays.
    np.testing.assert_allclose(growth, [(10 / 3) ** 2, 9, (10 / 3) ** 2, 9], rtol=0.15)
    assert max(ratios) < 1.05 * min(ratios)


def test_single_precision_pseudo_inverse_falls_where_ours_rises():
    dimension = 256
    basis = np.linalg.qr(np.random.default_rng(4).normal(size=(dimension, 7)))[0].T
    theirs, ours = [], []
    for shrink in (0.03, 0.001):
        means = basis.copy()
        means[4:] = means[4:].mean(axis=0) + shrink * (means[4:] - means[4:].mean(axis=0))
        x, y = antithetic(means, 0.02 / np.sqrt(dimension), np.random.default_rng(5))
        x = x.astype(np.float32)
        centres = np.stack([x[y == k].mean(axis=0) for k in range(7)])
        within = (x - centres[y]).T @ (x - centres[y]) / np.float32(len(x))
        offset = centres - centres.mean(axis=0)
        between = offset.T @ offset / np.float32(7)
        cutoff = dimension * float(np.finfo(np.float32).eps)
        theirs.append(float(np.trace(within @ np.linalg.pinv(between, rcond=cutoff))) / 7)
        ours.append(float(nc1(class_statistics(x, y)).value))
    assert theirs[1] < theirs[0] / 10
    assert ours[1] > 100 * ours[0]
    assert ours[0] == pytest.approx(theirs[0], rel=1e-2)


def test_merged_means_lower_the_rank_and_say_so():
    means = np.eye(5)
    means[4] = means[3]
    for dtype in (np.float64, np.float32):
        x, y = antithetic(means, 0.1, np.random.default_rng(6))
        stats = class_statistics(x.astype(dtype), y)
        assert (nc1(stats).rank, nc1(stats).rank_expected) == (3, 4)
        assert np.isinf(cdnv(stats).maximum)
    exact = class_statistics(np.repeat(means, 2, axis=0), np.repeat(np.arange(5), 2))
    assert np.isnan(cdnv(exact).matrix[3, 4])


def test_rounding_of_float32_storage_is_not_taken_for_geometry():
    # Equal means far from the origin: what is left of their differences in float32 is rounding.
    x = np.tile(1000 + np.random.default_rng(7).uniform(-0.1, 0.1, 30), (40, 1))
    y = np.repeat(np.arange(4), 10)
    jitter = 1e-5 * np.random.default_rng(8).normal(size=(40, 30))
    stored = (x + jitter).astype(np.float32)
    assert nc1(class_statistics(stored, y)).rank == 0
    assert np.isnan(nc1(class_statistics(stored, y)).value)
    assert nc1(class_statistics(x + jitter, y)).rank == 3


def test_float32_and_float64_input_agree():
    x, y = imbalanced(np.random.default_rng(9))
    single, double = class_statistics(x.astype(np.float32), y), class_statistics(x.astype(np.float32).astype(float), y)
    assert nc1(single).value == nc1(double).value
    assert nc1(single).value == pytest.approx(nc1(class_statistics(x, y)).value, rel=1e-4)


def test_cdnv_equals_a_loop_over_pairs():
    x, y = imbalanced(np.random.default_rng(10))
    result = cdnv(class_statistics(x, y))
    spread = {k: np.mean([np.sum((h - x[y == k].mean(axis=0)) ** 2) for h in x[y == k]]) for k in (0, 1, 2, 5)}
    pairs = {
        (i, j): (spread[i] + spread[j]) / 2 / np.sum((x[y == i].mean(axis=0) - x[y == j].mean(axis=0)) ** 2)
        for i in spread
        for j in spread
        if i < j
    }
    assert result.pairs == 6
    assert result.mean == pytest.approx(np.mean(list(pairs.values())))
    assert result.maximum == pytest.approx(max(pairs.values()))
    for (i, j), value in pairs.items():
        assert result.matrix[i, j] == pytest.approx(value)
        assert result.matrix[j, i] == pytest.approx(value)
    assert np.isnan(result.matrix[3]).all()
    assert np.isnan(result.matrix[4]).all()
    assert cdnv(class_statistics(x, y), [1, 2]).mean == pytest.approx(pairs[1, 2])


def test_undefined_without_two_classes_or_a_pair_of_samples():
    one = class_statistics(np.random.default_rng(11).normal(size=(5, 3)), np.full(5, 2), 4)
    assert np.isnan([nc1(one).value, nc1(one).trace_ratio, cdnv(one).mean, cdnv(one).maximum]).all()
    single = class_statistics(np.eye(3), [0, 1, 2])
    assert np.isnan(nc1(single).value)
    assert nc1(single).masked == 3
    assert nc1(single).rank == 2


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), offset=st.floats(-1e4, 1e4), scale=st.floats(1e-3, 1e3))
@pytest.mark.parametrize("weighting", ["balanced", "pooled"])
def test_invariance(weighting, seed, offset, scale):
    rng = np.random.default_rng(seed)
    x, y = imbalanced(rng)
    rotation = np.linalg.qr(rng.normal(size=(9, 9)))[0]
    relabel, order = rng.permutation(6), rng.permutation(len(y))
    moved = (scale * x @ rotation)[order] + offset * rng.normal(size=9) * scale
    before = class_statistics(x, y, weighting=weighting)
    after = class_statistics(moved, relabel[y][order], 6, weighting=weighting)
    assert nc1(after).value == pytest.approx(float(nc1(before).value), rel=1e-6)
    assert nc1(after).trace_ratio == pytest.approx(float(nc1(before).trace_ratio), rel=1e-8)
    assert cdnv(after).mean == pytest.approx(float(cdnv(before).mean), rel=1e-8)
    np.testing.assert_allclose(nc1(after).per_class[relabel], nc1(before).per_class, rtol=1e-6)
