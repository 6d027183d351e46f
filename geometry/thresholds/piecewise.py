"""Minority collapse under losses without a unique optimum: linear, hinge, hardest-negative hinge (ours).

Averaging an optimal G over relabellings within the two groups keeps it optimal and keeps coinciding minorities
coinciding. So *some* optimum has coinciding minorities exactly when a symmetric one has, and *all* do exactly when all
symmetric ones do: the two-group model decides both, at the kinks by the best choice of subgradients.

Let c = 1 - m tau be the cosine below which a pair costs nothing (minus infinity for linear). At the best collapsed
geometry, of cosine gamma between the groups, with Gamma_AB the largest subgradient that keeps it the best one,

    collapse  <=>  C1 |gamma| Gamma_AB >= C2 Gamma_BB.

If c > -1/C1 that geometry costs its majority classes nothing, nothing holds the minorities together, and there is no
collapse at any R. The C1 majority vectors and the one minority vector can be no further apart than the simplex of
C1 + 1 vectors, so if ``m tau >= 1 + 1/C1`` there is always a force, and a threshold. Linear and hinge losses have it in
closed form: with supervised negatives, where ``Gamma_AB^2 > Gamma_AA Gamma_BB`` for R > 1,

    c <= -1 or linear:  C1 (2 C1 - 1) R^2 + (2 C2 - C1) R = 2 C2^2              (C1 Gamma_AB = C2 Gamma_BB)
    -1 < c <= -1/C1:    C1^2 c^2 R^2 (C1 R + C2 - 1) = C2^2 ((C1 - 1) R + C2)   (C1^2 c^2 Gamma_AA = C2^2 Gamma_BB)

and with collisions, where ``Gamma_AB^2 = Gamma_AA Gamma_BB``, ``R = C2 / (C1 min(|c|, 1))``.
"""

from itertools import pairwise

import numpy as np

from geometry.errors import UsageError
from geometry.optimum.hardest_negative import HardestNegative
from geometry.optimum.loss_family import Hinge
from geometry.optimum.mean_loss import Loss
from geometry.thresholds.closed_forms import positive_root
from geometry.thresholds.costly_negatives import costly_negatives, is_separable
from geometry.thresholds.step_model import StepModel, compared

SAME = 1e-12  # difference of cosines up to which they sit on one kink


def is_piecewise(loss: Loss) -> bool:
    """Whether this module covers the loss.

    Raises:
        UsageError: the loss has kinks and no collapse condition here.
    """
    if is_separable(loss) or isinstance(loss, HardestNegative):
        return True
    if loss.kinked:
        raise UsageError(
            f"The loss {loss.name!r} has kinks, where the collapse condition needs its subgradients, known for linear, "
            "hinge and hardest alone."
        )
    return False


def free_cosine(loss: Loss, tau: float) -> float:
    """c: pairs of classes of at most this cosine cost nothing; minus infinity where every pair costs."""
    if isinstance(loss, Hinge | HardestNegative):
        free = 1.0 - loss.margin * tau
        return -1.0 if abs(free + 1.0) < SAME else free
    if not loss.attains_floor:
        return -np.inf
    one, low, high = np.ones((1, 1)), -2.0 / tau, 0.0
    if loss.slopes(low * one, one)[0, 0] > 0.0:
        return -np.inf
    while high - low > SAME / tau:
        middle = (low + high) / 2.0
        low, high = (low, middle) if loss.slopes(middle * one, one)[0, 0] > 0.0 else (middle, high)
    return float(1.0 + tau * low)


def free_limit_cosine(free: float, majority: int, minority: int) -> float:
    """Least cosine of minorities, among themselves, where all other pairs have at most the cosine ``free`` = c.

    That is what large R leaves if ``c > -1/C1``: ``beta = (C1 C2 c^2 / (1 + (C1 - 1) c) - 1) / (C2 - 1)``; c itself, as
    the largest cosine that costs nothing, if ``c >= -1/(C - 1)``.
    """
    a, b = float(majority), float(minority)
    if free >= -1.0 / (a + b - 1.0):
        return free
    return (a * b * free**2 / (1.0 + (a - 1.0) * free) - 1.0) / (b - 1.0)


def needs_more_than_free(free: float, majority: int) -> bool:
    """Whether ``c <= -1/C1``."""
    return free <= -1.0 / majority + SAME


