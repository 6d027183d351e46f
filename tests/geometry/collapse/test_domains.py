"""Cross-domain geometry of class means."""

import numpy as np
import pytest

from geometry.collapse import cell_features, domain_geometry

COUNTS = np.array([[20, 9, 4], [6, 2, 1], [3, 0, 0], [1, 1, 0], [0, 0, 0]])


def cells(seed=0, counts=COUNTS, dimension=5):
    rng = np.random.default_rng(seed)
    classes, domains = np.indices(counts.shape).reshape(2, -1).repeat(counts.ravel(), axis=1)
    order = rng.permutation(classes.size)
    y, d = classes[order], domains[order]
    x = rng.normal(size=(y.size, dimension)) + 3 * np.eye(dimension)[y] + 0.5 * rng.normal(size=(3, dimension))[d]
    return x, y, d


@pytest.mark.parametrize("weighting", ["balanced", "pooled"])
def test_against_loops(weighting):
    x, y, d = cells()
    result = domain_geometry(cell_features(x, y, d, 5, 3).moments(), 3, weighting=weighting)
    mean = {(k, m): x[(y == k) & (d == m)].mean(axis=0) for k in range(5) for m in range(3) if COUNTS[k, m]}
    pooled = weighting == "pooled"
    by_class = {k: [m for m in range(3) if COUNTS[k, m]] for k in range(4)}
    balanced_centre = np.mean([np.mean([mean[k, m] for m in ms], axis=0) for k, ms in by_class.items()], axis=0)
    centre = x.mean(axis=0) if pooled else balanced_centre
    cosine, spread, scatter, sizes = {}, {}, {}, {}
    for k in (0, 1, 3):
        own = {m: mean[k, m] - centre for m in by_class[k]}
        cosine[k] = np.mean(
            [own[a] @ own[b] / np.linalg.norm(own[a]) / np.linalg.norm(own[b]) for a in own for b in own if a < b]
        )
        weights = [COUNTS[k, m] if pooled else 1 for m in own]
        middle = np.average(list(own.values()), axis=0, weights=weights)
        spread[k] = np.average([np.sum((v - middle) ** 2) for v in own.values()], weights=weights)
        varied = [m for m in own if COUNTS[k, m] >= 2]
        sizes[k] = COUNTS[k].sum() if pooled else 1
        if varied:
            variance = [np.mean(np.sum((x[(y == k) & (d == m)] - mean[k, m]) ** 2, axis=1)) for m in varied]
            scatter[k] = np.average(variance, weights=[COUNTS[k, m] if pooled else 1 for m in varied])
        assert result.between[k] == pytest.approx(spread[k])
    assert result.cosine == pytest.approx(np.average(list(cosine.values()), weights=list(sizes.values())))
    top, bottom = (sum(sizes[k] * part[k] for k in (0, 1)) for part in (spread, scatter))
    assert result.spread_ratio == pytest.approx(top / bottom)
    assert (result.classes, result.masked_cells) == (3, 9)
    assert np.isnan(result.between[[2, 4]]).all()
    assert np.isnan(result.within[[3, 4]]).all()
    assert np.isnan(result.cosines[3, 2]).all()
    assert np.isnan(result.cosines[4]).all()
    assert result.cosines[0].diagonal() == pytest.approx(np.ones(3))


def test_groups_of_classes_and_nothing_shared():
    x, y, d = cells(1)
    moments = cell_features(x, y, d, 5, 3).moments()
    alone = domain_geometry(moments, 3, classes=[2, 4])
    assert np.isnan([alone.cosine, alone.spread_ratio]).all()
    assert alone.classes == 0
    one = domain_geometry(moments, 3, classes=[1])
    whole = domain_geometry(moments, 3)
    assert one.spread_ratio == pytest.approx(whole.between[1] / whole.within[1])


def test_identical_domains_agree_and_opposed_domains_do_not():
    base = np.array([[1.0, 0.0], [-1.0, 0.0]])
    labels, domains = np.tile([0, 1], 2), np.repeat([0, 1], 2)
    same = cell_features(np.vstack([base, base]), labels, domains, 2, 2).moments()
    opposed = cell_features(np.vstack([base + np.array([0, 0.1]), -base]), labels, domains, 2, 2).moments()
    assert domain_geometry(same, 2).cosine == pytest.approx(1)
    assert domain_geometry(same, 2).between.tolist() == [0, 0]
    assert domain_geometry(opposed, 2).cosine < -0.9
