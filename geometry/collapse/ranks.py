"""Effective and stable rank: how many directions carry the features, or the class means."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.collapse.class_statistics import Array
from geometry.defined import Value, mean_defined, ratio


def effective_rank(singular_values: ArrayLike) -> Value:
    """Effective rank ``exp(-sum p log p)`` with ``p = s / sum s``, in [1, rank]. Roy & Vetterli (2007).

    RankMe (Garrido et al. 2023) is the same number up to the 1e-7 it adds to every p.

    Args:
        singular_values: ``(..., R)``, each >= 0.

    Returns:
        ``(...)``; NaN where all are zero.

    >>> round(float(effective_rank([2.0, 2.0, 2.0, 0.0])), 12)
    3.0
    """
    values = np.asarray(singular_values, dtype=np.float64)
    total = values.sum(axis=-1, keepdims=True)
    share = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    return np.where(total[..., 0] > 0, np.exp(-(share * logs).sum(axis=-1)), np.nan)[()]


def stable_rank(singular_values: ArrayLike) -> Value:
    """Stable rank ``||A||_F^2 / ||A||_2^2 = sum s^2 / max s^2``, in [1, rank].

    Args:
        singular_values: ``(..., R)``, each >= 0.

    Returns:
        ``(...)``; NaN where all are zero.

    >>> float(stable_rank([2.0, 1.0, 1.0]))
    1.5
    """
    squares = np.asarray(singular_values, dtype=np.float64) ** 2
    top = squares.max(axis=-1, initial=0.0)
    return ratio(squares.sum(axis=-1), top)


def singular_values_from_gram(gram: Array) -> Array:
    """Singular values ``sqrt(eig)`` of the matrix behind a Gram matrix, ``(..., R)``.

    Squaring costs half the digits: eigenvalues below ``R eps`` of the largest are rounding and set to zero, which drops
    singular values below about 1e-8 sqrt(R) of the largest.
    """
    eigenvalues = np.linalg.eigvalsh(gram)
    floor = gram.shape[-1] * np.finfo(np.float64).eps * eigenvalues[..., -1:]
    return np.sqrt(np.where(eigenvalues > floor, eigenvalues, 0.0))


def centred_singular_values(features: NDArray[Any], sample_weights: Array, centre: Array) -> Array:
    """Singular values of the rows ``sqrt(a_i) (h_i - centre)``, through the smaller of the two Gram matrices.

    With weights that sum to one these are the square roots of the eigenvalues of the total scatter around ``centre``.

    Args:
        features: ``(N, D)``.
        sample_weights: ``(N,)`` weights a, each >= 0.
        centre: ``(D,)``.

    Returns:
        ``(min(N, D),)`` in ascending order.
    """
    rows = (features - centre) * np.sqrt(sample_weights)[:, None]
    return singular_values_from_gram(rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows)


def gram_ranks(gram: Array, classes: ArrayLike | None = None) -> tuple[Value, Value]:
    """Effective and stable rank of the vectors with this Gram matrix (NaN rows are left out).

    >>> effective, stable = gram_ranks(np.eye(4) - 1 / 4)
    >>> round(float(effective), 12), round(float(stable), 12)
    (3.0, 3.0)
    """
    wanted = np.arange(gram.shape[-1]) if classes is None else np.asarray(classes, dtype=np.intp)
    diagonal = np.einsum("...kk->...k", gram).reshape(-1, gram.shape[-1])
    chosen = wanted[~np.isnan(diagonal).any(axis=0)[wanted]]
    if chosen.size == 0:
        nan = mean_defined(np.full((*gram.shape[:-2], 1), np.nan))
        return nan, nan
    values = singular_values_from_gram(gram[..., chosen[:, None], chosen])
    return effective_rank(values), stable_rank(values)
