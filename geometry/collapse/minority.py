"""Minority collapse: do the minority classes share one direction?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from geometry.alignment import cosines
from geometry.collapse.class_statistics import Array
from geometry.collapse.pairs import pair_indices
from geometry.collapse.variability import maximum_defined
from geometry.defined import Value, mean_defined

MERGED_COSINE = 0.99
"""A pair of classes whose cosine exceeds this counts as merged."""


@dataclass(frozen=True)
class MinorityClasses:
    """Which classes count as the minority, and by which rule.

    Attributes:
        classes: their indices.
        rule: the rule in words.
    """

    classes: tuple[int, ...]
    rule: str


def minority_classes(train_counts: ArrayLike, shots: tuple[str, ...] | None = None) -> MinorityClasses:
    """The ``few`` shot group where it is known and has two classes, otherwise the half with the fewest training images.

    Args:
        train_counts: ``(K,)`` training images per class.
        shots: K names of shot groups, or None.

    >>> minority_classes([100, 5, 60, 2, 9]).classes
    (1, 3)
    >>> minority_classes([100, 5, 60, 2, 9], ("many", "few", "medium", "few", "few")).classes
    (1, 3, 4)
    """
    counts = np.asarray(train_counts)
    few = tuple(k for k, group in enumerate(shots or ()) if group == "few")
    if len(few) >= 2:
        return MinorityClasses(few, "the few-shot classes")
    half = min(max(2, counts.size // 2), counts.size)
    chosen = np.sort(np.argsort(counts, kind="stable")[:half])
    return MinorityClasses(
        tuple(int(k) for k in chosen),
        f"the {half} of {counts.size} classes with the fewest training images (ties by class order)",
    )


@dataclass(frozen=True, eq=False)
class PairCosines:
    """How nearly the directions of a set of classes coincide.

    Attributes:
        mean: mean cosine over pairs, in [-1, 1]; 1 when all have merged.
        min_angle: smallest angle between two of them, degrees in [0, 180].
        merged: share of pairs with cosine above ``MERGED_COSINE``, in [0, 1].
        pairs: pairs that enter.
    """

    mean: Value
    min_angle: Value
    merged: Value
    pairs: int


def pair_cosines(gram: Array, classes: ArrayLike | None = None) -> PairCosines:
    """Cosines over pairs of classes; for minority classes the minority-collapse measure of Fang et al. (2021).

    Pass ``ClassStatistics.gram`` for centred class means, ``W @ W.T`` for classifier rows.

    Args:
        gram: ``(..., K, K)``; NaN rows are absent classes.
        classes: indices of the classes to pair; all by default.

    Returns:
        NaN where no pair is defined.

    >>> rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    >>> result = pair_cosines(rows @ rows.T, [1, 2])
    >>> float(result.mean), float(result.min_angle), float(result.merged), result.pairs
    (1.0, 0.0, 1.0, 1)
    """
    wanted = np.arange(gram.shape[-1]) if classes is None else np.asarray(classes, dtype=np.intp)
    left, right = pair_indices(wanted)
    cosine = cosines(gram)[..., left, right]
    defined = ~np.isnan(cosine)
    merged = np.where(defined, np.where(defined, cosine, 0.0) > MERGED_COSINE, np.nan)
    in_all = defined.all(axis=tuple(range(defined.ndim - 1)))
    return PairCosines(
        mean=mean_defined(cosine),
        min_angle=np.degrees(np.arccos(maximum_defined(cosine))),
        merged=mean_defined(merged),
        pairs=int(in_all.sum()),
    )
