"""The STEP model: C1 majority classes, R times as frequent as each of C2 minority classes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.errors import UsageError
from geometry.optimum.loss_family import named_loss
from geometry.optimum.mean_loss import Loss
from geometry.optimum.program import Program

Array = NDArray[np.float64]

LARGEST_EXPONENT = 690.0  # e^(-2/tau), the least force of a log loss, underflows beyond


@dataclass(frozen=True, eq=False)
class StepModel:
    """Two groups of classes and a loss; everything is a function of the ratio R of their frequencies.

    Attributes:
        majority: C1 >= 1.
        minority: C2 >= 2.
        loss: psi, averaged over the negatives.
        tau: temperature.
        collisions: negatives may be of the anchor's own class.
    """

    majority: int
    minority: int
    loss: Loss
    tau: float
    collisions: bool

    def masses(self, ratio: float) -> Array:
        """``(2, 3)`` probability of a majority and a minority negative (not the anchor's class), and a collision."""
        a, b = float(self.majority), float(self.minority)
        masses = np.array([[(a - 1.0) * ratio, b, ratio], [a * ratio, b - 1.0, 1.0]])
        if not self.collisions:
            masses[:, 2] = 0.0
        return np.asarray(masses / masses.sum(axis=1, keepdims=True), dtype=np.float64)

    def forces(self, ratio: float, alpha: float, beta: float, gamma: float) -> tuple[float, float, float]:
        """Gamma_AA, Gamma_AB, Gamma_BB of one pair of classes, in units of a minority's proportion over tau.

        In these units they are of order R, 1 and 1/R, so that none underflows at any R below 1e200.

        Args:
            ratio: R.
            alpha: cosine between majority classes.
            beta: cosine between minority classes.
            gamma: cosine between a majority and a minority class.
        """
        exponents = (np.array([[alpha, gamma, 1.0], [gamma, beta, 1.0]]) - 1.0) / self.tau
        slopes = self.loss.slopes(exponents, self.masses(ratio))
        a, b = float(self.majority), float(self.minority)
        within_majority = ratio * slopes[0, 0] / (a - 1.0) if self.majority > 1 else 0.0
        across = (ratio * slopes[0, 1] / b + slopes[1, 0] / a) / 2.0
        return float(within_majority), float(across), float(slopes[1, 1] / (b - 1.0))


def step_model(
    majority: int,
    minority: int,
    *,
    loss: str | Loss,
    tau: float,
    q: float | str,
    negatives: int | None,
    collisions: bool,
    margin: float,
) -> StepModel:
    """The model of these settings, which mean what they mean for :func:`geometry.optimum.solve`.

    Raises:
        UsageError: numbers of classes out of range, or a bad setting of the loss.
    """
    if majority < 1 or minority < 2:
        raise UsageError(
            f"Expected at least one majority and two minority classes, got {majority} and {minority}; one minority "
            "class alone cannot collapse."
        )
    psi = named_loss(loss, q=q, negatives=negatives, margin=margin) if isinstance(loss, str) else loss
    size = majority + minority
    Program(np.full(size, 1.0 / size), psi, tau)  # refuses a temperature that does not do
    return StepModel(majority, minority, psi, tau, collisions or loss == "supcon")


def require_resolved(tau: float) -> None:
    """Refuse a temperature at which forces underflow, for conditions that compare computed forces.

    Raises:
        UsageError: ``2 / tau`` too large.
    """
    if 2.0 / tau > LARGEST_EXPONENT:
        raise UsageError(
            f"At temperature tau={tau} the forces, of order e^(-2/tau), underflow; take at least "
            f"{2.0 / LARGEST_EXPONENT:.2g}."
        )


def compared(first: float, second: float) -> float:
    """The relative difference of two forces, in [-1, 1]; both may be extremely small."""
    return (first - second) / (first + second) if first + second > 0.0 else 0.0
