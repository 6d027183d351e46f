"""The losses known by name: log losses over exponentials, and means of one function of t."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geometry.errors import UsageError
from geometry.optimum.hardest_negative import HardestNegative
from geometry.optimum.mean_loss import Derivatives, Loss, MeanLoss, TailMeans
from geometry.optimum.negatives import LogMoments, SlopeOperator, enumerate_draws

Array = NDArray[np.float64]

MOST_TERMS = 2_000  # log-sum-exp terms in a conic model; each is a cone of its own


class _Exponential(MeanLoss):
    """kappa(t) = e^t."""

    def inner(self, t: Array) -> Derivatives:
        """e^t three times."""
        kernel = np.exp(t)
        return kernel, kernel, kernel

    def inverse_slope(self, slope: Array) -> tuple[Array, Array]:
        """The logarithm, and kappa'/kappa'' = 1."""
        return np.log(slope), np.ones_like(slope)


class LogLoss(_Exponential):
    """``log(a + (Q/k) sum_i e^{t_i})``."""

    separable: ClassVar[bool] = False
    anchor: ClassVar[float] = 1.0

    @property
    def weight(self) -> float:
        """Q."""
        return 1.0

    def outer(self, u: Array) -> Derivatives:
        """log(a + Q u); log1p, for u is tiny at low temperature."""
        inside = self.anchor + self.weight * u
        slope = self.weight / inside
        return np.log1p(self.weight * u) if self.anchor else np.log(inside), slope, -(slope**2)

    def expectation(self, exponents: Array, masses: Array) -> Array:
        """``(R,)`` E psi."""
        moments = self._moments
        return super().expectation(exponents, masses) if moments is None else moments.expectation(exponents, masses)

    def slopes(self, exponents: Array, masses: Array) -> Array:
        """``(R, A)`` d E psi / d t."""
        moments = self._moments
        return super().slopes(exponents, masses) if moments is None else moments.slopes(exponents, masses)

    def slope_changes(self, exponents: Array, masses: Array, change: Array) -> Array:
        """``(R, A)`` derivative of :meth:`slopes` along ``change``."""
        moments = self._moments
        if moments is None:
            return super().slope_changes(exponents, masses, change)
        return moments.slope_changes(exponents, masses, change)

    def slope_operator(self, exponents: Array, masses: Array) -> SlopeOperator:
        """:meth:`slope_changes` as a function of ``change``."""
        moments = self._moments
        return (
            super().slope_operator(exponents, masses) if moments is None else moments.slope_operator(exponents, masses)
        )

    def expression(self, exponents: Any, masses: Array) -> Any:
        """``(R,)`` log-sum-exp of each row; for k negatives, one for each way to draw them.

        Raises:
            UsageError: more than 2,000 ways to draw.
        """
        import cvxpy

        rows = []
        for r, mass in enumerate(masses):
            on = np.flatnonzero(mass > 0)
            if self.negatives is None:
                shares, chances = mass[None, on], np.ones(1)
            else:
                shares, chances = enumerate_draws(mass[on], self.negatives)
                shares = shares / self.negatives
            if len(chances) * len(masses) > MOST_TERMS:
                raise UsageError(
                    f"{self.negatives} negatives can be drawn in {len(chances)} ways, too many for a conic model; take "
                    "the method burer-monteiro."
                )
            rows.append(
                sum(c * self._log_sum(exponents[r, on], share) for share, c in zip(shares, chances, strict=True))
            )
        return cvxpy.hstack(rows)

    def _log_sum(self, exponents: Any, shares: Array) -> Any:
        import cvxpy

        on = np.flatnonzero(shares > 0)
        terms = exponents[on] + np.log(self.weight * shares[on])
        return cvxpy.log_sum_exp(cvxpy.hstack([terms, 0.0]) if self.anchor else terms)

    @property
    def _moments(self) -> LogMoments | None:
        return None if self.negatives is None else LogMoments(self.anchor, self.weight, self.negatives)


@dataclass(frozen=True)
class InfoNCE(LogLoss):
    """InfoNCE ``log(1 + (Q/k) sum_i e^{t_i})``; ``log(1 + Q E e^t)`` in the limit of many negatives.

    Attributes:
        q: weight Q > 0 of the negatives against the positive; ``"plain"`` is Q = k, the usual ``log(1 + sum_i)``.
        negatives: k; None is the limit.
    """

    q: float | str = 1.0

    name: ClassVar[str] = "infonce"
    floor: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.q == "plain":
            if self.negatives is None:
                raise UsageError(
                    "The plain weight Q = k needs a number of negatives; its limit of many has the optimum of loss lme."
                )
        elif isinstance(self.q, str) or not (np.isfinite(self.q) and self.q > 0):
            raise UsageError(f"Expected a positive weight q of the negatives or 'plain', got {self.q!r}.")

    @property
    def weight(self) -> float:
        """Q."""
        return float(self.negatives or 1) if self.q == "plain" else float(self.q)