def exact_ratio(model: StepModel, free: float) -> float | None:
    """R*, at least 1, of the linear loss or hinge in closed form; None for the hardest-negative hinge.

    Args:
        model: of a loss for which :func:`needs_more_than_free`.
        free: c.
    """
    if not is_separable(model.loss):
        return None
    a, b, reach = float(model.majority), float(model.minority), min(-free, 1.0)
    if model.collisions:
        return max(1.0, b / (a * reach))
    if reach == 1.0:
        return max(1.0, positive_root(a * (2.0 * a - 1.0), 2.0 * b - a, -2.0 * b**2))
    square = (b / (a * reach)) ** 2
    roots = np.roots([a, b - 1.0, -square * (a - 1.0), -square * b])
    return max(1.0, float(roots[np.abs(roots.imag) < 1e-9 * np.abs(roots)].real.max()))


def ratio_for_all(model: StepModel, free: float, ratio: float) -> float | None:
    """The ratio from which on *every* optimum has coinciding minorities, when some have from ``ratio`` = R* on.

    R* itself as a rule, as the collapse condition is strict above it. With collisions the forces of linear and hinge
    losses are products ``p_i p_j``: with two or more majority classes any geometry with ``sum_i p_i mu_i = 0``, and all
    pairs above the kink, is optimal, and the minorities can take part in many ways; until, if ``c > -1/(C1 - 1)``, the
    majority classes sit at their kink, ``R = C2 / sqrt(C1 (1 + (C1 - 1) c))``.
    """
    if not (model.collisions and is_separable(model.loss)) or model.majority == 1:
        return ratio
    bend = 1.0 + (model.majority - 1.0) * free
    return max(ratio, model.minority / float(np.sqrt(model.majority * bend))) if bend > SAME else None


def piecewise_excess(model: StepModel, free: float, ratio: float) -> float:
    """In [-1, 1]: positive where an optimal geometry has coinciding minorities at R, for all three losses."""
    a, b = float(model.majority), float(model.minority)
    (own, other, mixed), (minority_other, within) = costly_negatives(model, ratio)
    x, y, shared = ratio * own / max(a - 1.0, 1.0), ratio * other / b + minority_other / a, ratio * mixed
    repulsion = 2.0 * within / (b - 1.0)
    if model.majority == 1:
        return compared(y if free <= -1.0 else 0.0, b * repulsion)
    gamma = _best_cosine(model, free, x, y, shared)
    alpha = (a * gamma**2 - 1.0) / (a - 1.0)
    x = x * 2.0 if alpha >= free - SAME else 0.0  # from here on per pair, in the units of y: F has y twice
    y = y if gamma >= free - SAME else 0.0
    to_x, to_y = 2.0 * shared / (a - 1.0), shared / b
    pull = a * -gamma / b  # Gamma_AB over Gamma_AA at the best collapsed geometry
    if abs(alpha - gamma) < SAME:
        # A share s of the mixed draws counts for pairs of majority classes: y + (1 - s) to_y = pull (x + s to_x).
        share = (y + to_y - pull * x) / (to_y + pull * to_x) if to_y > 0.0 else 0.0
        share = min(max(share, 0.0), 1.0)
        x, y = x + share * to_x, y + (1.0 - share) * to_y
    elif alpha > gamma:
        x += to_x if alpha >= free - SAME else 0.0
    else:
        y += to_y if gamma >= free - SAME else 0.0
    held = y if gamma == -1.0 else min(y, pull * x)
    return compared(-a * gamma * held, b * repulsion)


def _best_cosine(model: StepModel, free: float, x: float, y: float, shared: float) -> float:
    """The best gamma where minorities coincide.

    F is convex in gamma, and between its corners quadratic: stationary where ``C1 |gamma| Gamma_AA = C2 Gamma_AB``. By
    slopes, not by comparing values, which agree to rounding at large R.
    """
    a, b = float(model.majority), float(model.minority)
    bend = 1.0 + (a - 1.0) * free
    corners = [-1.0, free, -1.0 / a, -float(np.sqrt(max(bend, 0.0) / a)), 0.0]
    corners = sorted({corner for corner in corners if -1.0 <= corner <= 0.0})
    for left, right in pairwise(corners):
        gamma = (left + right) / 2.0
        alpha = (a * gamma**2 - 1.0) / (a - 1.0)
        to_x, to_y = (shared / (a - 1.0), 0.0) if alpha > gamma else (0.0, shared / b)
        pull, push = (x + to_x) * (alpha > free), (y + to_y) * (gamma > free)
        stationary = -b * push / (2.0 * a * pull) if pull > 0.0 else -np.inf * push if push > 0.0 else right
        if stationary < right:
            return max(left, stationary)
    return 0.0
