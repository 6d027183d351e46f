"""What the settings share: the log-logistic profile of a tail, and whole numbers out of shares."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import DataError, UsageError

Counts = NDArray[np.int64]
Array = NDArray[np.float64]


def log_logistic_profile(num_classes: int, c: float) -> Array:
    """``(K,)`` log-logistic (Fisk) density of shape c at K evenly spaced points, from 1/mean to the 99 % quantile.

    Raises:
        UsageError: c is not above 1 and finite: the distribution has no mean otherwise.
        DataError: fewer than two classes.
    """
    from scipy.stats import fisk

    if not 1 < c < np.inf:
        raise UsageError(f"Expected a finite c > 1, got {c}: the log-logistic distribution has no mean otherwise.")
    if num_classes < 2:
        raise DataError(f"Expected at least two classes for a long tail, got {num_classes}.")
    return np.asarray(fisk.pdf(np.linspace(1.0 / fisk.mean(c), fisk.ppf(0.99, c), num_classes), c), dtype=np.float64)


def largest_first(sizes: ArrayLike, rank: ArrayLike) -> NDArray[np.intp]:
    """Positions by size, largest first; of two equal ones the one later by name."""
    return np.lexsort((rank, sizes))[::-1]


def snap(value: ArrayLike) -> Array:
    """Values within rounding error of a whole number, made whole, so that flooring 0.8 * 290 gives 232."""
    exact = np.asarray(value, dtype=np.float64)
    whole = np.rint(exact)
    return np.where(np.abs(exact - whole) <= 1e-9 * np.maximum(1.0, np.abs(whole)), whole, exact)


def require_share(test: float) -> None:
    """Insist on a share in [0, 1).

    Raises:
        UsageError: it is not.
    """
    if not 0 <= test < 1:
        raise UsageError(f"Expected a test share in [0, 1), got {test}.")
