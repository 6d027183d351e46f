"""Means over seeds, their standard errors, and paired tests between the rows of a table."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from experiments.table.records import Place, Records, Run
from experiments.table.samples import SampleTests
from geometry.errors import DataError, UsageError
from geometry.significance import PairedTest, holm, paired_test

AVERAGE = "average"
UNITS = ("runs", "domains", "seeds")
SMALLER_IS_BETTER = ("ece", "seconds", "peak_memory_mb", "total_variation")
COST = ("seconds", "peak_memory_mb")


@dataclass(frozen=True)
class Comparison:
    """A row of a table against another one, on the same splits and seeds.

    Attributes:
        against: the other row.
        difference: mean of this minus the other.
        low: lower end of its interval at the table's level.
        high: upper end.
        p_value: two-sided, uncorrected.
        p_holm: corrected for all rows compared with the same one in this column.
        least_p_value: the smallest uncorrected one that so many units can give.
        units: independent units.
        dropped: pairs of which one value is missing.
        significant: whether ``p_holm`` is at most 1 - level.
        powerless: whether no data could have been significant: ``least_p_value`` times the rows compared is above
            1 - level, or there is no p-value.
    """

    against: str
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float
    least_p_value: float
    units: int
    dropped: int
    significant: bool
    powerless: bool


@dataclass(frozen=True)
class Entry:
    """One number of a table: a row, a held-out domain (or the average over all), a metric.

    Attributes:
        place: data set, setting, held-out domain or ``average``, row.
        metric: its name.
        mean: over seeds; of ``average``: over the seeds that have every held-out domain.
        standard_error: sample standard deviation over seeds / sqrt(seeds); NaN for a single seed.
        seeds: that carry the mean.
        best: whether its mean is the best of the column.
        like_best: whether it is not significantly worse than the best; None where no test could tell.
        baseline: against the baseline; None for the baseline itself, and without one.
        against_best: against the best of the column; None for the best itself.
    """

    place: Place
    metric: str
    mean: float
    standard_error: float
    seeds: int
    best: bool = False
    like_best: bool | None = None
    baseline: Comparison | None = None
    against_best: Comparison | None = None


Values = Mapping[str, Mapping[int, float]]  # held-out domain -> seed -> value
Compare = Callable[[str, str], PairedTest]  # of a row with another one


def larger_is_better(metric: str) -> bool:
    """Whether more of a metric is better.

    >>> larger_is_better("target_few"), larger_is_better("target_ece"), larger_is_better("target_classwise_ece")
    (True, False, False)
    """
    return not metric.endswith(SMALLER_IS_BETTER)


def aggregate(
    runs: Sequence[Run],
    metrics: Sequence[str],
    *,
    places: Iterable[Place] = (),
    baseline: str | None = None,
    test: str = "sign-flip",
    units: str = "runs",
    level: float = 0.95,
    seed: int = 0,
    sampled: SampleTests | None = None,
) -> list[Entry]:
    """Every number of the tables.

    Args:
        runs: one for each place and seed (:func:`experiments.table.selection.select`).
        metrics: names.
        places: what was planned; ``average`` is over all of its held-out domains, so undefined until each has a run.
        baseline: row that the others are tested against; none without it.
        test: a paired test of :mod:`geometry.significance`.
        units: of ``average``: ``runs`` (each seed and domain), ``domains`` (their means over seeds: a claim about other
            domains), or ``seeds`` (their means over domains).
        level: of intervals and decisions.
        seed: of tests that draw.
        sampled: tests on the target samples themselves, in the place of those over runs; ``test`` and ``units`` then
            play no part, and a metric that it cannot test has undefined tests.

    Raises:
        UsageError: an unknown baseline, unit or metric.
        DataError: runs of one seed and domain were made on different splits.
    """
    if units not in UNITS:
        raise UsageError(f"Unknown units {units!r}; known: {', '.join(UNITS)}.")
    rows = list(dict.fromkeys(run.place.algorithm for run in runs))
    if baseline is not None and baseline not in rows:
        raise UsageError(f"Unknown baseline {baseline!r}; the runs have {', '.join(rows)}.")
    _require_metrics(runs, metrics)
    _require_same_splits(runs)
    rng = np.random.default_rng(seed)
    found: list[Entry] = []
    planned = {*places, *(run.place for run in runs)}
    for dataset, setting in dict.fromkeys((run.place.dataset, run.place.setting) for run in runs):
        here = [run for run in runs if run.place[:2] == (dataset, setting)]
        domains = sorted({place.held_out for place in planned if place[:2] == (dataset, setting)})
        for metric in metrics:
            values = values_by_row(here, metric)
            columns = [*((name, [name]) for name in domains), (AVERAGE, domains)]
            for column, parts in columns:
                entries = [_entry(Place(dataset, setting, column, row), metric, values[row], parts) for row in values]
                if metric in COST:
                    found += entries
                    continue
                compare: Compare = partial(_over_runs, values, parts, test, units, level, rng)
                if sampled is not None:
                    compare = partial(sampled.compare, dataset, setting, metric, parts, level)
                found += list(_compared(entries, compare, baseline, level))
    return found


def seed_means(values: Values, parts: Sequence[str]) -> NDArray[np.float64]:
    """Means over held-out domains, one for each seed that has a defined value on all of them."""
    seeds = sorted(set.intersection(*(set(values.get(part, {})) for part in parts)))
    means = np.array([np.mean([values[part][seed] for part in parts]) for seed in seeds], dtype=np.float64)
    return means[np.isfinite(means)]


def values_by_row(runs: Iterable[Run], metric: str) -> dict[str, dict[str, dict[int, float]]]:
    """Row -> held-out domain -> seed -> value."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for run in runs:
        found.setdefault(run.place.algorithm, defaultdict(dict))[run.place.held_out][run.seed] = run.number(metric)
    return found


