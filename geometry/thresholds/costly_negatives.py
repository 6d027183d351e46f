"""What the negatives that cost an anchor are, in the two-group model of a piecewise linear loss (ours)."""

import numpy as np

from geometry.errors import UsageError
from geometry.optimum.hardest_negative import HardestNegative
from geometry.optimum.loss_family import Hinge, Linear, LogMeanExp
from geometry.optimum.mean_loss import Loss
from geometry.thresholds.step_model import StepModel


def costly_negatives(model: StepModel, ratio: float) -> tuple[tuple[float, float, float], tuple[float, float]]:
    """Probabilities of what the costly negatives of an anchor are.

    Returns:
        of a majority anchor: all majority, all minority, both; of a minority anchor: all majority, some minority.
    """
    (own, other, _), (across, within, _) = model.masses(ratio).tolist()
    loss = model.loss
    if is_separable(loss):
        return (own, other, 0.0), (across, within)
    assert isinstance(loss, HardestNegative)
    if loss.negatives is None:
        if model.collisions:
            raise UsageError(
                "With collisions and infinitely many negatives the hardest one is always of the anchor's own class: "
                "the loss is constant, and every geometry optimal; give a number of negatives."
            )
        return ((0.0, 1.0, 0.0) if own == 0.0 else (0.0, 0.0, 1.0)), (0.0, 1.0)
    k = loss.negatives
    if model.collisions:  # one collision makes the hardest negative cost the margin, whatever the geometry
        own_only, other_only, across_only = own**k, other**k, across**k
        both = own_only * np.expm1(k * np.log1p(other / own)) - other_only if own > 0.0 else 0.0
        some = across_only * np.expm1(k * np.log1p(within / across))
        return (own_only, other_only, max(float(both), 0.0)), (across_only, float(some))
    own_only, other_only = _power(other, k), _power(own, k)
    across_only = _power(within, k)
    some = -np.expm1(k * np.log1p(-other)) if other < 1.0 else 1.0
    return (own_only, other_only, max(float(some) - other_only, 0.0)), (
        across_only,
        float(-np.expm1(k * np.log1p(-within))),
    )


def _power(rest: float, k: int) -> float:
    """``(1 - rest)^k``."""
    return float(np.exp(k * np.log1p(-rest))) if rest < 1.0 else 0.0


def is_separable(loss: Loss) -> bool:
    """Whether every negative costs on its own: linear, which log-mean-exp of one negative is, hinge, hardest of one."""
    if isinstance(loss, HardestNegative | LogMeanExp):
        return loss.negatives == 1
    return isinstance(loss, Linear | Hinge)
