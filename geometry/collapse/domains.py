"""The same class in different domains: do its means agree, and how far apart are they?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.alignment import cosines
from geometry.collapse.class_statistics import Array, Weighting, class_weights
from geometry.collapse.moments import ClassMoments, LabelledFeatures
from geometry.defined import Value, mean_defined, ratio


@dataclass(frozen=True, eq=False)
class DomainGeometry:
    """Means ``mu_dk`` of the cells (domain d, class k), and their spread over domains.

    Attributes:
        cosine: ``(...)`` mean over classes of the class's mean cosine over pairs of domains, in [-1, 1].
        spread_ratio: ``(...)`` spread between domains / variance inside cells, >= 0.
        cosines: ``(..., K, M, M)`` cosine of ``mu_dk - mu_G`` with ``mu_d'k - mu_G``; NaN where a cell is empty.
        between: ``(..., K)`` mean squared distance of ``mu_dk`` to their mean over domains; NaN for one domain.
        within: ``(..., K)`` mean variance of the class's cells; NaN where no cell has two samples.
        classes: classes seen in two domains.
        masked_cells: cells without a variance (fewer than two samples, empty ones included).
    """

    cosine: Value
    spread_ratio: Value
    cosines: Array
    between: Array
    within: Array
    classes: int
    masked_cells: int


def cell_features(
    features: ArrayLike, labels: ArrayLike, domains: ArrayLike, num_classes: int, num_domains: int
) -> LabelledFeatures:
    """Features taken apart by cell; the cell of class k in domain d has index ``k M + d``.

    Args:
        features: ``(N, D)``.
        labels: ``(N,)`` classes in ``0..K-1``.
        domains: ``(N,)`` domains in ``0..M-1``.
        num_classes: K.
        num_domains: M.
    """
    cells = np.asarray(labels) * num_domains + np.asarray(domains)
    return LabelledFeatures.of(features, cells, num_classes * num_domains)


def domain_geometry(
    moments: ClassMoments, num_domains: int, *, weighting: Weighting = "balanced", classes: ArrayLike | None = None
) -> DomainGeometry:
    """Cross-domain geometry of class means (ours).

    ``balanced``: ``mu_G`` is the mean over classes of the mean over domains, every cell of a class counts alike, and
    the ratio is ``mean_k between_k / mean_k within_k``. ``pooled``: cells count by their samples, classes too. Classes
    seen in one domain are left out of both numbers; so are, from the ratio, classes without a cell of two samples. A
    cell mean of n samples carries ``variance / n`` of noise, which adds to ``between``.

    Args:
        moments: moments of :func:`cell_features`.
        num_domains: M.
        weighting: ``balanced`` or ``pooled``.
        classes: classes to average over; all by default. ``mu_G`` stays that of all classes.

    >>> x = [[0.0, 1.0], [0.0, 3.0], [9.0, 0.0], [7.0, 0.0]]
    >>> moments = cell_features(x, [0, 0, 1, 1], [0, 1, 0, 1], 2, 2).moments()
    >>> result = domain_geometry(moments, 2)
    >>> result.between.tolist(), result.masked_cells, bool(result.cosine > 0.9)
    ([1.0, 1.0], 4, True)
    """
    counts = moments.source.counts.reshape(-1, num_domains)
    means = moments.means.reshape(*moments.means.shape[:-2], *counts.shape, moments.means.shape[-1])
    traces = moments.within_traces.reshape(*means.shape[:-1])
    present = counts > 0
    share = _cell_shares(counts, weighting)
    seen = np.flatnonzero(present.any(axis=1))
    sizes = counts.sum(axis=1)
    class_share = class_weights(sizes[seen], weighting)
    filled = np.where(present[..., None], means, 0.0)
    centre = np.einsum("k,km,...kmd->...d", class_share, share[seen], filled[..., seen, :, :])
    filled -= centre[..., None, None, :]
    gram = filled @ np.swapaxes(filled, -1, -2)
    cells = present[:, :, None] & present[:, None, :]
    gram = np.where(cells, gram, np.nan)
    cosine = cosines(gram)

    shared = present.sum(axis=1) >= 2
    known = np.where(cells, gram, 0.0)
    own = np.einsum("km,...kmm->...k", share, known)
    between = np.where(shared, np.maximum(own - np.einsum("km,kl,...kml->...k", share, share, known), 0.0), np.nan)
    variance_share = _cell_shares(np.where(counts >= 2, counts, 0), weighting)
    measured = np.where(counts >= 2, traces, 0.0)
    within = np.where((counts >= 2).any(axis=1), np.einsum("km,...km->...k", variance_share, measured), np.nan)

    chosen = np.zeros(counts.shape[0], dtype=bool)
    chosen[np.arange(counts.shape[0]) if classes is None else np.asarray(classes, dtype=np.intp)] = True
    usable = chosen & shared & (counts >= 2).any(axis=1)
    upper, lower = np.triu_indices(num_domains, k=1)
    per_class = np.asarray(mean_defined(cosine[..., upper, lower]))
    weights = class_weights(sizes[usable], weighting)
    return DomainGeometry(
        cosine=_weighted_mean(per_class[..., chosen & shared], class_weights(sizes[chosen & shared], weighting)),
        spread_ratio=ratio(between[..., usable] @ weights, within[..., usable] @ weights),
        cosines=cosine,
        between=between,
        within=within,
        classes=int((chosen & shared).sum()),
        masked_cells=int((counts[chosen] < 2).sum()),
    )


def _cell_shares(counts: NDArray[np.int64], weighting: Weighting) -> Array:
    """``(K, M)`` weights of the cells of each class, summing to one where the class has any."""
    raw = (counts > 0).astype(np.float64) if weighting == "balanced" else counts.astype(np.float64)
    return np.asarray(raw / np.maximum(raw.sum(axis=1, keepdims=True), 1.0), dtype=np.float64)


def _weighted_mean(values: Array, weights: Array) -> Value:
    defined = ~np.isnan(values)
    total = (defined * weights).sum(axis=-1)
    summed = (np.where(defined, values, 0.0) * weights).sum(axis=-1)
    return ratio(summed, total)