def _entry(place: Place, metric: str, values: Values, parts: Sequence[str]) -> Entry:
    per_seed = seed_means(values, parts)
    n = per_seed.size
    mean = float(per_seed.mean()) if n else float("nan")
    spread = float(per_seed.std(ddof=1) / n**0.5) if n > 1 else float("nan")
    return Entry(place, metric, mean, spread, n)


def _compared(entries: Sequence[Entry], compare: Compare, baseline: str | None, level: float) -> Iterator[Entry]:
    """The entries of one column with their comparisons."""
    rows = [entry.place.algorithm for entry in entries]

    def against(other: str) -> dict[str, Comparison]:
        tests = {row: compare(row, other) for row in rows if row != other}
        corrected = holm([found.p_value for found in tests.values()])
        return {
            row: _comparison(other, found, p, level, len(tests))
            for (row, found), p in zip(tests.items(), corrected.tolist(), strict=True)
        }

    best = _best(entries)
    to_baseline = against(baseline) if baseline in rows else {}
    to_best = against(best) if best is not None else {}
    for entry in entries:
        row = entry.place.algorithm
        beside = to_best.get(row)
        yield replace(
            entry,
            best=row == best,
            like_best=None if beside is None or beside.powerless else not beside.significant,
            baseline=to_baseline.get(row),
            against_best=beside,
        )


def _best(entries: Sequence[Entry]) -> str | None:
    """The row with the best mean of a column."""
    known = [entry for entry in entries if np.isfinite(entry.mean)]
    sign = 1.0 if entries and larger_is_better(entries[0].metric) else -1.0
    return max(known, key=lambda entry: sign * entry.mean).place.algorithm if known else None


def _over_runs(
    values: Mapping[str, Values],
    parts: Sequence[str],
    test: str,
    units: str,
    level: float,
    rng: np.random.Generator,
    row: str,
    other: str,
) -> PairedTest:
    first, second = values[row], values[other]
    keys = [(p, s) for p in parts for s in sorted(set(first.get(p, {})) | set(second.get(p, {})))]
    nan = float("nan")
    a, b = ([found.get(p, {}).get(s, nan) for p, s in keys] for found in (first, second))
    clusters: NDArray[np.str_] | None = None
    if len(parts) > 1 and units != "runs":
        clusters = np.array([str(key[0 if units == "domains" else 1]) for key in keys])
    return paired_test(a, b, test=test, clusters=clusters, rng=rng, level=level)


def _comparison(other: str, found: PairedTest, corrected: float, level: float, rows: int) -> Comparison:
    alpha = 1.0 - level + 1e-12
    return Comparison(
        against=other,
        difference=found.difference,
        low=found.low,
        high=found.high,
        p_value=found.p_value,
        p_holm=corrected,
        least_p_value=found.least_p_value,
        units=found.units,
        dropped=found.dropped,
        significant=bool(corrected <= alpha),
        powerless=bool(np.isnan(corrected) or rows * found.least_p_value > alpha),
    )


def _require_metrics(runs: Sequence[Run], metrics: Sequence[str]) -> None:
    known = list(dict.fromkeys(name for run in runs for name in run.numbers))
    for metric in metrics:
        if metric not in known:
            raise UsageError(f"Unknown metric {metric!r}; the runs have {', '.join(known)}.")


def _require_same_splits(runs: Sequence[Run]) -> None:
    seen: dict[tuple[str, str, str, int], Run] = {}
    for run in runs:
        if not run.split:
            continue
        twin = seen.setdefault((*run.place[:3], run.seed), run)
        if twin.split != run.split:
            raise DataError(
                f"{twin.path} and {run.path} have the same data set, setting, held-out domain and seed but different "
                "splits, so no paired test between them means anything; leave one out."
            )


def counts_by_row(records: Records) -> dict[tuple[str, str, str], dict[str, int]]:
    """Runs done, failed and missing of every data set, setting and row."""
    found: dict[tuple[str, str, str], dict[str, int]] = {}
    for place, states in records.states.items():
        row = found.setdefault((place.dataset, place.setting, place.algorithm), dict.fromkeys(states, 0))
        for state, number in states.items():
            row[state] += number
    return found
