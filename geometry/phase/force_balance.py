"""The program of two groups of classes, as two equations between forces that hold at any imbalance ratio (ours).

With x and y in [0, 1] the lengths of the mean of the C1 majority and of the C2 minority class vectors, which point in
opposite directions at an optimum,

    alpha = (C1 x^2 - 1) / (C1 - 1) ,  beta = (C2 y^2 - 1) / (C2 - 1) ,  gamma = -x y

and F is convex in (x^2, y^2). With Gamma the forces on pairs of classes its derivatives have the signs of

    C1 x Gamma_AA - C2 y Gamma_AB ,   C2 y Gamma_BB - C1 x Gamma_AB .

Each vanishes at the optimum unless its length is at the bound 1, where it may be negative. So the minorities collapse
exactly when, with y = 1 and the best x, ``C1 x Gamma_AB >= C2 Gamma_BB``; that is the condition of
:mod:`geometry.thresholds.smooth`. Only ratios of forces enter, so nothing is lost to rounding where the forces
among minorities are R^-2 of those among majorities, and no cosine close to 1 is mistaken for a collapse.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geometry.errors import TailgeomError, UsageError
from geometry.frames import simplex_etf
from geometry.optimum.program import Program
from geometry.thresholds.step_model import StepModel, require_resolved, step_model

Array = NDArray[np.float64]

INFINITE = 1e100  # the ratio that stands for infinity, and the largest taken; no force underflows
RESOLVED = 15.0  # decades by which it must exceed e^(2/tau), so that what differs from the limit is rounding error
SHORTEST_MAJORITY = -500.0  # log x; x falls like 1/R, and like e^(-1/tau)
SHORTEST_MINORITY = -25.0  # log y; y is at least that of the simplex ETF, for rarer classes are closer together
FLAT = 1e-11  # relative difference of forces that counts as none
SATURATED = 1e3  # log of a ratio one side of which is zero


class NotUniqueError(TailgeomError):
    """The loss has more than one optimal geometry."""


@dataclass(frozen=True)
class StepOptimum:
    """The optimum for two groups of classes.

    Attributes:
        majority_length: x, length of the mean of the majority class vectors; 1 where they coincide.
        minority_length: y, the same of the minority class vectors.
        excess: in [-1, 1], ``(C1 x Gamma_AB - C2 Gamma_BB) / (C1 x Gamma_AB + C2 Gamma_BB)`` at coinciding minorities
            and the best x: by how much they are pressed together harder than they repel. Collapse is optimal where it
            is not negative.
    """

    majority_length: float
    minority_length: float
    excess: float

    @property
    def collapsed(self) -> bool:
        """Whether the minorities' vectors coincide."""
        return self.excess >= 0.0


