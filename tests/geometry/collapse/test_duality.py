"""NC3 in both definitions."""

import numpy as np
import pytest

from geometry.collapse import class_statistics, nc3


def data(seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2, 4], [12, 5, 3, 1])
    return rng.normal(size=(21, 6)) + 2 * np.eye(6)[y], y, rng.normal(size=(5, 6))


@pytest.mark.parametrize("weighting", ["balanced", "pooled"])
@pytest.mark.parametrize("subset", [None, [1, 2], [3, 4]])
def test_against_the_formulas(weighting, subset):
    x, y, weight = data()
    stats = class_statistics(x, y, weighting=weighting)
    chosen = [k for k in (range(5) if subset is None else subset) if k != 3]
    means = np.stack([x[y == k].mean(axis=0) for k in (0, 1, 2, 4)])
    centre = means.mean(axis=0) if weighting == "balanced" else x.mean(axis=0)
    own = np.stack([x[y == k].mean(axis=0) for k in chosen]) - centre
    rows = weight[chosen]
    result = nc3(stats, weight, subset)
    assert result.frobenius == pytest.approx(np.linalg.norm(rows / np.linalg.norm(rows) - own / np.linalg.norm(own)))
    cosine = [w @ m / np.linalg.norm(w) / np.linalg.norm(m) for w, m in zip(rows, own, strict=True)]
    assert result.one_minus_cosine == pytest.approx(1 - np.mean(cosine))
    assert result.classes == len(chosen)


def test_perfect_duality_any_scale():
    x, y, _ = data(1)
    stats = class_statistics(x, y)
    result = nc3(stats, 7.0 * np.nan_to_num(stats.centred_means))
    assert result.frobenius == pytest.approx(0, abs=1e-7)
    assert result.one_minus_cosine == pytest.approx(0, abs=1e-12)


def test_same_directions_but_other_lengths_separate_the_two_definitions():
    x, y, _ = data(2)
    stats = class_statistics(x, y)
    stretched = np.nan_to_num(stats.centred_means) * np.array([[1], [5], [1], [1], [3]])
    assert nc3(stats, stretched).one_minus_cosine == pytest.approx(0, abs=1e-12)
    assert nc3(stats, stretched).frobenius > 0.1


def test_nothing_to_compare():
    x, y, weight = data(3)
    assert np.isnan(nc3(class_statistics(x, y), weight, [3]).frobenius)
    assert np.isnan(nc3(class_statistics(x[:5], y[:5]), weight[:1]).one_minus_cosine)
    assert np.isnan(nc3(class_statistics(x, y), np.zeros((5, 6))).frobenius)
