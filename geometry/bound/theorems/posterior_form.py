"""Theorem A: what covariate shift and posterior shift cost, exactly, on a finite domain."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.prior import total_variation
from geometry.bound.risk import Array
from geometry.errors import DataError


@dataclass(frozen=True, eq=False)
class PosteriorForm:
    """The two sides of Theorem A for the first hypothesis.

    Attributes:
        target_risk: ``P_T(yhat != y)``, the left side.
        source_risk: ``P_S(yhat != y)`` of the mixture ``S = sum_i w_i P_i``.
        divergence: half discrepancies of ``P_T^X`` and ``P_S^X`` over the sets of ``f_S`` and of ``f_T``.
        posterior: ``E_T[TV(f_S, f_T)]`` and ``E_S[TV(f_S, f_T)]``.
        bound: ``source_risk`` and the smaller of the two sums, the right side.
        slack: ``bound - target_risk``, never negative.
        gamma: half distances of ``P_T^X`` to the nearest mixture, over the same two families of sets.
        eps: largest half distances between two sources over them.
        hull_bound: the right side with ``gamma + eps`` in place of the divergence, never below ``bound``; NaN where the
            hull was not asked for.
        nearest: ``(2, M)`` the nearest mixtures.
    """

    target_risk: float
    source_risk: float
    divergence: tuple[float, float]
    posterior: tuple[float, float]
    bound: float
    slack: float
    gamma: tuple[float, float]
    eps: tuple[float, float]
    hull_bound: float
    nearest: Array


def posterior_form(
    sources: ArrayLike, weights: ArrayLike, target: ArrayLike, hypotheses: ArrayLike, *, hull: bool = True
) -> PosteriorForm:
    """Evaluate Theorem A (ours; with labels that x determines, Zhao et al. 2019) on finite distributions.

    With ``f_D(x) = P_D(Y = . | x)``, and ``G_f`` the sets ``{x : 1 - f(x)_{yhat(x)} > t}`` of all hypotheses and t::

        R_T <= R_S + min { 1/2 d_{G_{f_S}}(P_T, P_S) + E_T TV(f_S, f_T),
                           1/2 d_{G_{f_T}}(P_T, P_S) + E_S TV(f_S, f_T) }

    and ``1/2 d(P_T, P_S) <= gamma* + eps``. The risk must be that of the prediction, ``P(yhat != y)`` with ties broken:
    with ties counted as errors (``P(margin <= 0)``) the statement is false, see THEORY.md. Where a point has no mass
    its posterior is a matter of convention (uniform here): the bound holds for each, with another value.

    Args:
        sources: ``(M, X, K)`` joint probabilities ``P_i(x, y)``.
        weights: ``(M,)`` mixture.
        target: ``(X, K)`` joint probabilities.
        hypotheses: ``(H, X)`` predicted class of every hypothesis at every point; the first is judged.
        hull: whether to solve the linear programs of the convex hull.

    Raises:
        DataError: shapes do not fit, or something is not a distribution.

    >>> a = posterior_form([[[0.5, 0.0], [0.0, 0.5]]], [1.0], [[0.5, 0.0], [0.5, 0.0]], [[0, 1]])
    >>> a.target_risk, a.source_risk, a.posterior[0], a.slack
    (0.5, 0.0, 0.5, 0.0)
    """
    parts, mixture = np.asarray(sources, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    goal, rules = np.asarray(target, dtype=np.float64), np.asarray(hypotheses, dtype=np.int64)
    if parts.ndim != 3 or goal.shape != parts.shape[1:] or mixture.shape != parts.shape[:1]:
        raise DataError(f"Expected (M, X, K), (M,) and (X, K), got {parts.shape}, {mixture.shape}, {goal.shape}.")
    if rules.ndim != 2 or rules.shape[1] != goal.shape[0] or not np.all((rules >= 0) & (rules < goal.shape[1])):
        raise DataError(f"Expected hypotheses (H, X) of classes 0..{goal.shape[1] - 1}, got shape {rules.shape}.")
    for distribution in (*parts, goal, mixture):
        if not np.all(distribution >= 0) or abs(float(distribution.sum()) - 1.0) > 1e-9:
            raise DataError("Expected distributions of non-negative numbers that sum to 1.")
    source = np.tensordot(mixture, parts, axes=1)
    posteriors = [_posterior(source), _posterior(goal)]
    gap = total_variation(*posteriors)
    marginals, p_s, p_t = parts.sum(axis=2), source.sum(axis=1), goal.sum(axis=1)
    families = [_threshold_sets(f, rules) for f in posteriors]
    divergence = [float(np.abs(sets @ (p_t - p_s)).max()) for sets in families]
    posterior = [float(p_t @ gap), float(p_s @ gap)]
    points = np.arange(len(p_t))
    risks = [1.0 - float(joint[points, rules[0]].sum()) for joint in (source, goal)]
    bound = risks[0] + min(d + e for d, e in zip(divergence, posterior, strict=True))
    nan = float("nan")
    gamma, eps, hull_bound, nearest = [nan, nan], [nan, nan], nan, np.full((2, len(parts)), nan)
    if hull:
        for side, sets in enumerate(families):
            gamma[side], nearest[side] = hull_distance(p_t, marginals, sets)
            measures = marginals @ sets.T
            eps[side] = float(np.abs(measures[:, None] - measures[None]).max())
        hull_bound = risks[0] + min(g + e + p for g, e, p in zip(gamma, eps, posterior, strict=True))
    return PosteriorForm(
        target_risk=risks[1],
        source_risk=risks[0],
        divergence=(divergence[0], divergence[1]),
        posterior=(posterior[0], posterior[1]),
        bound=bound,
        slack=bound - risks[1],
        gamma=(gamma[0], gamma[1]),
        eps=(eps[0], eps[1]),
        hull_bound=hull_bound,
        nearest=nearest,
    )


def hull_distance(target: ArrayLike, sources: ArrayLike, sets: ArrayLike | None = None) -> tuple[float, Array]:
    """Distance of a distribution to the convex hull of others, and the nearest mixture, by linear programming.

    ``min_w sup_{A in sets} |P_T(A) - sum_i w_i P_i(A)|``; over all sets it is the total variation
    ``min_w 1/2 sum_x |P_T(x) - sum_i w_i P_i(x)|``.

    Args:
        target: ``(X,)`` probabilities.
        sources: ``(M, X)`` probabilities.
        sets: ``(S, X)`` zeros and ones; None for all sets.

    Returns:
        The distance in [0, 1], and the weights ``(M,)``.

    >>> distance, weights = hull_distance([0.5, 0.5, 0.0], [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    >>> round(distance, 9)
    0.25
    """
    from scipy.optimize import linprog

    goal, parts = np.asarray(target, dtype=np.float64), np.asarray(sources, dtype=np.float64)
    if sets is None:
        rows, rest = np.eye(goal.size), -np.eye(goal.size)
        cost = np.concatenate([np.zeros(len(parts)), np.full(goal.size, 0.5)])
    else:
        rows = np.asarray(sets, dtype=np.float64)
        rest, cost = -np.ones((len(rows), 1)), np.concatenate([np.zeros(len(parts)), [1.0]])
    measured, wanted = rows @ parts.T, rows @ goal
    result = linprog(
        cost,
        A_ub=np.block([[-measured, rest], [measured, rest]]),
        b_ub=np.concatenate([-wanted, wanted]),
        A_eq=np.concatenate([np.ones(len(parts)), np.zeros(rest.shape[1])])[None],
        b_eq=[1.0],
        method="highs",
    )
    assert result.status == 0, result.message
    mixture = np.clip(np.asarray(result.x, dtype=np.float64)[: len(parts)], 0.0, None)
    mixture /= mixture.sum()
    gaps = np.abs(wanted - measured @ mixture)
    return float(gaps.sum() / 2.0 if sets is None else gaps.max()), mixture


def _posterior(joint: Array) -> Array:
    mass = joint.sum(axis=1, keepdims=True)
    return np.asarray(np.where(mass > 0, joint / np.where(mass > 0, mass, 1.0), 1.0 / joint.shape[1]))


def _threshold_sets(posterior: Array, rules: NDArray[np.int64]) -> Array:
    """``(H * X, X)`` indicator of ``{x : 1 - f(x)_{yhat(x)} > t}`` for every hypothesis, t at each value taken."""
    errors = 1.0 - np.take_along_axis(posterior, rules.T, axis=1).T
    # Thresholds between the values change nothing; the whole space (t below all values) has no discrepancy.
    return np.asarray((errors[:, None, :] > errors[:, :, None]).reshape(-1, errors.shape[1]), dtype=np.float64)
