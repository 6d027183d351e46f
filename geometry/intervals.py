"""Uncertainty: bootstrap intervals over samples and permutation nulls."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A number with what its sampling uncertainty is worth.

    Attributes:
        estimate: the value on the data themselves; NaN where it is undefined.
        low: lower end of the interval; NaN where no interval could be formed.
        high: upper end.
        level: nominal coverage in (0, 1).
        n: samples that carry the estimate.
        method: how the interval was made.
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int
    method: str

    def excludes(self, value: float) -> bool:
        """Whether ``value`` lies strictly outside the interval (False when there is none)."""
        return bool(self.low > value or self.high < value)


def undefined(n: int, reason: str, level: float = 0.95) -> Interval:
    """An interval that says why there is no number."""
    nan = float("nan")
    return Interval(nan, nan, nan, level, n, f"undefined: {reason}")


def stratified_resamples(strata: ArrayLike, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield index arrays that redraw the samples with replacement inside every stratum.

    Strata (classes, or domain-class cells) keep their sizes, so no class vanishes by chance;
    a stratum of one sample is always itself.

    Args:
        strata: ``(N,)`` integer stratum of each sample.
        resamples: how many index arrays to yield, each ``(N,)``.
        rng: source of randomness.
    """
    labels = np.asarray(strata)
    order = np.argsort(labels, kind="stable")
    _, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    base, span = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    for _ in range(resamples):
        yield order[base + np.floor(rng.random(labels.size) * span).astype(np.intp)]


def percentile_interval(estimate: float, draws: ArrayLike, *, n: int, level: float = 0.95) -> Interval:
    """The percentile bootstrap interval of ``draws`` around ``estimate``.

    Undefined draws (NaN) are dropped; fewer than 20 defined draws give no interval.
    """
    values = np.asarray(draws, dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size < 20 or not np.isfinite(estimate):
        return Interval(float(estimate), float("nan"), float("nan"), level, n, "no interval: too few defined resamples")
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return Interval(
        float(estimate), float(low), float(high), level, n, f"percentile bootstrap, {values.size} resamples"
    )


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], float],
    strata: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = 200,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap of ``statistic`` over samples redrawn inside each stratum.

    Args:
        statistic: maps sample indices ``(N,)`` to a number (NaN where undefined).
        strata: ``(N,)`` stratum of each sample; zeros for a plain bootstrap.
        rng: source of randomness.
        resamples: number of redraws.
        level: nominal coverage.

    >>> x = np.arange(100.0)
    >>> result = bootstrap(lambda i: x[i].mean(), np.zeros(100), rng=np.random.default_rng(0))
    >>> result.estimate, result.low < 49.5 < result.high
    (49.5, True)
    """
    labels = np.asarray(strata)
    estimate = float(statistic(np.arange(labels.size)))
    draws = [statistic(index) for index in stratified_resamples(labels, resamples, rng)]
    return percentile_interval(estimate, draws, n=int(labels.size), level=level)


def permutation_null(
    statistic: Callable[[NDArray[np.intp]], float],
    blocks: ArrayLike,
    *,
    rng: np.random.Generator,
    permutations: int = 200,
) -> Array:
    """Draws of ``statistic`` when samples are shuffled inside each block (the null: no structure there).

    Args:
        statistic: maps a permutation ``(N,)`` of sample indices to a number.
        blocks: ``(N,)`` block of each sample; shuffling never leaves a block.
        rng: source of randomness.
        permutations: number of shuffles.

    Returns:
        ``(permutations,)`` values.
    """
    labels = np.asarray(blocks)
    order = np.argsort(labels, kind="stable")
    draws = np.empty(permutations)
    for draw in range(permutations):
        shuffled = np.lexsort((rng.random(labels.size), labels))
        index = np.empty(labels.size, dtype=np.intp)
        index[order] = shuffled
        draws[draw] = statistic(index)
    return draws
