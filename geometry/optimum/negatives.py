"""The expectation over k independent negatives, exactly: by enumeration, or by one integral for the log losses."""

from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from geometry.errors import UsageError

Array = NDArray[np.float64]

MOST_DRAWS = 200_000  # multisets of k negatives that are still enumerated
STEP = 0.25  # trapezoid step in log s: the error of the analytic integrand is exp(-2 pi (pi/2) / STEP) = 7e-18
SMALL_DRAW = 100  # negatives up to which multinomial coefficients are products, more accurate than exp of logs
BLOCK = 2_000_000  # entries of the (rows, kinds, nodes) array held at once


def enumerate_draws(masses: Array, negatives: int) -> tuple[Array, Array]:
    """All ways to draw k negatives of A kinds: counts and multinomial probabilities.

    Args:
        masses: ``(A,)`` positive probabilities.
        negatives: k.

    Returns:
        ``(T, A)`` counts that sum to k, and ``(T,)`` probabilities; ``T = binom(k + A - 1, A - 1)``.

    Raises:
        UsageError: more than 200,000 ways.

    >>> enumerate_draws(np.array([0.5, 0.5]), 2)[1]
    array([0.25, 0.5 , 0.25])
    """
    from scipy.special import binom, gammaln, xlogy

    kinds = len(masses)
    ways = comb(negatives + kinds - 1, kinds - 1)
    if ways > MOST_DRAWS:
        raise UsageError(
            f"{negatives} negatives of {kinds} kinds can be drawn in {ways:.1e} ways, too many to enumerate; take "
            "fewer negatives, their limit, or a loss with a closed expectation."
        )
    bars = np.array(list(combinations(range(negatives + kinds - 1), kinds - 1)), dtype=np.int64).reshape(ways, -1)
    ends = np.column_stack([np.full(ways, -1), bars, np.full(ways, negatives + kinds - 1)])
    counts = np.diff(ends, axis=1).astype(np.float64) - 1.0
    if negatives <= SMALL_DRAW:
        return counts, (binom(counts.cumsum(axis=1), counts) * masses**counts).prod(axis=1)
    logs = gammaln(negatives + 1.0) - gammaln(counts + 1.0).sum(axis=1) + xlogy(counts, masses).sum(axis=1)
    return counts, np.exp(logs)


@dataclass(frozen=True, eq=False)
class LogMoments:
    """``E log(a + X)`` with ``X = (Q/k) sum_i exp(t_i)`` over k independent negatives, and its derivatives.

    Frullani's integral ``log Y = int_0^inf (e^{-s} - e^{-sY}) ds/s`` gives, with
    ``phi(s) = sum_a w_a exp(-s (Q/k) e^{t_a})``::

        E log(a + X) = int (e^{-s} - e^{-as} phi^k) ds/s
        d/dt_a       = int e^{-as} Q w_a e^{t_a} exp(-s (Q/k) e^{t_a}) phi^{k-1} ds

    in log s by the trapezoid rule, which is exact to rounding here; the cost does not depend on k (ours).

    Attributes:
        anchor: a, 1 for InfoNCE and 0 for the log-mean-exp.
        q: Q.
        negatives: k.
    """

    anchor: float
    q: float
    negatives: int

    def expectation(self, exponents: Array, masses: Array) -> Array:
        """``(R,)`` E log(a + X)."""
        s, rate = self._nodes(exponents)
        result = np.empty(len(exponents))
        for rows in self._blocks(exponents, s):
            missing = -(masses[rows, :, None] * np.expm1(-rate[rows, :, None] * s)).sum(axis=1)
            power = np.expm1(self.negatives * _log1p(-missing))  # phi^k - 1, accurate where it is tiny
            lost = -np.exp(-s) * power if self.anchor else np.expm1(-s) - power
            result[rows] = STEP * lost.sum(axis=1)
        return result

    def slopes(self, exponents: Array, masses: Array) -> Array:
        """``(R, A)`` d E log(a + X) / d t."""
        s, rate = self._nodes(exponents)
        result = np.empty_like(exponents)
        for rows in self._blocks(exponents, s):
            decay, log_phi = self._decay(rate[rows], masses[rows], s)
            weight = s * np.exp(-self.anchor * s + (self.negatives - 1) * log_phi)
            result[rows] = STEP * np.einsum("ran,rn->ra", decay, weight)
        return result * masses * self.negatives * rate

    def slope_changes(self, exponents: Array, masses: Array, change: Array) -> Array:
        """``(R, A)`` derivative of :meth:`slopes` along ``change``."""
        s, rate = self._nodes(exponents)
        result = np.empty_like(exponents)
        for rows in self._blocks(exponents, s):
            decay, log_phi = self._decay(rate[rows], masses[rows], s)
            weight = s * np.exp(-self.anchor * s + (self.negatives - 1) * log_phi)
            moved = -s * np.einsum("ra,ran->rn", (masses * rate * change)[rows], decay) / np.exp(log_phi)
            own = np.einsum("ran,rn->ra", decay, weight) - rate[rows] * np.einsum("ran,rn->ra", decay, s * weight)
            others = np.einsum("ran,rn->ra", decay, (self.negatives - 1) * weight * moved)
            result[rows] = STEP * (own * change[rows] + others)
        return result * masses * self.negatives * rate

    def _nodes(self, exponents: Array) -> tuple[Array, Array]:
        """Nodes s, and the rates ``(Q/k) e^{t}``; X lies between Q e^{min t} and Q e^{max t}."""
        low = -38.0 - max(0.0, np.log(self.q) + float(exponents.max()))
        high = np.log(42.0)
        if not self.anchor:
            high += max(0.0, -np.log(self.q) - float(exponents.min()))
        s = np.exp(np.arange(low, high + STEP, STEP))
        return s, (self.q / self.negatives) * np.exp(exponents)

    def _decay(self, rate: Array, masses: Array, s: Array) -> tuple[Array, Array]:
        """``(R, A, N)`` exp(-s rate), and ``(R, N)`` log phi by the sum that loses no digits."""
        fall = np.expm1(-rate[:, :, None] * s)
        return fall + 1.0, _log1p(np.einsum("ra,ran->rn", masses, fall))

    def _blocks(self, exponents: Array, s: Array) -> list[slice]:
        height = max(1, BLOCK // (exponents.shape[1] * len(s)))
        return [slice(start, start + height) for start in range(0, len(exponents), height)]


def _log1p(x: Array) -> Array:
    """log(1 + x), finite where x = -1 to rounding: phi^k is below rounding there."""
    return np.log1p(np.maximum(x, np.finfo(np.float64).epsneg - 1.0))