@dataclass(frozen=True)
class LogMeanExp(LogLoss):
    """``log((1/k) sum_i e^{t_i})``: the decoupled loss; with collisions and k -> infinity, full-batch SupCon."""

    name: ClassVar[str] = "lme"
    anchor: ClassVar[float] = 0.0


@dataclass(frozen=True)
class Exponential(_Exponential):
    """``mean_i e^{t_i}``."""

    name: ClassVar[str] = "exp"
    floor: ClassVar[float] = 0.0

    def inner_expression(self, exponents: Any) -> Any:
        """e^t."""
        import cvxpy

        return cvxpy.exp(exponents)


@dataclass(frozen=True)
class Quadratic(MeanLoss):
    """``mean_i max(0, 1 + t_i/2)^2``, a monotone stand-in for spectral losses; the square itself when tau >= 1."""

    name: ClassVar[str] = "quadratic"
    floor: ClassVar[float] = 0.0
    attains_floor: ClassVar[bool] = True

    def inner(self, t: Array) -> Derivatives:
        """max(0, 1 + t/2)^2."""
        base = np.maximum(0.0, 1.0 + t / 2.0)
        return base**2, base, np.where(base > 0.0, 0.5, 0.0)

    def inverse_slope(self, slope: Array) -> tuple[Array, Array]:
        """Twice ``slope - 1``, and kappa'/kappa'' = 2 kappa'."""
        return 2.0 * (slope - 1.0), 2.0 * slope

    def inner_expression(self, exponents: Any) -> Any:
        """max(0, 1 + t/2)^2."""
        import cvxpy

        return cvxpy.square(cvxpy.pos(1.0 + exponents / 2.0))


@dataclass(frozen=True)
class Linear(MeanLoss):
    """``mean_i (1 + t_i/2)``; its optimum may not be unique."""

    name: ClassVar[str] = "linear"

    def inner(self, t: Array) -> Derivatives:
        """1 + t/2."""
        return 1.0 + t / 2.0, np.full_like(t, 0.5), np.zeros_like(t)

    def inner_expression(self, exponents: Any) -> Any:
        """1 + t/2."""
        return 1.0 + exponents / 2.0


@dataclass(frozen=True)
class Hinge(MeanLoss):
    """``mean_i max(0, m + t_i)``, the triplet loss; its optimum may not be unique.

    Attributes:
        margin: m > 0, in units of t.
        negatives: does not matter.
    """

    margin: float = 1.0

    name: ClassVar[str] = "hinge"
    floor: ClassVar[float] = 0.0
    attains_floor: ClassVar[bool] = True
    kinked: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.margin) and self.margin > 0):
            raise UsageError(f"Expected a positive margin, got {self.margin}.")

    def inner(self, t: Array) -> Derivatives:
        """max(0, m + t), with slope 1 at the kink."""
        return np.maximum(0.0, self.margin + t), np.where(self.margin + t >= 0.0, 1.0, 0.0), np.zeros_like(t)

    def inner_expression(self, exponents: Any) -> Any:
        """max(0, m + t)."""
        import cvxpy

        return cvxpy.pos(self.margin + exponents)

    def tail_means(self, exponents: Array, masses: Array) -> TailMeans:
        """The whole distribution, at one level."""
        return TailMeans(np.array([self.margin]), np.ones(1), np.ones(1))


NAMES = ("infonce", "lme", "supcon", "exp", "hinge", "quadratic", "linear", "hardest")


def named_loss(name: str, *, q: float | str = 1.0, negatives: int | None = None, margin: float = 1.0) -> Loss:
    """The loss called ``name`` on the command line; ``supcon`` is ``lme``, and means a program with collisions.

    Raises:
        UsageError: no such loss, or a bad weight, margin or number of negatives.
    """
    simple = {"exp": Exponential, "quadratic": Quadratic, "linear": Linear, "lme": LogMeanExp, "supcon": LogMeanExp}
    if name == "infonce":
        return InfoNCE(q, negatives=negatives)
    if name == "hinge":
        return Hinge(margin, negatives=negatives)
    if name == "hardest":
        return HardestNegative(margin, negatives=negatives)
    if name not in simple:
        raise UsageError(f"Unknown loss {name!r}; known: {', '.join(NAMES)}.")
    return simple[name](negatives=negatives)
