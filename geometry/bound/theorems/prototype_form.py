"""Theorem C: balanced error from prediction prototypes, with the hull of the sources' prototypes."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.posterior import largest_gap
from geometry.bound.risk import Array
from geometry.errors import DataError


@dataclass(frozen=True, eq=False)
class PrototypeForm:
    """The right side of Theorem C, class by class.

    Attributes:
        soft_error: ``(K,)`` ``1 - mu_S^k[k]``, in [0, 1].
        target_gap: ``(K,)`` ``max(0, mu_S^k[k] - mu_T^k[k])``, in [0, 1].
        diameter: ``(K,)`` ``max_ij |mu_i^k - mu_j^k|_inf`` over the sources that hold the class.
        outside: ``(K,)`` ``r_k``, distance in the largest coordinate of ``mu_T^k`` to the hull of the sources'.
        bound: ``2 mean(soft_error) + 2 mean(target_gap)``.
        hull_bound: ``2 mean(soft_error) + 2 mean(diameter + outside)``, never below ``bound``.
    """

    soft_error: Array
    target_gap: Array
    diameter: Array
    outside: Array
    bound: float
    hull_bound: float


def prototype_form(sources: ArrayLike, shares: ArrayLike, target: ArrayLike, *, hull: bool = True) -> PrototypeForm:
    """Evaluate Theorem C (ours) from prototypes ``mu_D^k = E_D[p(x) | Y = k]``.

    An error, ties included, needs ``p_y <= 1/2``, so ``1[yhat != y] <= 2 (1 - p_y)`` and

        BER_T <= 2/K sum_k (1 - mu_S^k[k]) + 2/K sum_k max(0, mu_S^k[k] - mu_T^k[k]),   mu_S^k = sum_i shares_i^k mu_i^k

    and the gap is at most ``diameter + outside``: ``mu_S^k`` and the hull's point nearest to ``mu_T^k`` are both in the
    hull, whose diameter is that of its corners.

    Args:
        sources: ``(M, K, K)`` prototypes, NaN rows for empty cells.
        shares: ``(M, K)`` ``w_i P_i(k) / P_S(k)``, sum 1 over the sources for every class, 0 for empty cells.
        target: ``(K, K)`` prototypes.
        hull: whether to solve the linear programs of ``r_k``.

    Raises:
        DataError: shapes do not fit, shares are not shares, or a class is absent from the sources or from the target.

    >>> c = prototype_form([[[0.9, 0.1], [0.2, 0.8]]], [[1.0, 1.0]], [[0.7, 0.3], [0.1, 0.9]])
    >>> round(c.bound, 9), round(c.hull_bound, 9)
    (0.5, 0.6)
    """
    table, goal = np.asarray(sources, dtype=np.float64), np.asarray(target, dtype=np.float64)
    parts, classes = np.asarray(shares, dtype=np.float64), goal.shape[0]
    if goal.shape != (classes, classes) or table.shape[1:] != goal.shape or parts.shape != table.shape[:2]:
        raise DataError(f"Expected (M, K, K), (M, K) and (K, K), got {table.shape}, {parts.shape}, {goal.shape}.")
    if not np.all(parts >= 0) or not np.allclose(parts.sum(axis=0), 1.0, atol=1e-9):
        raise DataError("Expected non-negative shares that sum to 1 over the sources for every class.")
    held: NDArray[np.bool_] = np.all(np.isfinite(table), axis=2)
    if np.any(~held & (parts > 0)) or not np.all(np.isfinite(goal)):
        raise DataError("Expected a prototype wherever a share is positive and for every target class.")
    diagonal = np.einsum("mkk->mk", np.where(held[:, :, None], table, 0.0))
    right = (parts * diagonal).sum(axis=0)
    soft, gap = 1.0 - right, np.maximum(0.0, right - np.diagonal(goal))
    diameter = np.zeros(classes)
    for i, j in combinations(range(len(table)), 2):
        diameter = np.fmax(diameter, largest_gap(table[i], table[j]))
    outside = np.full(classes, np.nan)
    if hull:
        outside = np.array([_outside(table[held[:, k], k], goal[k]) for k in range(classes)])
    bound = 2.0 * float(soft.mean() + gap.mean())
    return PrototypeForm(soft, gap, diameter, outside, bound, 2.0 * float(soft.mean() + (diameter + outside).mean()))


def _outside(corners: Array, point: Array) -> float:
    """Distance in the largest coordinate of ``point`` ``(K,)`` to the convex hull of ``corners`` ``(m, K)``."""
    from geometry.bound.theorems.posterior_form import hull_distance

    # The largest coordinate is the supremum over the sets of one element.
    return hull_distance(point, corners, np.eye(point.size))[0]
