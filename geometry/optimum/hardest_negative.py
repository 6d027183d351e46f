"""The hinge on the hardest of k random negatives, its expectation exact, and its conic form (ours).

Kinds of negatives with t above s are drawn at least once with probability ``g(W)``, ``g(x) = 1 - (1 - x)^k`` and W
their mass, so ``E max_i u_i = int_0^inf g(W{u > s}) ds`` for u >= 0. As g is concave, this is convex in u, and a
mixture of means over upper tails: with g linear between the masses W that occur (the order of u decides which),
``g(x) = sum_i weight_i min(x, level_i)`` and every ``min(x, level)`` gives the mean over an upper tail. With fewer
levels g, and E psi, are only less, so that what is proved of such a model holds for the loss.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geometry.errors import UsageError
from geometry.optimum.mean_loss import Loss, TailMeans

Array = NDArray[np.float64]

MOST_LEVELS = 12  # tail means of one anchor: all that can occur, or as many between those of the present order
SAME = 1e-15  # relative difference up to which two levels are one, apart by rounding


@dataclass(frozen=True)
class HardestNegative(Loss):
    """``max(0, m + max_i t_i)``: the hinge on the hardest of k negatives; its optimum may not be unique.

    One negative is the mean hinge; in the limit of many, every class is drawn and the hardest class decides.

    Attributes:
        margin: m > 0, in units of t.
        negatives: k; None is the limit.
    """

    margin: float = 1.0
    negatives: int | None = None

    name: ClassVar[str] = "hardest"
    floor: ClassVar[float] = 0.0
    attains_floor: ClassVar[bool] = True
    kinked: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.negatives is not None and not (self.negatives >= 1 and self.negatives == int(self.negatives)):
            raise UsageError(f"Expected at least one negative, a whole number or inf, got {self.negatives}.")
        if not (np.isfinite(self.margin) and self.margin > 0):
            raise UsageError(f"Expected a positive margin, got {self.margin}.")

    def expectation(self, exponents: Array, masses: Array) -> Array:
        """``(R,)`` ``sum_j P(max = t_(j)) max(0, m + t_(j))``, t sorted from hard to easy."""
        return np.asarray((self.slopes(exponents, masses) * (self.margin + exponents)).sum(axis=1), dtype=np.float64)

    def slopes(self, exponents: Array, masses: Array) -> Array:
        """``(R, A)`` P(the hardest is of kind a) where that is above the kink; kinds of equal t share it by mass."""
        order = np.argsort(-exponents, axis=1, kind="stable")
        t, mass = (np.take_along_axis(array, order, axis=1) for array in (exponents, masses))
        rows = np.arange(len(t))[:, None]
        heads = np.column_stack([np.zeros(len(t), dtype=np.intp), np.diff(t, axis=1) < 0.0])
        tie = heads.cumsum(axis=1)
        tied = np.zeros_like(t)
        np.add.at(tied, (rows, tie), mass)
        chance = self._first(tied)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(tied > 0.0, chance / tied, 0.0)
        result = np.empty_like(t)
        np.put_along_axis(result, order, mass * np.take_along_axis(share, tie, axis=1), axis=1)
        return np.where(self.margin + exponents >= 0.0, result, 0.0)

    def slope_changes(self, exponents: Array, masses: Array, change: Array) -> Array:
        """Zero: slopes are constant between kinks."""
        return np.zeros_like(exponents)

    def expression(self, exponents: Any, masses: Array) -> Any:
        """``(R,)`` E psi, minimised over variables of its own, exact where the order is that of ``exponents.value``."""
        import cvxpy

        at = np.zeros(masses.shape) if exponents.value is None else np.asarray(exponents.value)
        rows = [tail_mean_expression(exponents[r], self.tail_means(at[r], w), w) for r, w in enumerate(masses)]
        return cvxpy.hstack(rows)

    def tail_means(self, exponents: Array, masses: Array) -> TailMeans:
        """All levels that any order makes, if few; else those of the order of ``exponents``, and some between."""
        on = np.flatnonzero(masses > 0.0)
        if self.negatives is None:
            least = masses[on].min()  # any set of kinds has at least this mass, and is drawn for certain
            return TailMeans(np.array([self.margin]), np.array([least]), np.array([1.0 / least]))
        levels = self._levels(exponents[on], masses[on], self.negatives)
        before = np.concatenate([[0.0], levels[:-1]])
        steps = levels - before
        # g(b + d) - g(b) = (1 - b)^k (1 - (1 - d/(1 - b))^k), which loses no digits where d is small
        lost = -np.expm1(self.negatives * _log1p(-steps / (1.0 - before)))
        steep = np.append(np.exp(self.negatives * _log1p(-before)) * lost / steps, 0.0)
        weights = steep[:-1] - steep[1:]
        used = weights > 8.0 * np.finfo(np.float64).eps * steep[:-1]
        return TailMeans(np.full(int(used.sum()), self.margin), levels[used], weights[used])

    def _levels(self, exponents: Array, masses: Array, negatives: int) -> Array:
        """Increasing masses of sets of kinds, between which g is taken to be linear; the last is 1, or nearly."""
        sums, total = np.zeros(1), masses.sum()
        for mass in masses:
            sums = _apart(np.concatenate([sums, sums + mass]))
            if len(sums) > MOST_LEVELS:
                break
        else:
            return np.minimum(sums[sums > 0.0], 1.0)
        certain = -np.expm1(np.log(1e-16) / negatives)  # g = 1 to rounding beyond
        least = masses.min()
        share = np.arange(1, MOST_LEVELS) / MOST_LEVELS
        between = -np.expm1(np.log1p(-share) / negatives)  # equal steps of g
        present = masses[np.argsort(-exponents, kind="stable")].cumsum()
        levels = np.concatenate([present, between, [least, min(certain, total)]])
        levels = levels[(levels >= least) & (levels <= max(least, min(certain, total)))]
        return np.minimum(_apart(levels), 1.0)

    def _first(self, tied: Array) -> Array:
        """``(R, A)`` P(the first of the ordered kinds that is drawn is j): ``T_{j-1}^k - T_j^k``, T the mass after."""
        rest = tied[:, ::-1].cumsum(axis=1)[:, ::-1]
        before = np.column_stack([np.zeros(len(tied)), tied[:, :-1]]).cumsum(axis=1)
        if self.negatives is None:
            return np.where((before == 0.0) & (tied > 0.0), 1.0, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            lost = np.where(tied > 0.0, tied / rest, 0.0)
            # log(rest / total), by whichever of what is before and what is left is known to more digits
            logs = np.where(before < rest, _log1p(-before / (before + rest)), np.log(rest / (before + rest)))
            later = np.exp(self.negatives * logs)
        return np.asarray(later * -np.expm1(self.negatives * _log1p(-lost)), dtype=np.float64)


def tail_mean_expression(exponents: Any, tails: TailMeans, masses: Array) -> Any:
    """The E psi of one anchor by linear duality: ``min_{x >= 0} level x + sum_a w_a max(0, margin + t_a - x)``."""
    import cvxpy

    on = np.flatnonzero(masses > 0.0)
    caps = np.minimum(masses[on, None], tails.levels)  # a mass beyond the level has no use, and would scale badly
    cut = cvxpy.Variable(len(tails.levels), nonneg=True)
    above = cvxpy.reshape(exponents[on], (len(on), 1), order="C") @ np.ones((1, len(tails.levels)))
    above = above + np.ones((len(on), 1)) @ cvxpy.reshape(tails.margins - cut, (1, len(tails.levels)), order="C")
    return (tails.weights * tails.levels) @ cut + cvxpy.sum(cvxpy.multiply(caps * tails.weights, cvxpy.pos(above)))


def _apart(values: Array) -> Array:
    """The values in increasing order, without those equal to the next up to rounding."""
    values = np.sort(values)
    return np.asarray(values[np.append(np.diff(values) > SAME * values[1:], True)], dtype=np.float64)


def _log1p(x: Array) -> Array:
    """log(1 + x), finite where x = -1: one kind is certain."""
    return np.asarray(np.log1p(np.maximum(x, np.finfo(np.float64).epsneg - 1.0)), dtype=np.float64)
