"""Uncertainty: bootstrap intervals over samples."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Scale: TypeAlias = Literal["difference", "ratio", "square"]
"""On which bootstrap draws are reflected about the estimate (:func:`reflected_interval`)."""


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


def reflected_interval(
    estimate: float,
    draws: ArrayLike,
    *,
    n: int,
    level: float,
    low: float = -np.inf,
    high: float = np.inf,
    scale: Scale = "difference",
) -> Interval:
    """The basic bootstrap interval: the draws reflected about the estimate, kept inside the metric's range.

    Class means of few samples are noisy, so a plug-in metric of them is biased, and a resample repeats that bias: its
    draws lie to one side of the estimate, as the estimate lies to one side of the truth. The percentile interval would
    double the bias; reflection takes it off (Davison & Hinkley 1997, section 5.2), exactly where noise adds to the
    metric on the scale of reflection. Where bias exceeds scatter the interval lies beside the estimate; ``method``
    therefore names the bias.

    Args:
        estimate: value on the sample.
        draws: ``(B,)`` values on resamples; those that are not finite are dropped.
        n: samples that carry the estimate.
        level: nominal coverage.
        low: lower end of the metric's range.
        high: upper end.
        scale: a draw x is reflected about the estimate e as ``2 e - x`` (``difference``), for a quotient as ``e^2 / x``
            (``ratio``; by difference where a draw is not positive), for a distance as ``sqrt(max(2 e^2 - x^2, 0))``
            (``square``: noise adds to its square).

    >>> result = reflected_interval(2.0, np.linspace(2.0, 4.0, 101), n=10, level=0.9)
    >>> round(result.low, 9), round(result.high, 9)
    (0.1, 1.9)
    """
    values = np.asarray(draws, dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0 or not np.isfinite(estimate):
        return percentile_interval(estimate, values, n=n, level=level)
    if scale == "ratio" and estimate > 0 and values.min() > 0:
        mirrored = estimate * (estimate / values)
    elif scale == "square":
        mirrored = np.sqrt(np.maximum(2 * estimate**2 - values**2, 0.0))
    else:
        mirrored = 2 * estimate - values
    interval = percentile_interval(estimate, np.clip(mirrored, low, high), n=n, level=level)
    if np.isnan(interval.low):
        return interval
    bias = float(values.mean() - estimate)
    return replace(interval, method=f"basic bootstrap, {values.size} resamples, resampling bias {bias:+.2g}")


def wider_interval(
    estimate: float,
    draws: ArrayLike,
    *,
    n: int,
    level: float,
    low: float = -np.inf,
    high: float = np.inf,
    scale: Scale = "difference",
    drawn_from: float | None = None,
) -> Interval:
    """The basic and the percentile bootstrap interval, of either end the one farther out (ours).

    Each allows for one thing alone. A plug-in number of few samples is biased and a resample repeats the bias, which
    only :func:`reflected_interval` takes off; where the draws are skewed, or the bias of the resample is not that of
    the sample (cosines of short class means), reflection overshoots, and the percentile interval holds the truth more
    often. The estimate always lies inside, as the draws' reflections lie on the other side of it.

    Args:
        estimate: value on the sample.
        draws: ``(B,)`` values on resamples; those that are not finite are dropped.
        n: samples that carry the estimate.
        level: nominal coverage, which either interval may fall short of.
        low: lower end of the metric's range.
        high: upper end.
        scale: of reflection.
        drawn_from: value on the distribution that resamples are drawn from, where that is not the sample: draws are
            taken relative to it (on the scale of a ``ratio`` by quotient, else by difference), as the estimate is to
            the population's.

    >>> result = wider_interval(2.0, np.linspace(2.0, 4.0, 101), n=10, level=0.9)
    >>> round(result.low, 9), round(result.high, 9)
    (0.1, 3.9)
    """
    values = np.asarray(draws, dtype=np.float64)
    if drawn_from is not None and np.isfinite(drawn_from):
        quotient = scale == "ratio" and drawn_from > 0
        values = values * (estimate / drawn_from) if quotient else np.clip(values + (estimate - drawn_from), low, high)
    mirrored = reflected_interval(estimate, values, n=n, level=level, low=low, high=high, scale=scale)
    plain = percentile_interval(estimate, values, n=n, level=level)
    if np.isnan(mirrored.low):
        return mirrored
    method = mirrored.method.replace("basic bootstrap", "basic and percentile bootstrap, the wider end")
    return replace(mirrored, low=min(plain.low, mirrored.low), high=max(plain.high, mirrored.high), method=method)


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
