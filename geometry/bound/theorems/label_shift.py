"""Theorem B: what label shift and conditional shift cost, exactly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from geometry.bound.prior import total_variation
from geometry.errors import DataError


@dataclass(frozen=True)
class LabelShiftBound:
    """The two sides of Theorem B.

    Attributes:
        target_risk: ``sum_k P_T(k) e_T^k``, the left side.
        source_risk: ``sum_k P_S(k) e_S^k``.
        prior_cost: ``TV(P_T(Y), P_S(Y)) * (max_k e_S^k - min_k e_S^k)``.
        conditional_cost: ``sum_k P_T(k) |e_T^k - e_S^k|``.
        bound: the sum of the last three, the right side.
        slack: ``bound - target_risk``, never negative.
        balanced_target_risk: ``1/K sum_k e_T^k``.
        balanced_bound: ``1/K sum_k e_S^k + 1/K sum_k |e_T^k - e_S^k|``: balanced risk pays no prior cost.
    """

    target_risk: float
    source_risk: float
    prior_cost: float
    conditional_cost: float
    bound: float
    slack: float
    balanced_target_risk: float
    balanced_bound: float


def label_shift_bound(
    source_prior: ArrayLike, target_prior: ArrayLike, source_errors: ArrayLike, target_errors: ArrayLike
) -> LabelShiftBound:
    """Evaluate Theorem B (ours) from priors and class errors.

    ``R_T <= R_S + TV(P_T(Y), P_S(Y)) (max_k e_S^k - min_k e_S^k) + sum_k P_T(k) |e_T^k - e_S^k|`` holds for any two
    distributions and any classifier, because ``sum_k (P_T - P_S)(k) e_S^k`` is at most the total variation times the
    range of the class errors.

    Args:
        source_prior: ``(K,)`` probabilities.
        target_prior: ``(K,)`` probabilities.
        source_errors: ``(K,)`` error of each class under the sources.
        target_errors: ``(K,)`` error of each class under the target.

    Raises:
        DataError: shapes differ, a prior is not a distribution, or an error is undefined or outside [0, 1].

    >>> b = label_shift_bound([0.9, 0.1], [0.5, 0.5], [0.0, 0.5], [0.0, 0.5])
    >>> round(b.target_risk, 3), round(b.source_risk, 3), round(b.prior_cost, 3), round(b.slack, 3)
    (0.25, 0.05, 0.2, 0.0)
    """
    p_s, p_t, e_s, e_t = (
        np.asarray(value, dtype=np.float64) for value in (source_prior, target_prior, source_errors, target_errors)
    )
    if p_s.ndim != 1 or len({value.shape for value in (p_s, p_t, e_s, e_t)}) != 1:
        raise DataError(f"Expected four arrays (K,), got {p_s.shape}, {p_t.shape}, {e_s.shape}, {e_t.shape}.")
    for prior in (p_s, p_t):
        if not np.all(prior >= 0) or abs(float(prior.sum()) - 1.0) > 1e-9:
            raise DataError("Expected priors of non-negative numbers that sum to 1.")
    for errors in (e_s, e_t):
        if not np.all((errors >= 0) & (errors <= 1)):
            raise DataError("Expected every class error in [0, 1]; drop classes without samples first.")
    prior_cost = float(total_variation(p_t, p_s) * (e_s.max() - e_s.min()))
    conditional_cost = float(p_t @ np.abs(e_t - e_s))
    target_risk, source_risk = float(p_t @ e_t), float(p_s @ e_s)
    bound = source_risk + prior_cost + conditional_cost
    return LabelShiftBound(
        target_risk=target_risk,
        source_risk=source_risk,
        prior_cost=prior_cost,
        conditional_cost=conditional_cost,
        bound=bound,
        slack=bound - target_risk,
        balanced_target_risk=float(e_t.mean()),
        balanced_bound=float(e_s.mean() + np.abs(e_t - e_s).mean()),
    )
