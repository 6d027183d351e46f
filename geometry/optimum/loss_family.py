"""The losses: an increasing convex psi of t = f(x).(f(x-) - f(x+)) / tau, averaged over the negatives."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geometry.errors import UsageError

Array = NDArray[np.float64]


class Loss(Protocol):
    """What the convex program asks of a loss.

    Row y of ``exponents`` ``(C, C)`` holds the value t_yc that a negative of class c gives an anchor of class y;
    row y of ``masses`` ``(C, C)`` holds the probability of that class of negative, zero for c = y.
    The theory (collapse to class means, one convex program) needs psi convex and non-decreasing.
    """

    @property
    def name(self) -> str:
        """The word for this loss on the command line."""
        ...

    def expectation(self, exponents: Array, masses: Array) -> Array:
        """``(C,)`` E psi for an anchor of each class."""
        ...

    def slopes(self, exponents: Array, masses: Array) -> Array:
        """``(C, C)`` d E psi_y / d t_yc."""
        ...

    def slope_changes(self, exponents: Array, masses: Array, change: Array) -> Array:
        """``(C, C)`` derivative of :meth:`slopes` along ``change``."""
        ...

    def expression(self, exponents: Any, masses: Array) -> Any:
        """``(C,)`` E psi as a CVXPY expression of the CVXPY expression ``exponents``, whose diagonal is zero."""
        ...


@dataclass(frozen=True)
class InfoNCE:
    """InfoNCE in the limit of many negatives: ``E psi_y = log(1 + Q sum_c m_yc exp(t_yc))``.

    The limit k -> infinity of ``log(1 + (Q/k) sum_i exp(t_i))`` over k independent negatives.

    Attributes:
        q: weight Q > 0 of the negatives against the positive.
    """

    q: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.q) and self.q > 0):
            raise UsageError(f"Expected a positive weight q of the negatives, got {self.q}.")

    @property
    def name(self) -> str:
        """The word for this loss on the command line."""
        return "infonce"

    def expectation(self, exponents: Array, masses: Array) -> Array:
        """``(C,)`` log(1 + Z_y) with Z_y = Q sum_c m_yc exp(t_yc); log1p, for Z is tiny at low temperature."""
        return np.asarray(np.log1p(self._weights(exponents, masses).sum(axis=1)), dtype=np.float64)

    def slopes(self, exponents: Array, masses: Array) -> Array:
        """``(C, C)`` p_yc = Q m_yc exp(t_yc) / (1 + Z_y)."""
        weights = self._weights(exponents, masses)
        return np.asarray(weights / (1.0 + weights.sum(axis=1, keepdims=True)), dtype=np.float64)

    def slope_changes(self, exponents: Array, masses: Array, change: Array) -> Array:
        """``(C, C)`` p_yc (dt_yc - sum_j p_yj dt_yj)."""
        slopes = self.slopes(exponents, masses)
        return np.asarray(slopes * (change - (slopes * change).sum(axis=1, keepdims=True)), dtype=np.float64)

    def expression(self, exponents: Any, masses: Array) -> Any:
        """``(C,)`` log-sum-exp over each row, whose diagonal t_yy = 0 is the 1 in 1 + Z_y."""
        import cvxpy

        weights = self.q * masses + np.eye(len(masses))
        return cvxpy.log_sum_exp(exponents + np.log(weights), axis=1)

    def _weights(self, exponents: Array, masses: Array) -> Array:
        return np.asarray(self.q * masses * np.exp(exponents), dtype=np.float64)


def named_loss(name: str, *, q: float = 1.0) -> Loss:
    """The loss called ``name`` on the command line.

    Raises:
        UsageError: no such loss, or a weight that is not positive.
    """
    known = {"infonce": InfoNCE}
    if name not in known:
        raise UsageError(f"Unknown loss {name!r}; known: {', '.join(known)}.")
    return known[name](q=q)
