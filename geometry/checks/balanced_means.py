"""Class vectors for the check of the simplex: means with domains of equal weight, and what of them is noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.alignment import cosines
from geometry.checks.class_margins import class_weights_of_cells
from geometry.collapse.angles import nc2
from geometry.collapse.domains import cell_features
from geometry.collapse.resampling import multiplicities
from geometry.intervals import Interval

Array = NDArray[np.float64]

EXACT = "exact, one run: rows are parameters, not samples; other seeds would give an interval"
LEAST_RESAMPLES = 20


@dataclass(frozen=True, eq=False)
class ClassVectors:
    """Directions of P class vectors, centred on their mean.

    Attributes:
        classes: ``(P,)`` classes.
        cosines: ``(P, P)``; NaN where a vector has no length.
        draws: ``(B, P (P-1) / 2)`` cosines of the pairs on resamples, in the order of ``numpy.triu_indices(P, 1)``.
        noise: ``(P,)`` share of the squared length that sampling noise alone would give.
        norm_cov: standard deviation of the lengths over their mean.
        samples: behind the vectors; 0 for rows of a head.
        dimension: D.
        single_cells: cells of one sample, left out.
        freedom: fewest degrees of freedom of a class, samples less cells; 0 for rows of a head.
        unlinked: classes left out because no cell of several samples links them to the others by a domain.
    """

    classes: NDArray[np.intp]
    cosines: Array
    draws: Array
    noise: Array
    norm_cov: float
    samples: int
    dimension: int
    single_cells: int
    freedom: int = 0
    unlinked: int = 0


def head_rows(weight: NDArray[np.floating], classes: NDArray[np.intp]) -> ClassVectors:
    """The rows of a head, which are parameters and have no resamples."""
    rows = np.asarray(weight, dtype=np.float64)[classes]
    rows = rows - rows.mean(axis=0)
    gram = rows @ rows.T
    empty = np.zeros((0, classes.size * (classes.size - 1) // 2))
    return ClassVectors(
        classes, cosines(gram), empty, np.zeros(classes.size), float(nc2(gram).norm_cov), 0, rows.shape[1], 0
    )


def balanced_means(
    values: NDArray[np.floating],
    labels: NDArray[np.int64],
    domains: NDArray[np.int64],
    *,
    shape: tuple[int, int],
    fewest: int,
    most_noise: float,
    rng: np.random.Generator,
    resamples: int,
) -> ClassVectors:
    """Class means at the average domain, of the classes whose means stand out of the noise.

    The means are those of the two-way fit ``cell mean = domain + class``
    (:func:`~geometry.checks.class_margins.class_weights_of_cells`), linear in the cell means: ``m = W c``. Pooled
    means would hold each class's mixture of domains too, and under imbalance that differs from class to class.

    With ``A = (I - 11^T/P) W`` the expected squared error of a centred mean is
    ``sum_c A_kc^2 v_c / (n_c - 1)``, ``v_c`` the mean squared distance to the mean of cell c (divisor n_c); ``noise``
    is this over the squared length, about 1 for features without structure. A cell of one sample shows no variance
    and is left out (ours); classes that no domain links to the others without these cells are left out too.

    Args:
        values: ``(N, D)``.
        labels: ``(N,)``.
        domains: ``(N,)``.
        shape: M domains, K classes.
        fewest: samples that a class needs, cells of one sample not counted.
        most_noise: largest noise share of a class that is kept.
        rng: source of randomness.
        resamples: bootstrap redraws of the samples of each cell.

    Returns:
        The vectors of the classes kept, perhaps of none; then nothing is resampled.
    """
    size = np.zeros(shape, dtype=np.int64)
    np.add.at(size, (domains, labels), 1)
    usable = (size >= 2) & (np.where(size >= 2, size, 0).sum(axis=0) >= fewest)
    index = np.flatnonzero(usable[domains, labels])
    single, none = int(np.sum(size == 1)), np.zeros(0, dtype=np.intp)
    if not index.size:
        return ClassVectors(none, np.zeros((0, 0)), np.zeros((0, 0)), np.zeros(0), np.nan, 0, values.shape[1], single)
    data = cell_features(values[index], labels[index], domains[index], shape[1], shape[0])
    cells = np.flatnonzero(data.counts)
    present, weights = class_weights_of_cells(cells % shape[0], cells // shape[0], data.counts[cells])
    unlinked = np.unique(cells // shape[0]).size - present.size
    base = data.moments()
    error = base.within_traces[cells] / (data.counts[cells] - 1)
    # Which means stand out depends on their centre, so it is judged once, among all.
    noise = _noise(weights, base.means[cells], error)
    kept = noise <= most_noise
    present, weights = present[kept], weights[kept]
    if present.size < 2:
        one = np.ones((present.size,) * 2)
        return ClassVectors(
            present, one, np.zeros((0, 0)), noise[kept], np.nan, 0, values.shape[1], single, unlinked=unlinked
        )
    pairs = np.triu_indices(present.size, 1)
    middle = base.means[cells]
    drawn = []
    for times in multiplicities(data.labels, resamples, rng, 3 * max(data.residuals.shape[0], base.means.size)):
        drawn.append(cosines(_gram(weights, data.moments(times).means[:, cells]))[:, pairs[0], pairs[1]])
    gram = _gram(weights, middle)
    samples = int(np.isin(labels[index], present).sum())
    spare = np.bincount(cells // shape[0], weights=data.counts[cells] - 1, minlength=shape[1])
    return ClassVectors(
        present,
        cosines(gram),
        np.concatenate(drawn) if drawn else np.zeros((0, pairs[0].size)),
        noise[kept],
        float(nc2(gram).norm_cov),
        samples,
        values.shape[1],
        single,
        int(spare[present].min()),
        unlinked,
    )


def pair_interval(
    vectors: ClassVectors,
    pairs: NDArray[np.bool_],
    measure: Callable[[Array], Any],
    *,
    level: float,
    span: tuple[float, float],
) -> Interval:
    """A mean over chosen pairs, with an interval that holds with and without the bootstrap's estimate of its bias.

    ``[min(x, x - b) - t s, max(x, x - b) + t s]``, x the estimate, b and s bias and standard deviation of the draws, t
    Student's quantile on the fewest degrees of freedom of a class. A mean of absolute deviations has kinks where a
    cosine meets the simplex's: there the bootstrap overstates the bias of some pairs and understates the scatter, and
    reflected intervals of small cells miss twice as often as they should (measured, ours).

    Args:
        vectors: the vectors; the rows of a head have an exact value.
        pairs: ``(P (P-1) / 2,)`` mask of the pairs.
        measure: ``(..., p)`` cosines to ``(...)``.
        level: nominal coverage.
        span: range of the measure.
    """
    from scipy.special import stdtrit  # scipy.stats would take a second to import

    estimate = float(measure(vectors.cosines[np.triu_indices(vectors.classes.size, 1)][pairs]))
    if not vectors.samples:
        return Interval(estimate, estimate, estimate, level, int(vectors.classes.size), EXACT)
    drawn = measure(vectors.draws[:, pairs])
    drawn = drawn[np.isfinite(drawn)]
    if drawn.size < LEAST_RESAMPLES or not np.isfinite(estimate):
        nan = float("nan")
        return Interval(estimate, nan, nan, level, vectors.samples, "no interval: too few defined resamples")
    bias = float(drawn.mean() - estimate)
    half = float(stdtrit(vectors.freedom, 0.5 + level / 2.0) * drawn.std(ddof=1))
    low, high = np.clip([min(estimate, estimate - bias) - half, max(estimate, estimate - bias) + half], *span)
    method = (
        f"bootstrap of cells, {drawn.size} resamples, t with {vectors.freedom} degrees of freedom, bias {bias:+.2g}"
    )
    return Interval(estimate, float(low), float(high), level, vectors.samples, method)


def _gram(weights: Array, means: Array) -> Array:
    """``(..., P, P)`` inner products of the centred class vectors from cell means ``(..., C, D)``."""
    vectors = _centred(weights) @ means
    return np.asarray(vectors @ vectors.swapaxes(-1, -2), dtype=np.float64)


def _noise(weights: Array, means: Array, error: Array) -> Array:
    """``(P,)`` expected squared error of each centred class vector over its squared length; inf without a length."""
    centred = _centred(weights)
    squared = np.square(centred @ means).sum(axis=1)
    lengthy = squared > 1e-14 * np.square(means).sum(axis=1).max()
    return np.where(lengthy, centred**2 @ error / np.where(lengthy, squared, 1.0), np.inf)


def _centred(weights: Array) -> Array:
    return np.asarray(weights - weights.mean(axis=0), dtype=np.float64)
