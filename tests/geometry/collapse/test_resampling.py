"""Bootstrap multiplicities, and the coverage of the wider interval on them."""

import numpy as np
import pytest

from geometry.collapse import LabelledFeatures, cdnv, nc1, pair_cosines
from geometry.collapse.resampling import multiplicities
from geometry.intervals import percentile_interval, wider_interval


def test_multiplicities_keep_strata_and_come_in_batches():
    strata = np.repeat([0, 1, 2], [7, 3, 1])
    batches = list(multiplicities(strata, 11, np.random.default_rng(0), numbers_each=2**21))
    assert [len(batch) for batch in batches] == [4, 4, 3]
    drawn = np.concatenate(batches)
    for stratum, size in ((0, 7), (1, 3), (2, 1)):
        assert (drawn[:, strata == stratum].sum(axis=1) == size).all()
    assert list(multiplicities(strata, 0, np.random.default_rng(0), 1)) == []


def test_batching_changes_no_draw():
    strata = np.repeat([0, 1], [9, 5])
    one, many = (
        np.concatenate(list(multiplicities(strata, 30, np.random.default_rng(1), numbers))) for numbers in (1, 2**23)
    )
    np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize("dimension", [4, 128])
def test_intervals_cover_the_population_where_percentiles_do_not(dimension):
    """Isotropic classes, the smallest of 10 samples: coverage of the population value at a nominal 0.95."""
    rng = np.random.default_rng(2)
    counts, spread, trials = [120, 60, 25, 10], 0.8 / np.sqrt(dimension), 60
    means = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0][:4]
    y = np.repeat(np.arange(4), counts)
    gram = (means - means.mean(axis=0)) @ (means - means.mean(axis=0)).T
    truth = {
        "nc1": spread**2 * 3 / (1 / 4) / 4,
        "cdnv": spread**2 * dimension / 2,
        "minority cosine": float(pair_cosines(gram, [2, 3]).mean),
    }
    covered = {name: np.zeros(2) for name in truth}

    def values(moments):
        stats = moments.statistics("balanced")
        return dict(
            zip(truth, (nc1(stats).value, cdnv(stats).mean, pair_cosines(stats.gram, [2, 3]).mean), strict=True)
        )

    for _ in range(trials):
        sample = LabelledFeatures.of(means[y] + spread * rng.normal(size=(y.size, dimension)), y)
        estimates = values(sample.moments())
        drawn = np.concatenate(list(multiplicities(sample.labels, 200, rng, 1)))
        draws, source = values(sample.moments(drawn)), values(sample.moments(np.ones((1, y.size))))
        for name, low, high in (("nc1", 0, np.inf), ("cdnv", 0, np.inf), ("minority cosine", -1, 1)):
            estimate = float(estimates[name])
            ours = wider_interval(
                estimate, draws[name], n=y.size, level=0.95, low=low, high=high, drawn_from=float(source[name][0])
            )
            theirs = percentile_interval(estimate, draws[name], n=y.size)
            covered[name] += [i.low <= truth[name] <= i.high for i in (ours, theirs)]
    for name, (ours, theirs) in covered.items():
        assert ours / trials >= 0.9, (name, ours / trials)
        if dimension == 128 and name == "cdnv":
            assert theirs / trials < 0.2
