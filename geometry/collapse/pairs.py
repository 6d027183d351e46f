"""Pairs of classes: their indices, and means over those that are defined."""

import numpy as np

from geometry.collapse.class_statistics import Array, Index, Value


def pair_indices(classes: Index) -> tuple[Index, Index]:
    """First and second member of every unordered pair of ``classes``, ``(P,)`` each."""
    upper, lower = np.triu_indices(classes.size, k=1)
    return classes[upper], classes[lower]


def mean_defined(values: Array) -> Value:
    """Mean of the values that are not NaN along the last axis; NaN where there is none.

    >>> float(mean_defined(np.array([1.0, np.nan, 3.0])))
    2.0
    """
    defined = ~np.isnan(values)
    count = defined.sum(axis=-1)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)[()]


def deviation_defined(values: Array) -> Value:
    """Population standard deviation (divisor n) of the values that are not NaN along the last axis."""
    finite = np.where(np.isinf(values), np.nan, values)
    centre = np.asarray(mean_defined(finite))[..., None]
    spread = np.sqrt(mean_defined((finite - centre) ** 2))
    return np.where(np.isinf(values).any(axis=-1), np.nan, spread)[()]
