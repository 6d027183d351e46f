"""The jackknife against closed forms, and how often it covers."""

from functools import partial

import numpy as np
import pytest
from scipy import stats

from geometry.jackknife import jackknife


def test_of_a_mean_it_is_students_interval():
    x = np.random.default_rng(0).normal(size=9)
    found = jackknife(lambda kept: x[kept].mean(), 9, level=0.9)
    low, high = stats.t.interval(0.9, 8, loc=x.mean(), scale=stats.sem(x))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.n == 9


def test_it_covers_means_over_pairs():
    """The variance of twelve normal numbers is the mean of (x_i - x_j)^2 / 2 over their pairs."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(400):
        found = jackknife(partial(log_variance, rng.normal(size=12)), 12)
        hits += found.low < 0.0 < found.high
    assert hits > 360


def log_variance(x, kept):
    return np.log(x[kept].var(ddof=1))


@pytest.mark.parametrize(
    ("statistic", "units"),
    [(lambda kept: float("nan"), 5), (lambda kept: 1.0 if len(kept) == 5 else float("nan"), 5), (len, 1)],
)
def test_without_a_number_for_every_unit_left_out_there_is_no_interval(statistic, units):
    found = jackknife(statistic, units)
    assert np.isnan(found.low)
    assert np.isnan(found.high)
    assert "no interval" in found.method
