"""Bootstrap: strata kept, coverage as stated, range kept and bias taken off."""

import numpy as np
import pytest

from geometry.intervals import (
    bootstrap,
    percentile_interval,
    reflected_interval,
    stratified_resamples,
    undefined,
    wider_interval,
)


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


def test_range_is_kept_and_the_bias_named():
    draws = np.linspace(0.6, 0.8, 50)
    interval = reflected_interval(0.95, draws, n=5, level=0.95, low=-1, high=1)
    assert interval.low == interval.high == 1
    assert "bias -0.25" in interval.method
    positive = reflected_interval(2.0, np.linspace(3, 9, 50), n=5, level=0.95, low=0, scale="ratio")
    assert 0 < positive.low < positive.high < 2


@pytest.mark.parametrize(
    ("scale", "noisy"),
    [
        ("difference", lambda x, noise: x + noise),
        ("ratio", lambda x, noise: x * (1 + noise)),
        ("square", lambda x, noise: np.hypot(x, noise)),
    ],
)
def test_reflection_takes_off_what_noise_adds_on_its_scale(scale, noisy):
    """What noise does to the truth it does to the estimate again: reflection gives the truth back."""
    estimate = noisy(0.7, 0.4)
    found = reflected_interval(estimate, np.full(30, noisy(estimate, 0.4)), n=5, level=0.95, low=0, scale=scale)
    assert [found.low, found.high] == pytest.approx([0.7, 0.7])


def test_a_distance_that_is_all_noise_may_be_zero():
    found = reflected_interval(1.0, np.linspace(1.2, 1.6, 50), n=5, level=0.95, low=0, scale="square")
    assert found.low == 0.0 < found.high


MIRRORS = {
    "difference": lambda e, x: 2 * e - x,
    "ratio": lambda e, x: e**2 / x,
    "square": lambda e, x: np.sqrt(np.maximum(2 * e**2 - x**2, 0)),
}


@pytest.mark.parametrize("scale", MIRRORS)
@pytest.mark.parametrize(("low", "high"), [(-np.inf, np.inf), (0.0, np.inf), (0.0, 3.0)])
def test_the_wider_interval_spans_both_and_holds_the_estimate(low, high, scale):
    rng = np.random.default_rng(0)
    for estimate in (0.5, 1.0, 2.0):
        draws = np.clip(rng.gamma(4.0, 0.3, 99), low, high)
        found = wider_interval(estimate, draws, n=7, level=0.9, low=low, high=high, scale=scale)
        ends = np.quantile(draws, [0.05, 0.95])
        mirrored = np.quantile(np.clip(MIRRORS[scale](estimate, draws), low, high), [0.05, 0.95])
        assert found.low == pytest.approx(min(ends[0], mirrored[0]))
        assert found.high == pytest.approx(max(ends[1], mirrored[1]))
        assert low <= found.low <= estimate <= found.high <= high
        assert (found.estimate, found.n, found.level) == (estimate, 7, 0.9)
        assert found.method.startswith("basic and percentile bootstrap, the wider end, 99 resamples")


@pytest.mark.parametrize("scale", MIRRORS)
def test_draws_from_elsewhere_are_taken_relative_to_it(scale):
    """By quotient on the scale of a ratio, by difference else; from the estimate itself nothing changes."""
    draws = np.random.default_rng(1).gamma(4.0, 0.3, 99)
    settings = {"n": 7, "level": 0.9, "low": 0.0, "scale": scale}
    here = wider_interval(1.5, draws, **settings)
    assert wider_interval(1.5, draws, drawn_from=1.5, **settings) == here
    moved = draws * 2 if scale == "ratio" else draws + 1.5
    there = wider_interval(1.5, moved, drawn_from=3.0, **settings)
    assert [there.low, there.high] == pytest.approx([here.low, here.high])


def test_draws_from_elsewhere_stay_in_the_range():
    draws = np.linspace(0.9, 1.0, 99)
    found = wider_interval(0.98, draws, n=7, level=0.9, low=0.0, high=1.0, drawn_from=0.93)
    assert 0.0 <= found.low <= 0.98 <= found.high <= 1.0


def test_no_interval_without_draws_or_estimate():
    for draws, estimate in (([], 1.0), (np.ones(50), np.nan), (np.ones(10), 1.0)):
        none = wider_interval(estimate, draws, n=1, level=0.9)
        assert np.isnan([none.low, none.high]).all()
        assert "too few" in none.method
    assert np.isnan(reflected_interval(1.0, [], n=1, level=0.9).low)
    assert np.isnan(reflected_interval(np.nan, np.ones(50), n=1, level=0.9).low)
    assert "too few" in reflected_interval(1.0, np.ones(10), n=1, level=0.9).method
