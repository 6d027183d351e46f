"""Does the half of lower confidence lie nearer to the boundary than the other half?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.defined import ratio
from geometry.errors import DataError
from geometry.intervals import Interval, percentile_interval, stratified_resamples, undefined

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NearerHalf:
    """How often a sample of low confidence is nearer than one of high confidence.

    Attributes:
        probability: mean over the classes judged of :func:`nearer_probability`, in [0, 1]; 1/2 is no relation.
        classes: how many classes were judged.
        left_out: classes present with too few samples, or of one confidence.
    """

    probability: Interval
    classes: int
    left_out: int


def nearer_probability(confidence: ArrayLike, distance: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """``P(d_low < d_high) + P(d_low = d_high) / 2``, the area under the ROC curve of "nearer" for "less confident".

    The sample is cut at its median confidence; values that lie across the median (the middle one of an odd number, or
    tied there) belong to neither half. ``d_low`` and ``d_high`` are drawn from the halves.

    Args:
        confidence: ``(N,)``; only its order counts.
        distance: ``(N,)``; only its order counts.
        weights: ``(N,)`` or ``(R, N)`` non-negative multiplicities, ones by default.

    Returns:
        A number in [0, 1], ``()`` or ``(R,)``; NaN where a half is empty.

    Raises:
        DataError: shapes differ.

    >>> float(nearer_probability([0.1, 0.2, 0.8, 0.9], [1.0, 3.0, 2.0, 4.0]))
    0.75
    """
    sure, far = np.asarray(confidence, dtype=np.float64), np.asarray(distance, dtype=np.float64)
    mass = np.ones(sure.size) if weights is None else np.asarray(weights, dtype=np.float64)
    if sure.ndim != 1 or sure.shape != far.shape or mass.shape[-1:] != sure.shape:
        raise DataError(f"Expected arrays (N,) of one length, got {sure.shape}, {far.shape} and {mass.shape}.")
    rows = np.atleast_2d(mass)
    below, tied = _cumulated(sure, rows)
    half = rows.sum(axis=1, keepdims=True) / 2
    low = np.where(below + tied <= half, rows, 0.0)
    high = np.where(below >= half, rows, 0.0)
    nearer, level = _cumulated(far, low)
    wins = (high * (nearer + level / 2)).sum(axis=1)
    pairs = low.sum(axis=1) * high.sum(axis=1)
    result = np.asarray(ratio(wins, pairs))
    return np.asarray(result[0] if mass.ndim == 1 else result)


def nearer_half(
    confidence: Array,
    distance: Array,
    classes: NDArray[np.int64],
    strata: NDArray[np.int64],
    *,
    rng: np.random.Generator,
    fewest: int,
    resamples: int = 200,
    level: float = 0.95,
) -> NearerHalf:
    """Halves are cut, and pairs compared, inside each class; the classes are then averaged.

    Hard positives are chosen among the samples of one class, so a class that is near and unconfident as a whole says
    nothing about them.

    Args:
        confidence: ``(N,)``.
        distance: ``(N,)`` without sign.
        classes: ``(N,)`` labels.
        strata: ``(N,)`` samples are redrawn inside each.
        rng: source of randomness.
        fewest: samples that a class needs to be judged.
        resamples: bootstrap redraws.
        level: nominal coverage.
    """
    values, sizes = np.unique(classes, return_counts=True)
    judged, n = [], 0
    for value, size in zip(values, sizes, strict=True):
        mine = np.flatnonzero(classes == value)
        if size >= fewest and np.isfinite(nearer_probability(confidence[mine], distance[mine])):
            judged.append(mine)
            n += int(size)
    if not judged:
        return NearerHalf(undefined(n, f"no class of {fewest} samples", level), 0, int(values.size))
    masses = np.empty((resamples, classes.size), dtype=np.float32)
    for draw, index in enumerate(stratified_resamples(strata, resamples, rng)):
        masses[draw] = np.bincount(index, minlength=classes.size)
    estimates = [float(nearer_probability(confidence[mine], distance[mine])) for mine in judged]
    # A redrawn class of one confidence has no halves: it says nothing in that redraw.
    drawn = np.stack([nearer_probability(confidence[mine], distance[mine], masses[:, mine]) for mine in judged])
    known = np.isfinite(drawn)
    counted = known.sum(axis=0)
    draws = np.where(counted > 0, np.where(known, drawn, 0.0).sum(axis=0) / np.maximum(counted, 1), np.nan)
    estimate = percentile_interval(float(np.mean(estimates)), draws, n=n, level=level)
    return NearerHalf(estimate, len(judged), int(values.size) - len(judged))


def _cumulated(values: Array, mass: Array) -> tuple[Array, Array]:
    """``(R, N)`` mass of smaller values, and mass of equal ones."""
    distinct, code = np.unique(values, return_inverse=True)
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(distinct.size))
    tied = np.add.reduceat(mass[:, order], starts, axis=1) if distinct.size else np.zeros((len(mass), 0))
    return (np.cumsum(tied, axis=1) - tied)[:, code], tied[:, code]
