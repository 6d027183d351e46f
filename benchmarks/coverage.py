"""How often nominal 95 % intervals of `measure` and `compare` miss the population's value, classes being small.

python -m benchmarks.coverage                  # 1000 data sets of each design: six minutes of one core
python -m benchmarks.coverage --sets 200

Five normal classes in eight dimensions, standard deviation 0.4, means of length 2, 2, 1.5, 1.5 and 1: at right angles
to each other, the same in every data set, or of random directions in each. The population's value is the same metric of
16 points a class that have exactly its mean and covariance.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from benchmarks.false_positives import wilson
from benchmarks.timing import show
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


def missed(
    counts: tuple[int, ...], directions: str, sets: int, *, resamples: int = 200, seed: int = 0
) -> dict[str, list[bool]]:
    """Of each interval, on each data set that gives it, whether the population's value lies outside."""
    found: dict[str, list[bool]] = {}
    title = f"{directions}: {', '.join(map(str, counts))}"
    for sampled, truth in track(pairs(counts, directions, sets, resamples, seed), description=title, total=sets):
        for name, (_, low, high) in sampled.items():
            if np.isfinite(low + high):
                found.setdefault(name, []).append(not low <= truth[name][0] <= high)
    return found


def percent(outside: list[bool]) -> str:
    low, high = wilson(sum(outside), len(outside))
    return f"{100 * sum(outside) / len(outside):.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    header = ("samples of the classes:", *(", ".join(map(str, counts)) for counts in DESIGNS))
    for directions in DIRECTIONS:
        found = [
            missed(counts, directions, given.sets, resamples=given.resamples, seed=given.seed) for counts in DESIGNS
        ]
        table = [(name, *(percent(one[name]) for one in found)) for name in found[0]]
        show(f"Means of {directions} directions: intervals that miss, percent of {given.sets} data sets", header, table)


if __name__ == "__main__":
    main()
