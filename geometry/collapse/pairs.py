"""Pairs of classes."""

import numpy as np

from geometry.collapse.class_statistics import Index


def pair_indices(classes: Index) -> tuple[Index, Index]:
    """First and second member of every unordered pair of ``classes``, ``(P,)`` each."""
    upper, lower = np.triu_indices(classes.size, k=1)
    return classes[upper], classes[lower]
