"""Bootstrap draws as multiplicities, and the interval made of them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.collapse.class_statistics import Array
from geometry.intervals import Interval, percentile_interval, stratified_resamples

WORKING_SET = 2**23
"""Numbers a batch of resamples may hold in its largest array (64 MiB of float64)."""


def multiplicities(
    strata: NDArray[np.int64], resamples: int, rng: np.random.Generator, numbers_each: int
) -> Iterator[Array]:
    """Yield batches ``(b, N)`` of how often each sample is drawn, ``resamples`` rows in all.

    Args:
        strata: ``(N,)`` stratum of each sample; sizes of strata are kept.
        resamples: total number of resamples.
        rng: source of randomness.
        numbers_each: numbers one resample needs; it sets the size of a batch.
    """
    batch = max(1, min(resamples, WORKING_SET // max(1, numbers_each)))
    rows: list[Array] = []
    for index in stratified_resamples(strata, resamples, rng):
        rows.append(np.bincount(index, minlength=strata.size).astype(np.float64))
        if len(rows) == batch:
            yield np.stack(rows)
            rows = []
    if rows:
        yield np.stack(rows)


def reflected_interval(
    estimate: float, draws: ArrayLike, *, n: int, level: float, low: float = -np.inf, high: float = np.inf
) -> Interval:
    """The basic bootstrap interval: the draws reflected about the estimate, kept inside the metric's range.

    Class means of few samples are noisy, so a plug-in metric of them is biased, and a resample repeats that bias: its
    draws lie to one side of the estimate, as the estimate lies to one side of the truth. The percentile interval would
    double the bias; reflection takes it off (Davison & Hinkley 1997, section 5.2). A metric on [0, inf) is reflected on
    its log scale, ``estimate^2 / draw``, any other as ``2 estimate - draw``. Where bias exceeds scatter the interval
    lies beside the estimate; ``method`` therefore names the bias.

    Args:
        estimate: value on the sample.
        draws: ``(B,)`` values on resamples; those that are not finite are dropped.
        n: samples that carry the estimate.
        level: nominal coverage.
        low: lower end of the metric's range.
        high: upper end.

    >>> result = reflected_interval(2.0, np.linspace(2.0, 4.0, 101), n=10, level=0.9)
    >>> round(result.low, 9), round(result.high, 9)
    (0.1, 1.9)
    """
    values = np.asarray(draws, dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0 or not np.isfinite(estimate):
        return percentile_interval(estimate, values, n=n, level=level)
    if low == 0 and np.isinf(high) and estimate > 0 and values.min() > 0:
        mirrored = estimate * (estimate / values)
    else:
        mirrored = np.clip(2 * estimate - values, low, high)
    interval = percentile_interval(estimate, mirrored, n=n, level=level)
    if np.isnan(interval.low):
        return interval
    bias = float(values.mean() - estimate)
    return replace(interval, method=f"basic bootstrap, {values.size} resamples, resampling bias {bias:+.2g}")
