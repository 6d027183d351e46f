"""How often nominal 95 % intervals of `measure` and `compare` miss the population's value, classes being small.

python -m benchmarks.coverage                  # 1000 data sets of each design: six minutes of one core
python -m benchmarks.coverage --sets 200

The classes are those of tests/geometry/collapse/planted_classes.py. The population's value is the same metric of 16
points a class that have exactly its mean and covariance.
"""

import argparse

from rich.progress import track

from benchmarks.false_positives import wilson
from benchmarks.timing import show
from tests.geometry.collapse.planted_classes import DESIGNS, DIRECTIONS, outside, pairs


def missed(counts: tuple[int, ...], directions: str, sets: int, resamples: int, seed: int) -> dict[str, list[bool]]:
    """Of each interval, on each data set that gives it, whether the population's value lies outside."""
    found: dict[str, list[bool]] = {}
    title = f"{directions}: {', '.join(map(str, counts))}"
    for sampled, truth in track(pairs(counts, directions, sets, resamples, seed), description=title, total=sets):
        for name, wrong in outside(sampled, truth).items():
            found.setdefault(name, []).append(wrong)
    return found


def percent(wrong: list[bool]) -> str:
    low, high = wilson(sum(wrong), len(wrong))
    return f"{100 * sum(wrong) / len(wrong):.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    header = ("samples of the classes:", *(", ".join(map(str, counts)) for counts in DESIGNS))
    for directions in DIRECTIONS:
        found = [missed(counts, directions, given.sets, given.resamples, given.seed) for counts in DESIGNS]
        table = [(name, *(percent(one[name]) for one in found)) for name in found[0]]
        show(f"Means of {directions} directions: intervals that miss, percent of {given.sets} data sets", header, table)


if __name__ == "__main__":
    main()
