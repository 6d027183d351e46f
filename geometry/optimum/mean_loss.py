"""The losses: an increasing convex psi of t_i = f(x).(f(x_i) - f(x+)) / tau, averaged over k random negatives x_i.

All are ``psi(t_1..t_k) = h(mean_i kappa(t_i))``. A loss of one's own is a subclass of :class:`MeanLoss` with its
``inner`` kappa and, unless it is the identity, its ``outer`` h; nothing else is asked of it, and
:func:`geometry.optimum.convexity.check_loss` says whether the theory covers it.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from geometry.errors import UsageError
from geometry.optimum.negatives import SlopeOperator, enumerate_draws

Array = NDArray[np.float64]
Derivatives = tuple[Array, Array, Array]


class Loss(Protocol):
    """What the convex program asks of a loss; subclass it for a psi that is no function of a mean.

    Row r of ``exponents`` ``(R, A)`` holds the values t_ra that the A kinds of negatives give an anchor of kind r; row
    r of ``masses`` ``(R, A)`` holds their probabilities, which may be zero. In the full program R = A = C.
    The theory (collapse to class means, one convex program) needs psi convex and non-decreasing.

    A subclass must give ``name``, :meth:`expectation`, :meth:`slopes` and :meth:`slope_changes`, which are checked
    against each other; :meth:`expression` only for the method ``conic``. Kinds of negatives must not matter beyond
    their t: splitting a kind in two of equal t leaves E psi as it is. The sum of two losses, complete:

    >>> from geometry.optimum import Exponential, InfoNCE, solve
    >>> class Sum(Loss):
    ...     name = "sum"
    ...     parts = (InfoNCE(negatives=4), Exponential())
    ...
    ...     def expectation(self, t, w):
    ...         return sum(part.expectation(t, w) for part in self.parts)
    ...
    ...     def slopes(self, t, w):
    ...         return sum(part.slopes(t, w) for part in self.parts)
    ...
    ...     def slope_changes(self, t, w, change):
    ...         return sum(part.slope_changes(t, w, change) for part in self.parts)
    >>> solve([4, 2, 1], loss=Sum()).certified
    True

    Attributes:
        name: the word for this loss on the command line.
        floor: infimum of psi: 0, or minus infinity where only differences of the loss mean anything.
        attains_floor: whether psi is constant below some t, so that different geometries can all have the least loss.
        kinked: psi is piecewise linear, so that :meth:`tail_means` is given and solvers take the conic form.
    """

    name: ClassVar[str] = "own"
    floor: ClassVar[float] = -np.inf
    attains_floor: ClassVar[bool] = False
    kinked: ClassVar[bool] = False

    def expectation(self, exponents: Array, masses: Array) -> Array:
        """``(R,)`` E psi for an anchor of each kind."""
        ...

    def slopes(self, exponents: Array, masses: Array) -> Array:
        """``(R, A)`` d E psi_r / d t_ra; at a kink any subgradient."""
        ...

    def slope_changes(self, exponents: Array, masses: Array, change: Array) -> Array:
        """``(R, A)`` derivative of :meth:`slopes` along ``change``."""
        ...

    def slope_operator(self, exponents: Array, masses: Array) -> SlopeOperator:
        """:meth:`slope_changes` as a function of ``change``, for many changes at one point."""
        return lambda change: self.slope_changes(exponents, masses, change)

    def expression(self, exponents: Any, masses: Array) -> Any:
        """``(R,)`` E psi as a CVXPY expression of the CVXPY expression ``exponents``.

        It may have variables of its own, over which it is to be minimised; where it is exact only near a point, that
        is the ``value`` of ``exponents``.

        Raises:
            UsageError: the loss has none.
        """
        raise UsageError(f"The loss {self.name!r} has no conic form; take the method burer-monteiro.")

    def tail_means(self, exponents: Array, masses: Array) -> "TailMeans":
        """One row ``(A,)`` of a kinked psi as a sum of tail means of hinges, exact at ``exponents``.

        Raises:
            UsageError: the loss is not kinked.
        """
        raise UsageError(f"The loss {self.name!r} is not piecewise linear.")


@dataclass(frozen=True, eq=False)
class TailMeans:
    r"""A convex, non-decreasing, piecewise linear E psi of one anchor: hinges, averaged over their upper tails (ours).

    ``E psi = sum_i weight_i max_q sum_a q_a (margin_i + t_a)`` over ``0 <= q_a <= w_a`` and ``sum_a q_a <= level_i``.
    At level 1 this is ``sum_a w_a max(0, margin_i + t_a)``; at a smaller one it is the part of the positive values
    that lies in their upper tail of that probability. Any such q gives a minorant of E psi, linear in t.

    Attributes:
        margins: ``(N,)``.
        levels: ``(N,)`` probabilities in (0, 1].
        weights: ``(N,)`` positive.
    """

    margins: Array
    levels: Array
    weights: Array

    def value(self, exponents: Array, masses: Array) -> float:
        """The sum for t ``(A,)`` and w ``(A,)``: every tail filled from its largest t down."""
        order = np.argsort(-exponents, kind="stable")
        caps = np.minimum(masses[order], self.levels[:, None])
        before = np.cumsum(caps, axis=1) - caps
        filled = np.clip(self.levels[:, None] - before, 0.0, caps)
        heights = np.maximum(0.0, self.margins[:, None] + exponents[order])
        return float(self.weights @ (filled * heights).sum(axis=1))


@dataclass(frozen=True)
class MeanLoss(Loss):
    """``psi(t_1..t_k) = h(mean_i kappa(t_i))`` with the expectation over the k negatives exact.

    With h the identity, or in the limit of many negatives, ``E psi = h(sum_a w_a kappa(t_a))``; else the sum over all
    multisets of k negatives (:func:`enumerate_draws`). A logistic loss of one's own, complete:

    >>> class Logistic(MeanLoss):
    ...     name = "logistic"
    ...
    ...     def inner(self, t):
    ...         s = 1.0 / (1.0 + np.exp(-t))
    ...         return np.logaddexp(0.0, t), s, s * (1.0 - s)
    >>> from geometry.optimum import solve
    >>> solve([4, 2, 2], loss=Logistic()).certified
    True

    Attributes:
        negatives: k; None is the limit of many negatives.
    """

    negatives: int | None = field(default=None, kw_only=True)

    name: ClassVar[str] = "mean"
    separable: ClassVar[bool] = True  # h is the identity, so that k does not matter; False where ``outer`` is given

    def __post_init__(self) -> None:
        if self.negatives is not None and not (self.negatives >= 1 and self.negatives == int(self.negatives)):
            raise UsageError(f"Expected at least one negative, a whole number or inf, got {self.negatives}.")

    def inner(self, t: Array) -> Derivatives:
        """kappa(t) and its first and second derivative, elementwise; convex and non-decreasing for t <= 0."""
        raise NotImplementedError

    def outer(self, u: Array) -> Derivatives:
        """h(u) and its first and second derivative, elementwise."""
        return u, np.ones_like(u), np.zeros_like(u)

    def inner_expression(self, exponents: Any) -> Any:
        """The kernel kappa of a CVXPY expression.

        Raises:
            UsageError: the loss does not say.
        """
        raise UsageError(f"The loss {self.name!r} has no conic form; take the method burer-monteiro.")

    def inverse_slope(self, slope: Array) -> tuple[Array, Array]:
        """The t at which kappa'(t) = ``slope`` > 0, and kappa'(t) / kappa''(t) there (for force factorisation).

        Raises:
            UsageError: kappa' has no inverse, or the loss does not give it.
        """
        raise UsageError(f"The loss {self.name!r} has no force factorisation; take the method burer-monteiro.")

    def expectation(self, exponents: Array, masses: Array) -> Array:
        """``(R,)`` E psi."""
        kernel = self.inner(exponents)[0]
        if self._is_limit:
            return np.asarray(self.outer((masses * kernel).sum(axis=1))[0], dtype=np.float64)
        rows = zip(kernel, masses, strict=True)
        return np.asarray([self._draws(row, mass)[1] @ self._drawn(row, mass)[0] for row, mass in rows])

    def slopes(self, exponents: Array, masses: Array) -> Array:
        """``(R, A)`` d E psi / d t."""
        kernel, slope, _ = self.inner(exponents)
        if self._is_limit:
            _, pull, _ = self.outer((masses * kernel).sum(axis=1, keepdims=True))
            return np.asarray(pull * masses * slope, dtype=np.float64)
        result = np.zeros_like(exponents)
        for r, (row, mass) in enumerate(zip(kernel, masses, strict=True)):
            shares, chances = self._draws(row, mass)
            result[r, mass > 0] = (chances * self._drawn(row, mass)[1]) @ shares
        return result * slope

    def slope_changes(self, exponents: Array, masses: Array, change: Array) -> Array:
        """``(R, A)`` derivative of :meth:`slopes` along ``change``."""
        kernel, slope, curvature = self.inner(exponents)
        if self._is_limit:
            _, pull, bend = self.outer((masses * kernel).sum(axis=1, keepdims=True))
            moved = (masses * slope * change).sum(axis=1, keepdims=True)
            return np.asarray(masses * (bend * moved * slope + pull * curvature * change), dtype=np.float64)
        result = np.zeros_like(exponents)
        for r, (row, mass) in enumerate(zip(kernel, masses, strict=True)):
            shares, chances = self._draws(row, mass)
            _, pull, bend = self._drawn(row, mass)
            on = mass > 0
            moved = shares @ (slope[r, on] * change[r, on])
            straight = (chances * pull) @ shares
            result[r, on] = (chances * bend * moved) @ shares * slope[r, on] + straight * (curvature * change)[r, on]
        return result

    def expression(self, exponents: Any, masses: Array) -> Any:
        """``(R,)`` sum_a w_a kappa(t_a), for losses whose h is the identity."""
        import cvxpy

        if not self.separable:
            raise UsageError(f"The loss {self.name!r} has no conic form; take the method burer-monteiro.")
        return cvxpy.sum(cvxpy.multiply(masses, self.inner_expression(exponents)), axis=1)

    @property
    def _is_limit(self) -> bool:
        return self.separable or self.negatives is None

    def _draws(self, kernel: Array, masses: Array) -> tuple[Array, Array]:
        counts, chances = enumerate_draws(masses[masses > 0], int(self.negatives or 1))
        return counts / float(self.negatives or 1), chances

    def _drawn(self, kernel: Array, masses: Array) -> Derivatives:
        return self.outer(self._draws(kernel, masses)[0] @ kernel[masses > 0])
