"""NC1 and CDNV: how far samples of a class lie from its mean, against how far the means lie from each other."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from geometry.collapse.class_statistics import Array, ClassStatistics, Weighting, class_weights
from geometry.collapse.pairs import pair_indices
from geometry.defined import Value, mean_defined


@dataclass(frozen=True, eq=False)
class NC1:
    """Within-class variability collapse, with what its pseudo-inverse left out.

    Attributes:
        value: ``tr(Sigma_W pinv(Sigma_B)) / K``, >= 0; 0 at collapse, and where all scatter is across the span of the
            centred means, which it does not see.
        trace_ratio: ``tr(Sigma_W) / tr(Sigma_B)``, >= 0; needs no inverse and no rank.
        rank: eigenvalues of Sigma_B kept.
        rank_expected: ``min(K - 1, D)``. A smaller rank is a finding: that many directions between class means have
            vanished, the pseudo-inverse ignores them, and ``value`` understates variability.
        smallest_kept: smallest kept eigenvalue over the largest, in (0, 1].
        per_class: ``(..., K)`` share of each class, ``tr(Sigma_k pinv(Sigma_B)) / K``; NaN where n < 2.
        masked: classes left out because they have fewer than two samples (absent ones included).
        weighting: ``balanced`` or ``pooled``.
    """

    value: Value
    trace_ratio: Value
    rank: Value
    rank_expected: int
    smallest_kept: Value
    per_class: Array
    masked: int
    weighting: Weighting


def nc1(stats: ClassStatistics, classes: ArrayLike | None = None) -> NC1:
    """NC1, ``tr(Sigma_W pinv(Sigma_B)) / K``, through the K x K Gram matrix of the centred class means.

    ``Sigma_W`` is the mean of the class covariances, equal weights (balanced) or by samples (pooled). Over a subset of
    classes only ``Sigma_W`` is restricted, so NC1 is the weighted mean of its subsets. K counts the classes present.
    Papyan, Han & Donoho (2020) without 1/K; Zhu et al. (2021) with it, as here.

    Args:
        stats: class statistics.
        classes: indices of the classes to average over; all by default.

    Returns:
        NaN values where fewer than two classes are present or no chosen class has two samples.

    >>> from geometry.collapse.moments import class_statistics
    >>> x = [[1.0, 0.1], [1.0, -0.1], [-1.0, 0.1], [-1.0, -0.1], [-1.2, 0.0], [-0.8, 0.0]]
    >>> result = nc1(class_statistics(x, [0, 0, 1, 1, 1, 1]))
    >>> round(float(result.value), 12), int(result.rank), result.rank_expected
    (0.005, 1, 1)
    """
    usable = stats.among(classes, at_least=2)
    present = stats.present.size
    chosen = stats.counts.size if classes is None else np.size(classes)
    kept = stats.spectrum > np.asarray(stats.tolerance)[..., None]
    inverse = np.divide(1.0, stats.spectrum, out=np.zeros_like(stats.spectrum), where=kept)
    per_class = np.einsum("...kr,...r->...k", stats.within_along, inverse) / present
    rank = kept.sum(axis=-1).astype(np.float64)
    smallest = np.where(kept, stats.spectrum, np.inf).min(axis=-1)
    ratio = np.divide(smallest, stats.spectrum[..., 0], out=np.full(stats.leading, np.nan), where=rank > 0)
    nan = np.full(stats.leading, np.nan)[()]
    value, traces = nan, nan
    if present >= 2 and usable.size > 0:
        weights = class_weights(stats.counts[usable], stats.weighting)
        within = stats.within_traces[..., usable] @ weights
        between = stats.spectrum.sum(axis=-1)
        value = np.where(rank > 0, per_class[..., usable] @ weights, np.nan)[()]
        traces = np.divide(within, between, out=np.full(stats.leading, np.nan), where=between > stats.tolerance)[()]
    return NC1(
        value=value,
        trace_ratio=traces,
        rank=rank[()],
        rank_expected=min(present - 1, stats.dimension),
        smallest_kept=ratio[()],
        per_class=per_class,
        masked=chosen - int(usable.size),
        weighting=stats.weighting,
    )


@dataclass(frozen=True, eq=False)
class CDNV:
    """Class-distance normalised variance.

    Attributes:
        mean: over pairs of classes, >= 0; inf where two means coincide.
        maximum: over pairs.
        matrix: ``(..., K, K)`` all pairs; NaN on the diagonal and where either class has n < 2.
        pairs: pairs averaged.
    """

    mean: Value
    maximum: Value
    matrix: Array
    pairs: int


def cdnv(stats: ClassStatistics, classes: ArrayLike | None = None) -> CDNV:
    """CDNV, ``(v_i + v_j) / (2 ||mu_i - mu_j||^2)``, v being the mean squared distance to the class mean (divisor n).

    No global mean enters, so both weightings agree. Galanti, Gyorgy & Hutter (2022).

    Args:
        stats: class statistics.
        classes: indices of the classes to pair; all by default.

    >>> from geometry.collapse.moments import class_statistics
    >>> stats = class_statistics([[-1.0, 1.0], [-1.0, -1.0], [3.0, 2.0], [3.0, -2.0]], [0, 0, 1, 1])
    >>> float(cdnv(stats).mean)  # (1 + 4) / (2 * 16)
    0.15625
    """
    squared = np.einsum("...kk->...k", stats.gram)
    distance = squared[..., :, None] + squared[..., None, :] - 2 * stats.gram
    spread = (stats.within_traces[..., :, None] + stats.within_traces[..., None, :]) / 2
    # Two means closer than rounding can tell have no ratio: infinite if the classes spread at all, else 0/0.
    floor = 2 * max(stats.present.size, 1) * np.asarray(stats.tolerance)[..., None, None]
    merged = np.where(spread > 0, np.inf, np.nan)
    matrix = np.divide(spread, distance, out=merged, where=distance > floor)
    matrix[..., np.arange(stats.counts.size), np.arange(stats.counts.size)] = np.nan
    usable = stats.among(classes, at_least=2)
    left, right = pair_indices(usable)
    values = matrix[..., left, right]
    return CDNV(mean=mean_defined(values), maximum=maximum_defined(values), matrix=matrix, pairs=left.size)


def maximum_defined(values: Array) -> Value:
    """The largest value that is not NaN along the last axis; NaN where there is none."""
    top = np.where(np.isnan(values), -np.inf, values).max(axis=-1, initial=-np.inf)
    return np.where(np.isneginf(top), np.nan, top)[()]
