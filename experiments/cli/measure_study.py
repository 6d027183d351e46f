"""``tailgeom measure`` over many runs: collapse metrics by shot group, averaged over seeds, beside a baseline's."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments import run_records
from experiments.cli.measure import Measure
from experiments.cli.output import cell, emit_json, print_table, save_result
from experiments.cli.study import open_study
from experiments.table.aggregate import AVERAGE, Entry, aggregate
from geometry.atomic import plain
from geometry.prototypes import prototype_report, prototype_space
from geometry.shots import GROUPS

NAME = "measure_study"
HEADER = (
    *("dataset", "setting", "held_out", "algorithm", "metric", "group", "mean", "standard_error", "seeds"),
    *("difference", "low", "high", "p_value", "p_holm", "pairs"),
)
# What the page shows in tables of its own, under short heads; the CSV has every metric.
COLLAPSE: Mapping[str, str] = {
    "nc1": "NC1",
    "cdnv": "CDNV",
    "means_cosine": "cosine of means",
    "means_max_equiangularity": "from equal angles",
    "nc3_cosine": "NC3",
    "nc4": "NC4",
    "features_effective_rank": "effective rank",
    "domain_cosine": "cosine across domains",
}
PROTOTYPES: Mapping[str, str] = {
    "prototype_to_mean": "prototype to mean",
    "prototype_to_row": "prototype to row",
    "prototype_from_simplex": "prototypes from simplex",
}
SHOWN = {**COLLAPSE, **PROTOTYPES}


def run_study(command: Measure) -> int:
    """Measure every run, average, print and save."""
    found, records = open_study(command, _record, made_from, file=run_records.MEASURE_RECORD)
    runs = [replace(run, numbers=_numbers(records[run.path]["measures"])) for run in found.runs]
    metrics = list(dict.fromkeys(name for run in runs for name in run.numbers))
    entries = aggregate(runs, metrics, baseline=command.baseline or None, test=command.test, seed=command.seed)
    payload = {
        "command": command.command_line(),
        "settings": command.settings() | {"baseline": command.baseline, "test": command.test},
        "split": sorted({records[run.path]["split"] for run in found.runs}),
        "skipped": found.skipped,
        "runs": len(runs),
        "entries": [dict(zip(HEADER, entry_row(entry), strict=True)) for entry in entries],
    }
    if command.out is not None:
        save(command.out, payload, entries)
    if command.json:
        emit_json(payload)
    else:
        show(command, payload, entries)
    return 0


def made_from(command: Measure, path: Path) -> run_records.Record:
    """What decides a run's record."""
    code = run_records.code_digest("collapse/*.py", "alignment.py", "prototypes.py")
    return dict(plain(run_records.identity(path) | {"split": command.split, "code": code}))


def _record(command: Measure, path: Path) -> run_records.Record:
    """Balanced metrics over all domains, of features, head and domains, by group, without intervals (over samples)."""
    from experiments.composition import artifact_of
    from geometry.collapse import measure

    artifact = artifact_of(path)
    report = measure(artifact, split=command.split or None, resamples=0)
    chosen = [row for row in report.rows() if row.weighting in ("balanced", "none") and row.domain in ("all", "across")]
    measures: dict[str, dict[str, float]] = {}
    for row in chosen:
        measures.setdefault(row.metric, {})[row.group] = row.estimate
    if prototype_space(artifact) is not None:
        for group, one in prototype_report(artifact, split=command.split or None).groups.items():
            for name in ("to_mean", "to_row", "from_simplex"):
                measures.setdefault(f"prototype_{name}", {})[group] = getattr(one, name)
    return {"split": report.split, "measures": measures}


