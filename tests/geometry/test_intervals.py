"""Bootstrap and permutation: strata kept, coverage as stated, nulls that are null."""

import numpy as np
import pytest

from geometry.intervals import bootstrap, percentile_interval, permutation_null, stratified_resamples, undefined


def test_resamples_keep_the_size_of_every_stratum():
    strata = np.array([2, 0, 0, 2, 7, 2, 0])
    for index in stratified_resamples(strata, 50, np.random.default_rng(0)):
        assert np.array_equal(np.sort(strata[index]), np.sort(strata))
        assert 4 in index  # a stratum of one sample is always itself


def test_every_sample_is_drawn_equally_often():
    strata = np.array([0] * 5 + [1] * 3)
    drawn = np.concatenate(list(stratified_resamples(strata, 20_000, np.random.default_rng(0))))
    share = np.bincount(drawn, minlength=8) / 20_000
    assert np.allclose(share, 1, atol=0.03)


def test_interval_of_a_mean_covers_it_as_often_as_stated():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        x = rng.normal(size=60)
        found = bootstrap(lambda i, x=x: float(x[i].mean()), np.zeros(60), rng=rng, resamples=200)
        hits += found.low <= 0 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_undefined_draws_are_dropped_and_too_few_give_no_interval():
    draws = np.r_[np.linspace(0, 1, 30), [np.nan] * 5]
    assert percentile_interval(0.5, draws, n=9).low == pytest.approx(0.025)
    none = percentile_interval(0.5, [0.1] * 10, n=9)
    assert np.isnan(none.low)
    assert "too few" in none.method
    assert "no classes" in undefined(3, "no classes").method
    assert not none.excludes(3.0)


def test_permutations_stay_inside_their_block_and_are_uniform():
    blocks = np.array([0, 1, 0, 1, 1])
    seen = []

    def record(index):
        seen.append(tuple(index))
        return 0.0

    permutation_null(record, blocks, rng=np.random.default_rng(0), permutations=3000)
    assert all(np.array_equal(blocks[list(index)], blocks) for index in seen)
    counts = np.unique(np.array(seen), axis=0, return_counts=True)[1]
    assert len(counts) == 2 * 6
    assert counts.min() > 3000 / 12 * 0.7
