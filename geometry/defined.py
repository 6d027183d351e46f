"""Quotients and averages where classes may be absent: NaN where there is nothing, never a silent 0."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Value: TypeAlias = np.float64 | Array


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> Value:
    """Elementwise quotient, NaN where the denominator is not positive.

    >>> ratio([1.0, 1.0], [2.0, 0.0]).tolist()
    [0.5, nan]
    """
    over = np.asarray(denominator, dtype=np.float64)
    return np.where(over > 0, np.asarray(numerator, dtype=np.float64) / np.where(over > 0, over, 1.0), np.nan)[()]


def mean_defined(values: ArrayLike) -> Value:
    """Mean of the values that are not NaN along the last axis; NaN where there is none.

    >>> float(mean_defined([1.0, np.nan, 3.0]))
    2.0
    """
    numbers = np.asarray(values, dtype=np.float64)
    defined = ~np.isnan(numbers)
    return ratio(np.where(defined, numbers, 0.0).sum(axis=-1), defined.sum(axis=-1))


def deviation_defined(values: ArrayLike) -> Value:
    """Population standard deviation along the last axis of the values that are not NaN; NaN if one is infinite.

    >>> float(deviation_defined([1.0, np.nan, 3.0]))
    1.0
    """
    numbers = np.asarray(values, dtype=np.float64)
    finite = np.where(np.isinf(numbers), np.nan, numbers)
    centre = np.asarray(mean_defined(finite))[..., None]
    spread = np.sqrt(mean_defined((finite - centre) ** 2))
    return np.where(np.isinf(numbers).any(axis=-1), np.nan, spread)[()]