@dataclass(frozen=True, eq=False)
class TwoGroups:
    """The STEP model at one imbalance ratio.

    Attributes:
        model: the classes and the loss.
        ratio: R, finite.
    """

    model: StepModel
    ratio: float

    @cached_property
    def program(self) -> Program:
        """The program over all C1 + C2 classes, majority first."""
        weights = np.repeat([self.ratio, 1.0], (self.model.majority, self.model.minority))
        return Program(weights / weights.sum(), self.model.loss, self.model.tau, self.model.collisions)

    @property
    def sizes(self) -> tuple[float, float]:
        """C1 and C2."""
        return float(self.model.majority), float(self.model.minority)

    def cosines(self, x: float, y: float) -> tuple[float, float, float]:
        """alpha, beta and gamma; alpha is 1 for one majority class."""
        a, b = self.sizes
        alpha = (a * x * x - 1.0) / (a - 1.0) if a > 1.0 else 1.0
        return alpha, (b * y * y - 1.0) / (b - 1.0), -x * y

    def gram(self, x: float, y: float) -> Array:
        """``(C, C)`` G."""
        alpha, beta, gamma = self.cosines(x, y)
        members = np.repeat([0, 1], (self.model.majority, self.model.minority))
        gram = np.array([[alpha, gamma], [gamma, beta]])[np.ix_(members, members)]
        np.fill_diagonal(gram, 1.0)
        return np.asarray(gram, dtype=np.float64)

    def pair_forces(self, x: float, y: float) -> tuple[float, float, float]:
        """Gamma_AA, Gamma_AB and Gamma_BB, in the model's unit."""
        alpha, beta, gamma = self.cosines(x, y)
        return self.model.forces(self.ratio, alpha, beta, gamma)

    def majority_length(self, y: float) -> float:
        """The best x for this y."""
        from scipy.optimize import brentq

        a, b = self.sizes

        def pressure(log_x: float) -> float:
            x = float(np.exp(log_x))
            aa, ab, _ = self.pair_forces(x, y)
            return _log_ratio(b * y * ab, a * x * aa)

        if a == 1.0 or pressure(0.0) >= 0.0:
            return 1.0
        return float(np.exp(brentq(pressure, SHORTEST_MAJORITY, 0.0, xtol=1e-15)))

    def minority_pressure(self, y: float) -> float:
        """``log(C1 x Gamma_AB / (C2 y Gamma_BB))`` at the best x: falls with y, and is zero at the best y < 1."""
        (a, b), x = self.sizes, self.majority_length(y)
        _, ab, bb = self.pair_forces(x, y)
        return _log_ratio(a * x * ab, b * y * bb)

    def excess(self) -> float:
        """:attr:`StepOptimum.excess`."""
        return float(np.tanh(self.minority_pressure(1.0) / 2.0))

    def solve(self) -> StepOptimum:
        """The optimum.

        Raises:
            NotUniqueError: many geometries are optimal.
        """
        from scipy.optimize import brentq

        program = self.program
        if program.loss.attains_floor and not program.forces(simplex_etf(program.num_classes)).any():
            raise NotUniqueError("the loss has no slope at the simplex ETF, nor at many other geometries")
        if abs(self.minority_pressure(float(np.exp(SHORTEST_MINORITY)))) < FLAT:
            raise NotUniqueError("the forces factorise at every geometry, so that many are optimal")
        excess = self.excess()
        if excess >= 0.0:
            return StepOptimum(self.majority_length(1.0), 1.0, excess)
        root = brentq(lambda log_y: self.minority_pressure(float(np.exp(log_y))), SHORTEST_MINORITY, 0.0, xtol=1e-15)
        y = float(np.exp(root))
        return StepOptimum(self.majority_length(y), y, excess)


def two_groups(
    ratio: float,
    majority: int,
    minority: int,
    *,
    loss: str = "infonce",
    tau: float = 1.0,
    q: float | str = 1.0,
    negatives: int | None = None,
    collisions: bool = False,
) -> TwoGroups:
    """The program of C1 = ``majority`` classes that are each ``ratio`` times as frequent as C2 = ``minority`` ones.

    Args:
        ratio: R >= 1; infinity is the limit, taken where what differs from it is below rounding error.
        majority: C1 >= 1.
        minority: C2 >= 2.
        loss: as for :func:`geometry.thresholds.threshold`.
        tau: temperature.
        q: weight of the negatives in infonce, or ``"plain"``.
        negatives: k; None is the limit of many.
        collisions: negatives may be of the anchor's own class.

    Raises:
        UsageError: a ratio or number of classes out of range, a bad setting of the loss, a loss with kinks, or a
            temperature so low that forces underflow or that the limit of infinite R is out of reach.
    """
    model = step_model(
        majority, minority, loss=loss, tau=tau, q=q, negatives=negatives, collisions=collisions, margin=1.0
    )
    if model.loss.kinked:
        raise UsageError(f"The optimum of the loss {loss} is not unique, so that it has no phase diagram.")
    require_resolved(tau)
    if not ratio >= 1.0:
        raise UsageError(f"Expected imbalance ratios of at least 1, got {ratio:g}.")
    if INFINITE < ratio < np.inf:
        raise UsageError(f"Expected imbalance ratios of at most {INFINITE:g}, or inf for the limit; got {ratio:g}.")
    if np.isinf(ratio) and RESOLVED + 2.0 / (tau * np.log(10.0)) > np.log10(INFINITE):
        raise UsageError(f"At temperature tau={tau:g} the limit of infinite R is out of reach; take a larger one.")
    return TwoGroups(model, float(min(ratio, INFINITE)))


def _log_ratio(first: float, second: float) -> float:
    """log(first / second) of two forces, of which one or both may be zero."""
    if first > 0.0 and second > 0.0:
        return float(np.log(first) - np.log(second))
    return SATURATED * (float(first > 0.0) - float(second > 0.0))
