"""Margins in three scales and the curve of Pr[margin <= delta]."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.risk import Array, Masks
from geometry.bound.row import Row, row
from geometry.errors import DataError
from geometry.intervals import Interval, percentile_interval, stratified_resamples, undefined

SCALES = ("probability", "logit", "geometric")
GRID_POINTS = 81


def score_margin(scores: ArrayLike, labels: ArrayLike) -> Array:
    """Margin ``gamma_i = s_{i,y} - max_{j != y} s_{i,j}`` of every sample, ``(N,)``.

    With probabilities it lies in [-1, 1]; with logits it is unbounded. It is positive exactly where the label wins
    alone, so ``gamma <= 0`` counts a tie as an error (Koltchinskii and Panchenko 2002).

    Args:
        scores: ``(N, K)`` probabilities or logits, K >= 2.
        labels: ``(N,)`` integers in ``0..K-1``.

    Raises:
        DataError: fewer than two classes.

    >>> np.round(score_margin([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], [0, 1]), 3).tolist()
    [0.5, -0.3]
    """
    return np.asarray(_gaps(scores, labels).min(axis=1))


def geometric_margin(scores: ArrayLike, labels: ArrayLike, head_weight: ArrayLike) -> Array:
    """Signed distance in feature space ``gamma_i = min_{j != y} (z_y - z_j) / ||w_y - w_j||``, ``(N,)``.

    The region of class y of a linear head is an intersection of half-spaces. Inside it (``gamma >= 0``) the value is
    the exact Euclidean distance to its boundary. Outside, ``-gamma`` is the distance to the farthest violated
    half-space: a lower bound on the distance to the region, exact for two classes. A rival with the same weights as y
    has no boundary with it: it counts as infinitely far when it never wins, as ``-inf`` when it always does.

    Args:
        scores: ``(N, K)`` logits of the linear head, K >= 2.
        labels: ``(N,)`` the class y of each sample (its label, or its prediction for an unsigned distance).
        head_weight: ``(K, D)``.

    Raises:
        DataError: fewer than two classes.

    >>> geometric_margin([[3.0, -3.0]], [0], [[1.0, 0.0], [-1.0, 0.0]]).tolist()
    [3.0]
    """
    from scipy.spatial.distance import cdist

    weight = np.asarray(head_weight, dtype=np.float64)
    gaps = _gaps(scores, labels)
    # cdist subtracts before squaring: the Gram route cancels when two rows nearly agree, as in minority collapse.
    spans = cdist(weight, weight)[np.asarray(labels, dtype=np.int64)]
    apart = spans > 0
    ratios = np.where(apart, gaps / np.where(apart, spans, 1.0), np.where(gaps == 0, 0.0, np.copysign(np.inf, gaps)))
    return np.asarray(ratios.min(axis=1))


def _gaps(scores: ArrayLike, labels: ArrayLike) -> Array:
    """``(N, K)`` lead of the label over every class, infinite over itself."""
    values, codes = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise DataError(f"Expected scores (N, K) of at least two classes, got shape {values.shape}.")
    every = np.arange(codes.size)
    gaps = values[every, codes][:, None] - values
    gaps[every, codes] = np.inf
    return gaps


@dataclass(frozen=True, eq=False)
class CurveBand:
    """Values of a curve with a pointwise interval, three arrays ``(G,)`` on the grid of the curve."""

    estimate: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class MarginDistribution:
    """The margins of one sample set in one scale.

    Attributes:
        scale: ``probability``, ``logit`` or ``geometric``.
        where: name of the sample set.
        mean: mean of the class means of the margin.
        groups: the same inside each shot group.
        delta: ``(G,)`` grid; its middle is exactly 0, where the curve is the balanced risk.
        curve: ``Pr[margin <= delta]`` averaged over the classes present, with a pointwise band.
        group_curves: the same inside each shot group.
        class_curves: ``(K, G)`` one curve per class, NaN rows for absent classes.
        class_counts: ``(K,)`` samples of each class.
        note: conditions on the numbers.
    """

    scale: str
    where: str
    mean: Interval
    groups: dict[str, Interval]
    delta: Array
    curve: CurveBand
    group_curves: dict[str, CurveBand]
    class_curves: Array
    class_counts: NDArray[np.int64]
    note: str

    def rows(self) -> Iterator[Row]:
        """The mean margin, over all classes and by shot group."""
        yield row("mean margin", self.scale, "all", self.where, self.mean, self.note)
        for group, value in self.groups.items():
            yield row("mean margin", self.scale, group, self.where, value)


def margin_grid(scale: str, margins: ArrayLike, points: int = GRID_POINTS) -> Array:
    """A symmetric grid with 0 in its middle: [-1, 1] for probabilities, else out to the 99th percentile of |margin|."""
    finite = np.abs(np.asarray(margins, dtype=np.float64))
    finite = finite[np.isfinite(finite)]
    reach = 1.0 if scale == "probability" or not finite.size else float(np.percentile(finite, 99.0)) or 1.0
    half = reach * np.arange(1, points // 2 + 1) / (points // 2)
    return np.concatenate([-half[::-1], [0.0], half])


def margin_curves(margins: ArrayLike, labels: ArrayLike, num_classes: int, delta: ArrayLike) -> Array:
    """``(K, G)`` curves ``Pr[margin <= delta_g | Y = k]``; NaN rows for absent classes."""
    histogram = _histogram(margins, labels, num_classes, np.asarray(delta, dtype=np.float64))
    counts = histogram.sum(axis=1, keepdims=True)
    below = np.cumsum(histogram, axis=1)[:, :-1]
    return np.where(counts > 0, below / np.maximum(counts, 1), np.nan)


def estimate_margins(
    margins: ArrayLike,
    labels: ArrayLike,
    num_classes: int,
    *,
    scale: str,
    where: str,
    delta: Array,
    rng: np.random.Generator,
    groups: Masks | None = None,
    resamples: int = 200,
    level: float = 0.95,
    note: str = "",
) -> MarginDistribution:
    """Class-averaged mean margin and curve ``delta -> Pr[margin <= delta]``.

    In the probability scale ``integral_{-1}^{1} Pr[gamma <= d] dd = 1 - mean(gamma)``, so the mean carries the whole
    area under the curve. Intervals redraw the samples of each class with replacement.

    Args:
        margins: ``(N,)``.
        labels: ``(N,)`` integers in ``0..K-1``.
        num_classes: K.
        scale: name of the scale.
        where: name of the sample set.
        delta: ``(G,)`` ascending grid.
        rng: source of randomness.
        groups: ``(K,)`` masks of the shot groups.
        resamples: bootstrap redraws.
        level: nominal coverage.
        note: a condition on the margins to pass on.
    """
    values, codes = np.asarray(margins, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    counts = np.bincount(codes, minlength=num_classes).astype(np.int64)
    masks = {"all": counts > 0} | {name: np.asarray(mask) & (counts > 0) for name, mask in (groups or {}).items()}
    means = _mean_margins(values, codes, counts, masks, rng, resamples, level)
    curves = margin_curves(values, codes, num_classes, delta)
    bands = _bands(values, codes, counts, curves, masks, delta, rng, resamples, level)
    alone = int(np.sum(counts == 1))
    classes = f"classes present: {int(np.sum(counts > 0))} of {num_classes}; of one sample: {alone}"
    return MarginDistribution(
        scale=scale,
        where=where,
        mean=means.pop("all"),
        groups=means,
        delta=delta,
        curve=bands.pop("all"),
        group_curves=bands,
        class_curves=curves,
        class_counts=counts,
        note=f"{note}; {classes}" if note else classes,
    )


def _mean_margins(
    values: Array,
    codes: NDArray[np.int64],
    counts: NDArray[np.int64],
    masks: Masks,
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> dict[str, Interval]:
    if not np.all(np.isfinite(values)):
        reason = "some margins are infinite because head rows coincide"
        return {name: undefined(int(counts[mask].sum()), reason, level) for name, mask in masks.items()}
    size = np.maximum(counts, 1)

    def means(index: NDArray[np.intp]) -> Array:
        return np.bincount(codes[index], weights=values[index], minlength=counts.size) / size

    draws = np.array([means(index) for index in stratified_resamples(codes, resamples, rng)])
    estimate, result = means(np.arange(codes.size)), {}
    for name, mask in masks.items():
        n = int(counts[mask].sum())
        result[name] = (
            percentile_interval(float(estimate[mask].mean()), draws[:, mask].mean(axis=1), n=n, level=level)
            if n
            else undefined(0, "no sample", level)
        )
    return result


def _bands(
    values: Array,
    codes: NDArray[np.int64],
    counts: NDArray[np.int64],
    curves: Array,
    masks: Masks,
    delta: Array,
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> dict[str, CurveBand]:
    """Bands of the averaged curves; redrawing a class is a multinomial draw of its histogram over the grid."""
    histogram = _histogram(values, codes, counts.size, delta)
    sums = {name: np.zeros((resamples, delta.size)) for name in masks}
    for k in np.flatnonzero(counts):
        redrawn = rng.multinomial(counts[k], histogram[k] / counts[k], size=resamples)
        below = np.cumsum(redrawn, axis=1)[:, :-1] / counts[k]
        for name, mask in masks.items():
            if mask[k]:
                sums[name] += below
    tail, nothing = 50.0 * (1.0 - level), np.full(delta.size, np.nan)
    bands = {}
    for name, mask in masks.items():
        size = int(mask.sum())
        if size == 0:
            bands[name] = CurveBand(nothing, nothing, nothing)
            continue
        low, high = np.percentile(sums[name] / size, [tail, 100.0 - tail], axis=0)
        bands[name] = CurveBand(curves[mask].mean(axis=0), low, high)
    return bands


def _histogram(margins: ArrayLike, labels: ArrayLike, num_classes: int, delta: Array) -> NDArray[np.int64]:
    """``(K, G + 1)`` counts of margins in the cells (delta_{g-1}, delta_g], the last cell above the grid."""
    bins = np.searchsorted(delta, np.asarray(margins, dtype=np.float64), side="left")
    cells = np.asarray(labels, dtype=np.int64) * (delta.size + 1) + bins
    return np.bincount(cells, minlength=num_classes * (delta.size + 1)).reshape(num_classes, delta.size + 1)
