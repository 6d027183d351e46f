"""Two algorithms on the same splits and seeds: the paired difference of an outcome, and what follows from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from geometry.checks.across_runs.summary import Place, RunSummary
from geometry.checks.verdict import Outcome
from geometry.intervals import Interval, undefined
from geometry.significance import NO_SCATTER, PairedTest, holm, paired_test

FEWEST_PAIRS = 6  # with five the exact sign-flip test cannot reach 0.05
RELEVANT = 0.01  # a gain below one point, on outcomes that live on [0, 1], counts as none

RULE = (
    f"Paired over held-out domains and seeds: holds if the exact sign-flip test rejects after Holm's correction over "
    f"the family and the difference has the claimed sign; does not hold if the interval of the difference lies wholly "
    f"below a gain of {RELEVANT:g}; undecided otherwise or with fewer than {FEWEST_PAIRS} pairs."
)


@dataclass(frozen=True)
class Pair:
    """Two variants on the same splits.

    Attributes:
        names: of the two.
        setting: of their runs.
        better: runs of the first, by what they are paired on.
        than: runs of the second.
    """

    names: tuple[str, str]
    setting: str
    better: Mapping[Place, RunSummary]
    than: Mapping[Place, RunSummary]


@dataclass(frozen=True)
class Gain:
    """By how much an outcome is better under one algorithm than under another, on the same splits and seeds.

    Attributes:
        outcome: its name.
        better: name of the algorithm that is claimed to be better.
        than: the other's.
        setting: of the runs.
        test: of the paired gain, whose sign is such that the claim is a positive one.
        interval: of the mean gain (Student's t over the pairs; without ends where all gains are the same but zero).
        p_holm: p-value after Holm's correction over the family it was judged in.
        pairs: that both values are known of.
        domains: held-out domains among them.
    """

    outcome: str
    better: str
    than: str
    setting: str
    test: PairedTest
    interval: Interval
    p_holm: float
    pairs: int
    domains: int

    def verdict(self, level: float) -> Outcome:
        """What :data:`RULE` says."""
        if self.pairs < FEWEST_PAIRS:
            return "undecided"
        if self.p_holm <= 1.0 - level and self.test.difference > 0:
            return "holds"
        return "does not hold" if self.interval.high < RELEVANT else "undecided"

    def note(self) -> str:
        """The p-value and what carries it."""
        if self.pairs < 2:
            return f"{self.pairs} pairs of runs on the same split and seed with a value (no few-shot class, no value)"
        parts = [f"p {self.test.p_value:.2g}, after Holm {self.p_holm:.2g}", f"{self.pairs} pairs"]
        parts.append(f"{self.domains} held-out domain{'s' if self.domains != 1 else ''}: nothing is said about others")
        return "; ".join(parts)


def by_variant(runs: Iterable[RunSummary]) -> dict[str, dict[Place, RunSummary]]:
    """The runs of every variant by what they are paired on; the first of several at one place."""
    found: dict[str, dict[Place, RunSummary]] = {}
    for run in runs:
        found.setdefault(run.name, {}).setdefault(run.place, run)
    return found


def by_setting(runs: Iterable[RunSummary]) -> list[tuple[str, list[RunSummary]]]:
    """The runs of every data set and setting, in order of name."""

    def key(run: RunSummary) -> str:
        return f"{run.place.dataset} {run.place.setting}"

    return [(setting, list(members)) for setting, members in groupby(sorted(runs, key=key), key=key)]


def gain(
    outcome: str,
    pair: Pair,
    *,
    rng: np.random.Generator,
    lower_is_better: bool = False,
    level: float = 0.95,
) -> Gain:
    """The paired gain of one variant over another in an outcome.

    Args:
        outcome: one of :data:`~geometry.checks.across_runs.summary.OUTCOMES`.
        pair: the variants; the claim is that the first is better.
        rng: of drawn sign patterns, where there are too many to list.
        lower_is_better: whether a smaller outcome is the better one.
        level: of the interval.
    """
    better, than = pair.better, pair.than
    places = sorted(better.keys() & than.keys())
    sign = -1.0 if lower_is_better else 1.0
    first = np.array([sign * better[place].outcomes[outcome] for place in places])
    second = np.array([sign * than[place].outcomes[outcome] for place in places])
    known = np.isfinite(first) & np.isfinite(second)
    pairs = int(known.sum())
    domains = len({place.held_out for place, use in zip(places, known, strict=True) if use})
    test = paired_test(first, second, rng=rng, level=level)
    if pairs < 2:
        interval = undefined(pairs, "fewer than two pairs of runs on the same split and seed", level)
    else:
        method = "Student's t over paired runs" if np.isfinite(test.low) else f"no interval: {NO_SCATTER}"
        interval = Interval(test.difference, test.low, test.high, level, pairs, method)
    return Gain(outcome, *pair.names, pair.setting, test, interval, test.p_value, pairs, domains)


def corrected(gains: Sequence[Gain]) -> list[Gain]:
    """The same gains, their p-values corrected by Holm over all that can reject."""
    usable = [one.test.p_value if one.pairs >= FEWEST_PAIRS else float("nan") for one in gains]
    return [replace(one, p_holm=float(p)) for one, p in zip(gains, holm(usable), strict=True)]
