"""The imbalance ratio R at which minority classes collapse onto one vector, or the reason why none does (ours).

C1 majority classes are R times as frequent as C2 minority classes. Let Gamma_AA, Gamma_AB, Gamma_BB be the forces on
pairs of classes at the best geometry whose minorities coincide. It is optimal among all geometries exactly when

* C1 = 1 (minorities opposite to the majority class): ``Gamma_AB >= C2 Gamma_BB``;
* C1 >= 2, where ``alpha = (C1 gamma^2 - 1)/(C1 - 1)`` and ``C1 gamma Gamma_AA + C2 Gamma_AB = 0``:
  ``Gamma_AB^2 >= Gamma_AA Gamma_BB``;
* C1 >= 2 and that equation has no root above gamma = -1 (two opposite clusters):
  ``Gamma_AB >= max(C1 Gamma_AA / C2, C2 Gamma_BB / C1)``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.errors import UsageError
from geometry.optimum.groups import GroupProgram
from geometry.optimum.loss_family import Hinge, LogLoss, named_loss
from geometry.optimum.mean_loss import Loss, MeanLoss
from geometry.optimum.program import Program

Array = NDArray[np.float64]

INFINITE = 1e15  # a ratio that stands for infinity: what is left is of order 1/R
PER_DECADE = 8  # ratios tried


@dataclass(frozen=True)
class Threshold:
    """Where minority collapse begins.

    Attributes:
        r_star: the imbalance ratio from which on the minorities' vectors coincide; None for never.
        reason: why, in words.
        limit_cosine: cosine between minority vectors as R grows without bound; 1 after a collapse, and with one
            majority class in any case.
        majority: C1.
        minority: C2.
        loss: name of the loss.
        tau: temperature.
    """

    r_star: float | None
    reason: str
    limit_cosine: float
    majority: int
    minority: int
    loss: str
    tau: float


def threshold(
    majority: int,
    minority: int,
    *,
    loss: str = "infonce",
    tau: float = 1.0,
    q: float | str = 1.0,
    negatives: int | None = None,
    collisions: bool = False,
) -> Threshold:
    """The minority-collapse imbalance ratio R* of C1 = ``majority`` and C2 = ``minority`` classes.

    Args:
        majority: C1 >= 1.
        minority: C2 >= 2.
        loss: as for :func:`geometry.optimum.solve`, except ``hinge``, whose optimum is not unique.
        tau: temperature.
        q: weight of the negatives in infonce, or ``"plain"``.
        negatives: k; None is the limit of many.
        collisions: negatives may be of the anchor's own class.

    Raises:
        UsageError: numbers of classes out of range, or a bad setting of the loss.

    >>> threshold(1, 9).r_star
    24.927...
    >>> threshold(3, 3, tau=0.5).r_star is None
    True
    """
    if majority < 1 or minority < 2:
        raise UsageError(
            f"Expected at least one majority and two minority classes, got {majority} and {minority}; one minority "
            "class alone cannot collapse."
        )
    psi = named_loss(loss, q=q, negatives=negatives)
    if isinstance(psi, Hinge):
        raise UsageError("The optimum of the hinge loss is not unique, so it has no collapse threshold.")
    step = _Step(majority, minority, psi, tau, collisions or loss == "supcon")
    closed = closed_form(minority, psi, tau, collisions=step.collisions) if majority == 1 else None
    if closed is not None:
        ratio, how = (closed, "closed form") if np.isfinite(closed) else (None, "")
    else:
        ratio, how = step.first_collapse(), "root of the optimality condition"
    if ratio is not None:
        where = "opposite to the majority class" if majority == 1 else "onto one vector"
        text = f"the minorities collapse {where} from R = {ratio:.6g} on ({how})"
        return Threshold(ratio, text, 1.0, majority, minority, loss, tau)
    if majority == 1:
        text = (
            "never: the loss has no slope at opposite vectors, so minorities at one vector, which repel, are not held "
            "there; their cosine only tends to 1"
        )
    else:
        text = (
            f"never at this temperature: with {majority} majority classes the forces on all pairs keep their "
            "proportions as R grows, and those between minorities stay strong enough"
        )
    return Threshold(None, text, step.limit_cosine(), majority, minority, loss, tau)


def closed_form(minority: int, loss: Loss, tau: float, *, collisions: bool) -> float | None:
    """R* for one majority class; infinity for never; None where there is no closed form (k >= 2 of a log loss).

    With s = -2/tau, for separable losses ``R* = (-(2 C2 - 1) + sqrt((2 C2 - 1)^2 + 8 C2^2 rho)) / 2``,
    ``rho = kappa'(0) / kappa'(s)``; for log losses with many negatives the positive root of a quadratic equation.
    """
    count, low = float(minority), np.exp(-2.0 / tau)
    if isinstance(loss, LogLoss):
        if loss.negatives is not None:
            return None
        a, q = loss.anchor, loss.weight
        if not collisions:
            b = count + (count - 1.0) * (a + q) / (a + q * low)
            return _positive_root(1.0, b, -2.0 * count**2 / low)
        lead = low * (2.0 * a + q * (1.0 + low))
        return _positive_root(lead, lead * count - 2.0 * count * (a + q), -2.0 * count**2 * (a + q * low))
    if collisions or not (isinstance(loss, MeanLoss) and loss.separable):
        return None
    _, slopes, _ = loss.inner(np.array([0.0, -2.0 / tau]))
    if slopes[1] == 0.0:
        return np.inf
    return _positive_root(1.0, 2.0 * count - 1.0, -2.0 * count**2 * float(slopes[0] / slopes[1]))


def _positive_root(a: float, b: float, c: float) -> float:
    """Of a x^2 + b x + c with a > 0 > c, without cancellation."""
    half = (abs(b) + np.sqrt(b * b - 4.0 * a * c)) / 2.0
    return float(-c / half if b > 0.0 else half / a)


@dataclass(frozen=True, eq=False)
class _Step:
    """Two groups of classes; everything as a function of the ratio R of their frequencies."""

    majority: int
    minority: int
    loss: Loss
    tau: float
    collisions: bool

    def program(self, ratio: float) -> GroupProgram:
        """The reduced program at R."""
        members = np.repeat(np.arange(2), (self.majority, self.minority))
        weights = np.where(members == 0, ratio, 1.0)
        return GroupProgram(Program(weights / weights.sum(), self.loss, self.tau, self.collisions), members)

    def pair_forces(self, ratio: float, alpha: float, beta: float, gamma: float) -> tuple[float, float, float]:
        """Gamma_AA, Gamma_AB and Gamma_BB at cosines alpha, gamma and beta."""
        groups, (a, b) = self.program(ratio), (float(self.majority), float(self.minority))
        means = np.array([[(1.0 + (a - 1.0) * alpha) / a, gamma], [gamma, (1.0 + (b - 1.0) * beta) / b]])
        forces = groups.forces(means) / np.outer(groups.sizes, groups.sizes)
        return float(forces[0, 0]), float(forces[0, 1]), float(forces[1, 1])

    def excess(self, ratio: float) -> float:
        """In (-1, 1): positive where minority collapse is optimal at R."""
        from scipy.optimize import brentq

        a, b = float(self.majority), float(self.minority)
        if self.majority == 1:
            _, ab, bb = self.pair_forces(ratio, 1.0, 1.0, -1.0)
            return _compared(ab, b * bb)

        def stationarity(log_gamma: float) -> float:
            gamma = -float(np.exp(log_gamma))
            aa, ab, _ = self.pair_forces(ratio, (a * gamma**2 - 1.0) / (a - 1.0), 1.0, gamma)
            return _compared(b * ab, -a * gamma * aa)

        if stationarity(0.0) >= 0.0:
            aa, ab, bb = self.pair_forces(ratio, 1.0, 1.0, -1.0)
            return _compared(ab, max(a * aa / b, b * bb / a))
        gamma = -float(np.exp(brentq(stationarity, -100.0, 0.0, xtol=1e-14)))
        aa, ab, bb = self.pair_forces(ratio, (a * gamma**2 - 1.0) / (a - 1.0), 1.0, gamma)
        return _compared(ab, float(np.sqrt(aa) * np.sqrt(bb)))

    def first_collapse(self) -> float | None:
        """The least R at which collapse becomes optimal, and stays so for good."""
        from scipy.optimize import brentq

        # With one or two majority classes R* grows like e^(2/tau) at low temperature.
        largest = min(np.log10(INFINITE) + 2.0 / (self.tau * np.log(10.0)), 100.0)
        logs = np.linspace(0.0, largest, int(PER_DECADE * largest) + 1)[1:]
        signs = np.array([self.excess(10.0**x) >= 0.0 for x in logs])
        if not signs[-1]:
            return None
        open_ones = np.flatnonzero(~signs)
        low = logs[open_ones[-1]] if len(open_ones) else 0.0
        high = logs[open_ones[-1] + 1] if len(open_ones) else logs[0]
        return float(10.0 ** brentq(lambda x: self.excess(10.0**x), low, high, xtol=1e-14))

    def limit_cosine(self) -> float:
        """Cosine between minorities as R grows, when they do not collapse."""
        from scipy.optimize import brentq

        if self.majority == 1:
            return 1.0  # majority and minority pull apart R times harder, so gamma tends to -1, and beta to 1

        def balance(beta: float) -> float:
            aa, ab, bb = self.pair_forces(INFINITE, -1.0 / (self.majority - 1.0), beta, 0.0)
            return _compared(ab, float(np.sqrt(aa) * np.sqrt(bb)))

        return float(brentq(balance, -1.0 / (self.minority - 1.0), 1.0, xtol=1e-14))


def _compared(first: float, second: float) -> float:
    """The relative difference of two forces, which may be as small as e^(-2/tau) / R^2."""
    return (first - second) / (first + second) if first + second > 0.0 else 0.0
