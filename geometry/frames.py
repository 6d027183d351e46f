"""Geometries known in closed form, as Gram matrices of K class vectors."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import UsageError

Array = NDArray[np.float64]


def simplex_etf(num_classes: int) -> Array:
    """``(K, K)`` Gram of the simplex equiangular tight frame: 1 on the diagonal, -1/(K-1) off it.

    The end of training on balanced classes (Papyan, Han and Donoho 2020).

    Raises:
        UsageError: fewer than two classes.

    >>> simplex_etf(3)
    array([[ 1. , -0.5, -0.5],
           [-0.5,  1. , -0.5],
           [-0.5, -0.5,  1. ]])
    """
    _check_classes(num_classes)
    gram = np.full((num_classes, num_classes), -1.0 / (num_classes - 1))
    np.fill_diagonal(gram, 1.0)
    return gram


def orthogonal_frame(num_classes: int) -> Array:
    """``(K, K)`` identity: the optimum for non-negative features (after ReLU), whatever the imbalance.

    With f >= 0 every cosine is >= 0 and the losses do not decrease in it, so G = I is optimal
    (Kini et al. 2023 for the supervised contrastive loss).

    Raises:
        UsageError: fewer than two classes.
    """
    _check_classes(num_classes)
    return np.eye(num_classes)


def seli_classifiers(counts: ArrayLike) -> Array:
    r"""``(K, K)`` Gram of the classifier rows in the SELI geometry: ``(P D P)^{1/2}``.

    ``P = I - 11^T/K`` and ``D = diag(n_c)``. With the simplex-encoded labels ``Z = P Y = V L U^T`` the classifiers have
    Gram ``V L V^T = (Z Z^T)^{1/2}`` (Thrampoulidis et al. 2022, cross-entropy with vanishing ridge); ``Z Z^T = P D P``
    needs only the class counts. Norms differ between classes; the overall scale is free.

    Args:
        counts: ``(K,)`` positive training counts.

    Raises:
        UsageError: fewer than two classes, or a count that is not positive.
    """
    values, vectors = _encoded_labels(counts)
    return np.asarray((vectors * np.sqrt(values)) @ vectors.T, dtype=np.float64)


def seli_embeddings(counts: ArrayLike) -> Array:
    """``(K, K)`` Gram of the class embeddings in the SELI geometry: ``pinv((P D P)^{1/2})``.

    One embedding per class, for samples collapse; classifiers and embeddings satisfy ``W^T H = P``. Minority
    embeddings spread out (cosine to -1/(K_B - 1)) as minority classifiers merge, at no finite imbalance ratio.

    Args:
        counts: ``(K,)`` positive training counts.

    Raises:
        UsageError: fewer than two classes, or a count that is not positive.
    """
    values, vectors = _encoded_labels(counts)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T, dtype=np.float64)


def _encoded_labels(counts: ArrayLike) -> tuple[Array, Array]:
    """The K-1 positive eigenvalues of P D P and their eigenvectors (the other one is 1, with eigenvalue 0)."""
    sizes = np.asarray(counts, dtype=np.float64)
    if sizes.ndim != 1 or not (np.isfinite(sizes).all() and (sizes > 0).all()):
        raise UsageError("Expected one positive count per class for SELI; drop the classes that never occur.")
    _check_classes(len(sizes))
    centred = np.diag(sizes) - (sizes[:, None] + sizes[None, :]) / len(sizes) + sizes.mean() / len(sizes)
    values, vectors = np.linalg.eigh(centred)
    return np.asarray(values[1:], dtype=np.float64), np.asarray(vectors[:, 1:], dtype=np.float64)


def _check_classes(num_classes: int) -> None:
    if num_classes < 2:
        raise UsageError(f"Expected at least two classes, got {num_classes}.")