def _numbers(measures: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    return {
        f"{metric} {group}": run_records.number(value)
        for metric, values in measures.items()
        for group, value in values.items()
    }


def entry_row(entry: Entry) -> list[Any]:
    """A number under ``HEADER``."""
    metric, group = entry.metric.split(" ")
    beside = entry.baseline
    told = [None] * 6
    if beside is not None:
        told = [beside.difference, beside.low, beside.high, beside.p_value, beside.p_holm, beside.units]
    return [*entry.place, metric, group, entry.mean, entry.standard_error, entry.seeds, *told]


def save(directory: Path, payload: Mapping[str, Any], entries: Sequence[Entry]) -> None:
    """Write all averages as CSV, those shown as LaTeX, every number as JSON, and a figure for each place."""
    from figures import collapse_by_group, style

    found = pages(entries, SHOWN)
    lines = [[*place, *line] for place, rows in found.items() for line in rows]
    rows = [entry_row(entry) for entry in entries if entry.place.held_out == AVERAGE]
    save_result(
        directory, NAME, payload, HEADER, rows, page=(("dataset", "setting", "", "group", *SHOWN.values()), lines)
    )
    averages = [row for row in payload["entries"] if row["held_out"] == AVERAGE]
    for number, place in enumerate(found):
        here = [row for row in averages if (row["dataset"], row["setting"]) == place]
        drawn = collapse_by_group.figure(here, metrics=SHOWN, title=", ".join(filter(None, place)))
        style.save(drawn, directory / (NAME if len(found) == 1 else f"{NAME}_{number + 1}"))


def show(command: Measure, payload: Mapping[str, Any], entries: Sequence[Entry]) -> None:
    """Print the shown metrics, a row for every algorithm and group with one."""
    print(command.command_line())
    for shown in (COLLAPSE, PROTOTYPES):
        for place, lines in pages(entries, shown).items():
            print_table(", ".join(filter(None, place)), ("", "group", *shown.values()), lines)
    counted = f"{payload['runs']} runs; samples: {', '.join(payload['split'])}"
    print(f"{counted}. Means over held-out domains, then over seeds, ± their standard error; every class counts alike.")
    if command.baseline:
        print(f"* differs from {command.baseline} (paired {command.test} test, Holm over the column of a group, 0.05).")
    if payload["skipped"]:
        print(f"Left out{run_records.words(payload['skipped'])}.")
    print("In --out too: every metric, differences with intervals; in its JSON and --json every held-out domain.")


def pages(entries: Sequence[Entry], shown: Mapping[str, str]) -> dict[tuple[str, str], list[list[str]]]:
    """For every data set and setting the averages of the metrics shown: algorithm, group, words; groups together."""
    found: dict[tuple[str, str], list[list[str]]] = {}
    averages = [entry for entry in entries if entry.place.held_out == AVERAGE]
    for place in dict.fromkeys((entry.place.dataset, entry.place.setting) for entry in averages):
        here = {(e.place.algorithm, *reversed(e.metric.split(" "))): e for e in averages if e.place[:2] == place}
        rows = list(dict.fromkeys((algorithm, group) for algorithm, group, metric in here if metric in shown))
        if any(group in GROUPS for _, group in rows):
            rows = [row for row in rows if row[1] != "minority"]  # a shot group, or two of them
        words = {row: [_words(here.get((*row, metric))) for metric in shown] for row in sorted(rows, key=_order(rows))}
        if lines := [[*row, *line] for row, line in words.items() if any(line)]:
            found[place] = lines
    return found


def _order(rows: Sequence[tuple[str, str]]) -> Any:
    """Groups together, each with the algorithms in their order."""
    groups, algorithms = (list(dict.fromkeys(row[i] for row in rows)) for i in (1, 0))
    return lambda row: (groups.index(row[1]), algorithms.index(row[0]))


def _words(entry: Entry | None) -> str:
    if entry is None or entry.seeds == 0:
        return ""
    star = " *" if entry.baseline is not None and entry.baseline.significant else ""
    spread = f" ± {entry.standard_error:.2g}" if entry.seeds > 1 else ""
    return f"{cell(entry.mean)}{spread}{star}"
