"""Shot groups: classes called many, medium or few by their mean training count over the sources."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import UsageError

GROUPS = ("many", "medium", "few")


@dataclass(frozen=True)
class ShotThresholds:
    """Boundaries of the shot groups, in training images per class and source domain.

    ``many``: at least ``many`` images on average; ``few``: at most ``few``; ``medium`` between.
    """

    many: float
    few: float

    def __post_init__(self) -> None:
        if not self.many > self.few >= 0:
            raise UsageError(f"Expected shot thresholds many > few >= 0, got many={self.many}, few={self.few}.")


def shot_groups(train_counts: ArrayLike, thresholds: ShotThresholds) -> tuple[str, ...]:
    """Name the shot group of every class.

    Args:
        train_counts: ``(M, K)`` training images per source domain and class, or ``(K,)``.
        thresholds: group boundaries.

    Returns:
        K names out of ``many``, ``medium``, ``few``.

    Raises:
        UsageError: no row of counts, which has no mean.

    >>> shot_groups([[200, 30, 1], [180, 20, 2]], ShotThresholds(many=100, few=5))
    ('many', 'medium', 'few')
    """
    counts = np.atleast_2d(np.asarray(train_counts, dtype=np.float64))
    if not len(counts):
        raise UsageError("Expected training counts of at least one source domain, got none.")
    mean = counts.mean(axis=0)
    return tuple(
        "many" if value >= thresholds.many else "few" if value <= thresholds.few else "medium" for value in mean
    )


def group_masks(groups: tuple[str, ...]) -> dict[str, NDArray[np.bool_]]:
    """``(K,)`` masks of the classes of each shot group that occurs, in the order many, medium, few."""
    names = np.asarray(groups)
    return {group: names == group for group in GROUPS if bool(np.any(names == group))}
