"""NC2: lengths and angles of class vectors (means, classifier rows, a solution), read from their Gram matrix."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from geometry.alignment import cosines
from geometry.collapse.class_statistics import Array, Index
from geometry.collapse.pairs import pair_indices
from geometry.defined import Value, deviation_defined, mean_defined, ratio


@dataclass(frozen=True, eq=False)
class NC2:
    """Equal lengths and equal angles.

    Attributes:
        norm_cov: std / mean of the lengths (population std, divisor n), >= 0.
        cosine_std: population std of the cosines over pairs, >= 0.
        max_equiangularity: mean over pairs of ``|cos + 1/(K-1)|``, K counting all vectors, >= 0.
        vectors: vectors that enter.
        pairs: pairs that enter.
    """

    norm_cov: Value
    cosine_std: Value
    max_equiangularity: Value
    vectors: int
    pairs: int


def nc2(gram: Array, classes: ArrayLike | None = None) -> NC2:
    """NC2 of the vectors with this Gram matrix. Papyan, Han & Donoho (2020).

    For class means pass ``ClassStatistics.gram`` (centred means); for a classifier ``W @ W.T`` (rows as they are).

    Args:
        gram: ``(..., K, K)``; NaN rows are absent classes.
        classes: indices to restrict lengths and pairs to; K in ``1/(K-1)`` stays the number of vectors present.

    >>> simplex = np.eye(4) - 1 / 4
    >>> result = nc2(simplex)
    >>> round(float(result.norm_cov), 12), round(float(result.max_equiangularity), 12)
    (0.0, 0.0)
    """
    chosen, present = _chosen(gram, classes)
    nan = np.full(gram.shape[:-2], np.nan)[()]
    if chosen.size < 2:
        return NC2(nan, nan, nan, int(chosen.size), 0)
    lengths = np.sqrt(np.einsum("...kk->...k", gram)[..., chosen])
    mean = lengths.mean(axis=-1)
    left, right = pair_indices(chosen)
    cosine = cosines(gram)[..., left, right]
    return NC2(
        norm_cov=ratio(lengths.std(axis=-1), mean),
        cosine_std=deviation_defined(cosine),
        max_equiangularity=mean_defined(np.abs(cosine + 1 / (present.size - 1))),
        vectors=int(chosen.size),
        pairs=left.size,
    )


@dataclass(frozen=True, eq=False)
class GNC2:
    """Spread of directions on the sphere by the log kernel.

    Attributes:
        mean: over pairs of ``log(1 / ||u_i - u_j||)``, >= -log 2; +inf where two directions coincide.
        variance: over pairs (divisor n); NaN where the mean is infinite.
        pairs: pairs that enter.
    """

    mean: Value
    variance: Value
    pairs: int


def gnc2(gram: Array, classes: ArrayLike | None = None) -> GNC2:
    """Generalised NC2: the log-kernel energy of the directions, meaningful also for K > D + 1. After Liu et al. (2023).

    Lower is more uniform; a simplex gives ``-log(2K/(K-1)) / 2``. Other Riesz exponents are in use elsewhere.
    Directions whose cosine is within 8 eps of one count as coinciding.

    Args:
        gram: ``(..., K, K)``; NaN rows are absent classes.
        classes: indices of the classes to pair; all by default.

    >>> round(float(gnc2(np.eye(3)).mean), 6)  # -log(2) / 2
    -0.346574
    """
    chosen, _ = _chosen(gram, classes)
    left, right = pair_indices(chosen)
    gap = 2 * (1 - cosines(gram)[..., left, right])
    apart = gap > 16 * np.finfo(np.float64).eps
    energy = np.where(np.isnan(gap), np.nan, np.inf)
    np.log(gap, out=energy, where=apart)
    energy[apart] *= -0.5
    return GNC2(mean=mean_defined(energy), variance=deviation_defined(energy) ** 2, pairs=left.size)


def etf_error(gram: Array, classes: ArrayLike | None = None) -> Value:
    """Distance of a Gram matrix to that of a simplex equiangular tight frame.

    ``|| G/||G||_F - E/||E||_F ||_F`` with ``E = I - 11^T/K`` (``||E||_F = sqrt(K - 1)``), in [0, sqrt 2] because both
    are positive semidefinite. A subset of classes compares the blocks of G and E, each normalised on its own.

    Args:
        gram: ``(..., K, K)``; NaN rows are absent classes, K counts those present.
        classes: indices of the block; all by default.

    Returns:
        ``(...)``; NaN for fewer than two vectors or a Gram matrix of zeros.

    >>> round(float(etf_error(5.0 * (np.eye(3) - 1 / 3))), 12)
    0.0
    """
    chosen, present = _chosen(gram, classes)
    nan = np.full(gram.shape[:-2], np.nan)
    if chosen.size < 2:
        return nan[()]
    block = gram[..., chosen[:, None], chosen]
    target = np.eye(chosen.size) - 1 / present.size
    norm = np.sqrt((block**2).sum(axis=(-1, -2)))
    unit = np.divide(block, norm[..., None, None], out=np.zeros_like(block), where=norm[..., None, None] > 0)
    error = np.sqrt(((unit - target / np.linalg.norm(target)) ** 2).sum(axis=(-1, -2)))
    return np.where(norm > 0, error, np.nan)[()]


def _chosen(gram: Array, classes: ArrayLike | None) -> tuple[Index, Index]:
    """The chosen classes that are present, and all that are present."""
    diagonal = np.einsum("...kk->...k", gram)
    there = ~np.isnan(diagonal.reshape(-1, diagonal.shape[-1])).any(axis=0)
    wanted = np.arange(there.size) if classes is None else np.asarray(classes, dtype=np.intp)
    return wanted[there[wanted]], np.flatnonzero(there)
