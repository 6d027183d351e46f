import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from scipy.stats import t as student

from geometry.errors import DataError
from geometry.intervals import stratified_resamples
from geometry.rank_correlation import spearman, spearman_interval

tied = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4), st.integers(0, 3)), min_size=3, max_size=40)


@given(tied)
@settings(max_examples=100, deadline=None)
def test_weighted_equals_scipy_on_the_repeated_sample(rows):
    x, y, times = (np.asarray(column) for column in zip(*rows, strict=True))
    repeated_x, repeated_y = np.repeat(x, times), np.repeat(y, times)
    value = spearman(x, y, times)
    if np.unique(repeated_x).size < 2 or np.unique(repeated_y).size < 2:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(spearmanr(repeated_x, repeated_y).statistic, abs=1e-10)


def test_monotone_maps_and_infinities_change_nothing():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=200), rng.normal(size=200)
    y += x
    assert spearman(np.exp(3 * x), y**3) == pytest.approx(spearman(x, y))
    x[x.argmax()], x[x.argmin()] = np.inf, -np.inf
    assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)


def interval_by_derivatives(x, y, strata, level=0.95):
    """The interval from numerical derivatives of the correlation in the weight of each observation."""
    n, step = len(x), 1e-4
    influence = np.empty(n)
    for i in range(n):
        up, down = np.ones(n), np.ones(n)
        up[i], down[i] = 1 + step, 1 - step
        influence[i] = n * (spearman(x, y, up) - spearman(x, y, down)) / (2 * step)
    cells = [influence[strata == h] for h in np.unique(strata)]
    variance = sum(len(cell) * cell.var(ddof=1) for cell in cells if len(cell) > 1) / n**2
    r = spearmanr(x, y).statistic
    half = student.ppf(0.5 + level / 2, n - len(cells)) * np.sqrt(variance) / (1 - r**2)
    return np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)


@pytest.mark.parametrize("rounding", [None, 1, 0])
@pytest.mark.parametrize("count", [1, 4, 30])
def test_interval_equals_that_of_numerical_derivatives(rounding, count):
    rng = np.random.default_rng(1)
    x = rng.normal(size=80)
    y, strata = 2 * x + rng.normal(size=80), rng.integers(0, count, 80)
    if rounding is not None:
        x, y = x.round(rounding), y.round(rounding)
    found = spearman_interval(x, y, strata, level=0.9)
    assert found.estimate == pytest.approx(spearmanr(x, y).statistic)
    assert (found.low, found.high) == pytest.approx(interval_by_derivatives(x, y, strata, 0.9), abs=1e-6)


def test_width_is_that_of_a_bootstrap_of_scipy():
    rng = np.random.default_rng(1)
    x = rng.normal(size=400)
    y, strata = x + rng.normal(size=400), rng.integers(0, 4, 400)
    found = spearman_interval(x, y, strata)
    redraws = stratified_resamples(strata, 600, np.random.default_rng(7))
    spread = np.std(np.arctanh([spearmanr(x[i], y[i]).statistic for i in redraws]))
    assert np.ptp(np.arctanh([found.low, found.high])) == pytest.approx(2 * 1.966 * spread, rel=0.1)


def test_monotone_samples_have_an_interval_of_no_width():
    x = np.random.default_rng(0).normal(size=50)
    for sign in (1.0, -1.0):
        found = spearman_interval(x, sign * np.exp(x), np.zeros(50))
        assert found.low == found.estimate == found.high == pytest.approx(sign)


@pytest.mark.parametrize(("rho", "n"), [(0.5, 60), (0.95, 200)])
def test_the_level_is_kept(rho, n):
    rng, pearson, missed = np.random.default_rng(0), 2 * np.sin(np.pi * rho / 6), np.zeros(2)
    for _ in range(600):
        x = rng.normal(size=n)
        y = pearson * x + np.sqrt(1 - pearson**2) * rng.normal(size=n)
        found = spearman_interval(x, y, np.zeros(n))
        missed += [found.low > rho, found.high < rho]
    assert 14 <= missed.sum() <= 49  # central 99.9 % of binomial(600, 0.05)
    assert missed.max() <= 29  # of binomial(600, 0.025)


def test_constant_samples_are_undefined_and_unequal_sizes_refused():
    result = spearman_interval([1.0] * 5, np.arange(5.0), np.zeros(5))
    assert np.isnan(result.estimate)
    assert np.isnan(result.low)
    alone = spearman_interval([1.0, 3.0, 2.0], [1.0, 2.0, 3.0], np.arange(3))
    assert alone.estimate == pytest.approx(0.5)
    assert np.isnan(alone.low)
    with pytest.raises(DataError, match="one size"):
        spearman([1.0, 2.0], [1.0, 2.0, 3.0])
