"""Five normal classes whose collapse metrics are known, and the intervals of samples of them.

In eight dimensions, standard deviation 0.4, means of length 2, 2, 1.5, 1.5 and 1: at right angles to each other, the
same in every data set, or of random directions in each.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.collapse import measure
from geometry.compare import compare
from geometry.frames import simplex_etf

CLASSES, DIMENSION, DEVIATION = 5, 8, 0.4
LENGTHS = np.array([2.0, 2.0, 1.5, 1.5, 1.0])
DESIGNS = ((60, 60, 60, 60, 60), (60, 40, 20, 10, 6), (60, 40, 20, 5, 3))
DIRECTIONS = ("orthogonal", "random")
ALL = "all"
SAME = ("equilibrium_", "means_merged_share")  # the first are other metrics' numbers, the second is 0 here

Array = NDArray[np.float64]
Found = dict[str, tuple[float, float, float]]


def means(directions: str, rng: np.random.Generator) -> Array:
    """``(5, 8)`` class means."""
    chosen = np.eye(CLASSES, DIMENSION) if directions == "orthogonal" else rng.normal(size=(CLASSES, DIMENSION))
    return LENGTHS[:, None] * chosen / np.linalg.norm(chosen, axis=1, keepdims=True)


def sample(centres: Array, counts: tuple[int, ...], rng: np.random.Generator) -> Artifact:
    labels = np.repeat(np.arange(CLASSES), counts)
    return Artifact(centres[labels] + DEVIATION * rng.normal(size=(labels.size, DIMENSION)), labels, tuple("abcde"))


def population(centres: Array) -> Artifact:
    """Points whose class means and class covariances are those of the distribution, to rounding."""
    corners = DEVIATION * np.sqrt(DIMENSION) * np.concatenate([np.eye(DIMENSION), -np.eye(DIMENSION)])
    labels = np.repeat(np.arange(CLASSES), len(corners))
    return Artifact(centres[labels] + np.tile(corners, (CLASSES, 1)), labels, tuple("abcde"))


def intervals(of: Artifact, resamples: int, seed: int) -> Found:
    """Estimate and interval of every balanced metric of all classes, and of the distance to the simplex."""
    found = {
        row.metric: (row.estimate, row.low, row.high)
        for row in measure(of, resamples=resamples, seed=seed).rows()
        if (row.weighting, row.group, row.domain) == ("balanced", ALL, ALL) and not row.metric.startswith(SAME)
    }
    fit = compare(of, simplex_etf(CLASSES), resamples=resamples, seed=seed)
    for name, error in (("gram_error", fit.gram_error), ("relative_error", fit.blocks[0].relative_error)):
        found[name] = (error.estimate, error.low, error.high)
    return found


def pairs(
    counts: tuple[int, ...], directions: str, sets: int, resamples: int, seed: int
) -> Iterator[tuple[Found, Found]]:
    """Of each data set the intervals, and the population's values."""
    for draw in range(sets):
        rng = np.random.default_rng([seed, *counts, draw])
        centres = means(directions, rng)
        yield intervals(sample(centres, counts, rng), resamples, draw), intervals(population(centres), 0, 0)


def outside(found: Found, truth: Found) -> dict[str, bool]:
    """Of each interval whether the population's value lies outside; those that have none are left out."""
    return {
        name: not low <= truth[name][0] <= high for name, (_, low, high) in found.items() if np.isfinite(low + high)
    }
