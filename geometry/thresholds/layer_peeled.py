"""The layer-peeled model's exact minority-collapse ratio under cross-entropy (ours).

Fang et al. (2021) minimise the cross-entropy of K_A classes plus 1/R times that of K_B classes over one feature h_k and
one classifier w_k per class, ``sum_k |h_k|^2 <= K E_H``, ``sum_k |w_k|^2 <= K E_W``. In the logits Z = W^T H that is a
convex program over the nuclear norm, ``||Z||_* <= nu = K sqrt(E_H E_W)``. Where the minorities coincide,

    Z = [[a I + ((u - a)/K_A) J, b J], [-(u/K_B) J, -(K_A b/K_B) J]],
    ||Z||_* = (K_A - 1) a + c sqrt(u^2 + K_A K_B b^2),   c = sqrt(K / K_B),

and the multiplier mu of the norm is ``1 - p_AA + p_AA'`` (softmax of a majority sample for its own and for another
majority class). Such a Z is optimal exactly when ``1/R <= mu``. At R* therefore mu = 1/R, and with cos t = u / rho,
rho = sqrt(u^2 + K_A K_B b^2), stationarity gives everything in terms of (R, t):

    P_B = cos t / (R c),  Q_A = sqrt(K_A / K) sin t,  p_AA' = (1/R - P_B) / K_A,  p_AA = 1 - 1/R + p_AA',

P_B the probability of all minority classes for a majority sample, Q_A that of all majority classes for a minority
sample. ``rho sin t = sqrt(K_A K_B) |b|`` fixes t, and the norm fixes R: two nested scalar equations.
"""

from dataclasses import dataclass

import numpy as np

from geometry.errors import UsageError

LARGEST_LOG = 1e7  # log of the largest R sought
NEAREST = 1e-13


@dataclass(frozen=True)
class LayerPeeledThreshold:
    """Where minority collapse begins in the layer-peeled model.

    Attributes:
        r_star: the imbalance ratio from which on all minority classifiers coincide; always finite, though shown as
            infinity above 1e308.
        log10_r_star: its logarithm.
        reason: why, in words.
        majority: K_A.
        minority: K_B.
        e_h: mean squared norm allowed to features.
        e_w: mean squared norm allowed to classifiers.
    """

    r_star: float
    log10_r_star: float
    reason: str
    majority: int
    minority: int
    e_h: float
    e_w: float


def layer_peeled_threshold(majority: int, minority: int, e_h: float = 5.0, e_w: float = 1.0) -> LayerPeeledThreshold:
    """The imbalance ratio from which on minority classifiers of the layer-peeled model coincide.

    Args:
        majority: K_A >= 1.
        minority: K_B >= 2.
        e_h: E_H > 0; the default of both is the setting of the authors' script.
        e_w: E_W > 0; only the product matters.

    Raises:
        UsageError: numbers of classes or norms out of range.

    >>> layer_peeled_threshold(5, 5).r_star
    12.192...
    """
    from scipy.optimize import brentq

    if majority < 1 or minority < 2:
        raise UsageError(f"Expected at least one majority and two minority classes, got {majority} and {minority}.")
    if not (np.isfinite(e_h) and e_h > 0 and np.isfinite(e_w) and e_w > 0):
        raise UsageError(f"Expected positive norms e_h and e_w, got {e_h} and {e_w}.")
    budget = (majority + minority) * float(np.sqrt(e_h) * np.sqrt(e_w))

    def surplus(log_ratio: float) -> float:
        return _norm_at_threshold(majority, minority, log_ratio) - budget

    if surplus(LARGEST_LOG) < 0.0:
        raise UsageError(f"With e_h={e_h} and e_w={e_w} the threshold is out of reach; take smaller norms.")
    log_ratio = 0.0
    if surplus(NEAREST) < 0.0:
        log_ratio = float(brentq(surplus, NEAREST, LARGEST_LOG, xtol=1e-15, rtol=1e-14))
    with np.errstate(over="ignore"):
        ratio, decades = float(np.exp(log_ratio)), log_ratio / float(np.log(10.0))
    at = f"{ratio:.6g}" if np.isfinite(ratio) else f"1e{decades:.0f}"
    reason = (
        f"all minority classifiers coincide from R = {at} on: the pull on their differences falls like 1/R, and "
        "the price of norm tends to a positive constant, so cross-entropy always collapses in the end"
    )
    return LayerPeeledThreshold(ratio, decades, reason, majority, minority, e_h, e_w)


def _norm_at_threshold(majority: int, minority: int, log_ratio: float) -> float:
    """The nuclear norm of the collapsed optimum whose multiplier is 1/R; it increases with R."""
    from scipy.optimize import brentq

    a, b = float(majority), float(minority)
    size, scale = a + b, float(np.sqrt((a + b) / b))

    def logits(angle: float) -> tuple[float, float, float]:
        """a, u and |b| sqrt(K_A K_B) of Z."""
        log_minority_mass = np.log(np.cos(angle) / scale) - log_ratio  # of P_B
        majority_mass = np.sqrt(a / size) * np.sin(angle)  # Q_A
        if majority == 1:
            contrast, log_other = 0.0, np.log1p(-np.exp(log_minority_mass))
        else:
            log_other = np.log((1.0 - np.cos(angle) / scale) / a) - log_ratio
            contrast = np.log(-np.expm1(-log_ratio) + np.exp(log_other)) - log_other
        u = (a * b / size) * (log_other - log_minority_mass + np.log(b) + contrast / a)
        low = -(b / size) * np.log((majority_mass / a) / ((1.0 - majority_mass) / b))
        return float(contrast), float(u), float(low * np.sqrt(a * b))

    def mismatch(angle: float) -> float:
        _, u, low = logits(angle)
        return float(low * np.cos(angle) - u * np.sin(angle))

    widest = float(np.arcsin(np.sqrt(a / size)))  # where b = 0
    angle = brentq(mismatch, 1e-200, widest, xtol=1e-15)
    contrast, u, low = logits(angle)
    return (a - 1.0) * contrast + scale * float(np.hypot(u, low))
