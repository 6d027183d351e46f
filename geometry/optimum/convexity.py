"""Whether the theory covers a loss: psi convex and non-decreasing where it is used, checked by numbers."""

import warnings
from dataclasses import dataclass

import numpy as np

from geometry.errors import UsageError
from geometry.optimum.mean_loss import Loss

SLACK = 1e-7  # relative size of a violation that counts; finite differences reach about 1e-9


class LossWarning(UserWarning):
    """A loss lacks a property that the theory needs."""


@dataclass(frozen=True)
class LossCheck:
    """What sampling psi found; a violation is a proof, its absence is none.

    Attributes:
        convex: no segment of t-values on which E psi lies above its chord.
        non_decreasing: no negative slope.
        consistent: ``slopes`` and ``slope_changes`` are the derivatives they claim to be.
    """

    convex: bool
    non_decreasing: bool
    consistent: bool


def check_loss(loss: Loss, tau: float, *, samples: int = 64, seed: int = 0) -> LossCheck:
    """Sample E psi over the range ``-2/tau <= t <= 0`` and warn of what the theory needs and the loss lacks.

    Convexity makes class means as good as samples (Jensen's inequality given the classes), the program convex and its
    certificate a proof. Monotonicity makes a positive pair best when it coincides, at cosine one: without it the
    certificate still holds for the program, but the loss may be less than the program's optimum.

    Raises:
        UsageError: the derivatives, or the tail means of a kinked loss, are wrong, so that no solver can work.
    """
    rng = np.random.default_rng(seed)
    first, second = (-2.0 / tau * rng.random((samples, 3)) for _ in range(2))
    masses = rng.dirichlet(np.ones(3), size=samples)
    middle = (first + second) / 2.0
    ends = [loss.expectation(t, masses) for t in (first, second)]
    scale = np.maximum(np.abs(ends[0]), np.abs(ends[1])) + np.finfo(np.float64).tiny
    excess = loss.expectation(middle, masses) - (ends[0] + ends[1]) / 2.0
    slopes = loss.slopes(first, masses)
    result = LossCheck(
        convex=bool((excess <= SLACK * scale).all()),
        non_decreasing=bool((slopes >= -SLACK * np.abs(slopes).max(axis=1, keepdims=True)).all()),
        consistent=_derivatives_agree(loss, first, second - first, masses),
    )
    if not result.consistent:
        raise UsageError(f"The derivatives that the loss {loss.name!r} gives are not those of its value; correct them.")
    if loss.kinked and not _tails_agree(loss, first, masses):
        raise UsageError(f"The tail means that the loss {loss.name!r} gives do not sum to its value; correct them.")
    for holds, name, loses in (
        (result.convex, "convex", "the certificate proves nothing and samples need not collapse to their class means"),
        (
            result.non_decreasing,
            "non-decreasing",
            "positives need not align, samples need not collapse to their class means, and an encoder may do better "
            "than the optimum of the program",
        ),
    ):
        if not holds:
            warnings.warn(f"The loss {loss.name!r} is not {name} at tau={tau}, so {loses}.", LossWarning, stacklevel=2)
    return result


def _tails_agree(loss: Loss, exponents: np.ndarray, masses: np.ndarray) -> bool:
    """Whether the tail means of a kinked loss, exact where they are made, are E psi there."""
    pairs = list(zip(exponents, masses, strict=True))
    summed = [loss.tail_means(t, mass).value(t, mass) for t, mass in pairs]
    return bool(np.allclose(summed, loss.expectation(exponents, masses), rtol=1e-9, atol=1e-12))


def _derivatives_agree(loss: Loss, t: np.ndarray, move: np.ndarray, masses: np.ndarray) -> bool:
    """Central differences along ``move``; the median over samples, for a psi may have kinks."""
    step = 1e-5
    ahead, behind = t + step * move, t - step * move
    slopes, bends = loss.slopes(t, masses), loss.slope_changes(t, masses, move)
    first = (loss.expectation(ahead, masses) - loss.expectation(behind, masses)) / (2.0 * step)
    second = (loss.slopes(ahead, masses) - loss.slopes(behind, masses)) / (2.0 * step)
    errors = (
        np.abs(first - (slopes * move).sum(axis=1)) / (np.abs(slopes * move).sum(axis=1) + np.abs(first) + 1e-300),
        np.abs(second - bends).max(axis=1) / (np.abs(slopes).max(axis=1) + np.abs(bends).max(axis=1) + 1e-300),
    )
    return all(float(np.median(error)) < 1e-5 for error in errors)
