"""Two Gram matrices of class vectors against each other: distances, alignment, a common picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def gram_error(learned: Array, optimal: Array) -> float:
    """``|| G/||G||_F - G*/||G*||_F ||_F``: 0 for equal shapes whatever their scale, at most sqrt(2).

    >>> gram_error(np.eye(4), 16 * np.eye(4))
    0.0
    """
    return float(np.linalg.norm(learned / np.linalg.norm(learned) - optimal / np.linalg.norm(optimal)))


def relative_error(learned: Array, optimal: Array) -> float:
    """``||G - G*||_F / ||G*||_F``."""
    return float(np.linalg.norm(learned - optimal) / np.linalg.norm(optimal))


def kernel_alignment(learned: Array, optimal: Array) -> float:
    """Centred kernel alignment ``<HGH, HG*H> / (||HGH||_F ||HG*H||_F)`` (Cortes et al. 2012); NaN if one is zero."""
    first, second = double_centred(learned), double_centred(optimal)
    scale = float(np.linalg.norm(first) * np.linalg.norm(second))
    noise = 1e-12 * float(np.linalg.norm(learned) * np.linalg.norm(optimal))
    return float((first * second).sum() / scale) if scale > noise else float("nan")


def procrustes(learned: Array, optimal: Array) -> tuple[float, Array, Array]:
    """Residual in [0, 1] and ``(P, P)`` coordinates a X Q and X* of two Gram matrices, after scale and rotation."""
    from scipy.linalg import orthogonal_procrustes

    source, goal = coordinates(learned), coordinates(optimal)
    rotation, overlap = orthogonal_procrustes(source, goal)
    aligned = source @ rotation * (overlap / np.linalg.norm(source) ** 2)
    return float(np.linalg.norm(aligned - goal) / np.linalg.norm(goal)), aligned, goal


def cosines(gram: Array, *, centre: bool = False) -> Array:
    """Cosines ``G_ij / sqrt(G_ii G_jj)`` of a Gram matrix, ``(..., K, K)``; of one centred first if ``centre``.

    A vector shorter than 1e-7 of the longest has no direction that float64 can vouch for: NaN. Gram entries carry
    rounding of about 1e-16 of the largest, and a length is the square root of one.

    >>> cosines(np.array([[4.0, 2.0], [2.0, 4.0]])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    gram = double_centred(gram) if centre else np.asarray(gram, dtype=np.float64)
    squared = np.einsum("...kk->...k", gram)
    longest = np.where(np.isnan(squared), 0.0, squared).max(axis=-1, initial=0.0)
    directed = squared > 1e-14 * longest[..., None]
    norm = np.sqrt(squared, out=np.ones_like(squared), where=directed)
    defined = directed[..., :, None] & directed[..., None, :]
    # Divided one after the other: the product of two tiny norms could underflow.
    scaled = gram / norm[..., :, None] / norm[..., None, :]
    return np.asarray(np.where(defined, np.clip(scaled, -1.0, 1.0), np.nan), dtype=np.float64)


def double_centred(gram: Array) -> Array:
    """``(..., K, K)`` H G H with H = I - 11^T/K: the Gram matrix of the deviations from the mean vector."""
    rows = gram.mean(axis=-1)
    grand = rows.mean(axis=-1)[..., None, None]
    return np.asarray(gram - rows[..., :, None] - rows[..., None, :] + grand, dtype=np.float64)


def coordinates(gram: Array) -> Array:
    """``(K, K)`` X with X X^T = G, columns by decreasing length; negative eigenvalues (rounding) are dropped."""
    values, vectors = np.linalg.eigh((gram + gram.T) / 2.0)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Planar:
    """Sets of K class vectors seen in one plane.

    Attributes:
        points: for each Gram matrix, ``(K, 2)`` coordinates.
        shares: for each Gram matrix, the share of its squared length that the plane keeps, in [0, 1].
    """

    points: tuple[Array, ...]
    shares: tuple[float, ...]


def planar(*grams: Array) -> Planar:
    """The plane that keeps most of several aligned sets of class vectors; for one Gram matrix, its best plane.

    Each set is rotated and scaled onto the last one (Procrustes), then all are projected on the first two principal
    axes of them together, through the origin. One plane for all, for a simplex has no plane of its own.

    Args:
        grams: one or more ``(K, K)`` Gram matrices, learned first and optimal last.
    """
    aligned = [procrustes(gram, grams[-1])[1] for gram in grams[:-1]] + [coordinates(grams[-1])]
    axes = np.linalg.svd(np.vstack(aligned), full_matrices=False)[2][:2].T
    points = tuple(np.asarray(vectors @ axes, dtype=np.float64) for vectors in aligned)
    shares = tuple(float((seen**2).sum() / (vectors**2).sum()) for seen, vectors in zip(points, aligned, strict=True))
    return Planar(points, shares)
