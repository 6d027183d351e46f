"""The expectation over k independent negatives, exactly: by enumeration, or by one integral for the log losses."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from geometry.errors import UsageError

Array = NDArray[np.float64]
SlopeOperator = Callable[[Array], Array]

MOST_DRAWS = 200_000  # multisets of k negatives that are still enumerated
STEP = 3.0 / 16.0  # trapezoid step in x: errors stay at rounding, at 1/4 as well
LOWEST = 3.5625  # e^LOWEST = 35: s = e^{-39} there
SMALL_DRAW = 100  # negatives up to which multinomial coefficients are products, more accurate than exp of logs
BLOCK = 100_000  # entries of the (rows, kinds, nodes) array held at once; two of them should stay in the cache
MOST_ENTRIES = 50_000_000  # of the same array, held as a whole by an operator: 400 MB


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

    by the trapezoid rule in x with ``s = exp(x - e^{-x})`` (Takahasi and Mori 1974), whose integrand falls doubly
    exponentially to the left: some 40 nodes are exact to rounding, whatever k (ours).

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
        s, widths, rate = self._nodes(exponents)
        result = np.empty(len(exponents))
        for rows in self._blocks(exponents, s):
            _, log_phi = _decay(rate[rows], masses[rows], s)
            power = np.expm1(self.negatives * log_phi)  # phi^k - 1, accurate where it is tiny
            lost = -np.exp(-s) * power if self.anchor else np.expm1(-s) - power
            result[rows] = lost @ (widths / s)
        return result

    def slopes(self, exponents: Array, masses: Array) -> Array:
        """``(R, A)`` d E log(a + X) / d t."""
        s, widths, rate = self._nodes(exponents)
        result = np.empty_like(exponents)
        for rows in self._blocks(exponents, s):
            decay, weight, _ = self._integrand(rate[rows], masses[rows], s, widths)
            result[rows] = np.matmul(decay, weight[:, :, None])[:, :, 0]
        return result * masses * self.negatives * rate

    def slope_changes(self, exponents: Array, masses: Array, change: Array) -> Array:
        """``(R, A)`` derivative of :meth:`slopes` along ``change``."""
        s, widths, rate = self._nodes(exponents)
        result = np.empty_like(exponents)
        for rows in self._blocks(exponents, s):
            result[rows] = self._bends(rate[rows], masses[rows], s, widths)(change[rows])
        return result

    def slope_operator(self, exponents: Array, masses: Array) -> SlopeOperator:
        """:meth:`slope_changes` as a function of ``change``, four times as fast; where memory allows (C < 1,000)."""
        s, widths, rate = self._nodes(exponents)
        if exponents.size * len(s) > MOST_ENTRIES:
            return lambda change: self.slope_changes(exponents, masses, change)
        blocks = self._blocks(exponents, s)
        parts = [self._bends(rate[rows], masses[rows], s, widths) for rows in blocks]
        return lambda change: np.concatenate([part(change[rows]) for part, rows in zip(parts, blocks, strict=True)])

    def _nodes(self, exponents: Array) -> tuple[Array, Array, Array]:
        """Nodes s with their widths ds, and the rates ``(Q/k) e^{t}``; X lies between Q e^{min t} and Q e^{max t}."""
        shift = max(0.0, np.log(self.q) + float(exponents.max()))  # the integrand begins at s = e^-shift
        high = np.log(42.0)
        if not self.anchor:
            high += max(0.0, -np.log(self.q) - float(exponents.min()))
        shift = np.ceil(shift / STEP) * STEP  # multiples of the step, so that x is exact
        x = np.arange(-shift - LOWEST, high + STEP, STEP)
        fall = np.exp(-(x + shift))
        s = np.exp(x - fall)
        return s, STEP * s * (1.0 + fall), (self.q / self.negatives) * np.exp(exponents)

    def _integrand(self, rate: Array, masses: Array, s: Array, widths: Array) -> tuple[Array, Array, Array]:
        """``(R, A, N)`` exp(-s rate), and ``(R, N)`` e^{-as} phi^{k-1} ds and log phi, whose sum loses no digits."""
        decay, log_phi = _decay(rate, masses, s)
        return decay, widths * np.exp(-self.anchor * s + (self.negatives - 1) * log_phi), log_phi

    def _bends(self, rate: Array, masses: Array, s: Array, widths: Array) -> SlopeOperator:
        """The second derivative: a diagonal, and decay times a weight of each node times decay."""
        decay, weight, log_phi = self._integrand(rate, masses, s, widths)
        own = np.matmul(decay, np.stack([weight, s * weight], axis=2))
        own = own[:, :, 0] - rate * own[:, :, 1]
        bend = (1 - self.negatives) * s * weight / np.exp(log_phi)
        pull = masses * rate

        def apply(change: Array) -> Array:
            moved = bend * np.matmul((pull * change)[:, None, :], decay)[:, 0]
            return np.asarray(
                self.negatives * pull * (own * change + np.matmul(decay, moved[:, :, None])[:, :, 0]), dtype=np.float64
            )

        return apply

    def _blocks(self, exponents: Array, s: Array) -> list[slice]:
        height = max(1, BLOCK // (exponents.shape[1] * len(s)))
        return [slice(start, start + height) for start in range(0, len(exponents), height)]


def _decay(rate: Array, masses: Array, s: Array) -> tuple[Array, Array]:
    """``(R, A, N)`` exp(-s rate) and ``(R, N)`` log phi, without loss of digits where phi is near 1 or near 0 (ours).

    Above one half phi is 1 less what is lost, so that ``k log phi`` stays accurate for many negatives. Below it is the
    sum itself: a rare kind that decays late is all that remains of phi at large s, and 1 less what is lost would be
    rounding.
    """
    exponent, weights = -rate[:, :, None] * s, masses[:, None, :]
    decay = np.exp(exponent)
    left = np.matmul(weights, decay)[:, 0]
    lost = np.matmul(weights, np.expm1(exponent, out=exponent))[:, 0]
    log_left = np.log(np.maximum(left, np.finfo(np.float64).tiny))  # finite where phi^k is below rounding anyway
    return decay, np.where(lost > -0.5, np.log1p(np.maximum(lost, -0.5)), log_left)
