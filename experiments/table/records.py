"""What was run: the numbers of every finished run, and how many were planned, failed or are missing."""

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from experiments.runs import RunDirectory
from geometry.atomic import read_json
from geometry.errors import DataError, UsageError

STATES = ("done", "failed", "missing")
AXES = ("dataset", "setting", "held_out", "algorithm", "seed")
WORDS = ("dataset", "setting", "held_out", "algorithm", "variant", "draw", "seed", "options", "train", "path", "data")


class Place(NamedTuple):
    """A cell of a table: one row's results on one held-out domain."""

    dataset: str
    setting: str
    held_out: str
    algorithm: str


@dataclass(frozen=True)
class Run:
    """One finished run.

    Attributes:
        place: data set, setting, held-out domain and row of the table (the sweep's variant, or the algorithm).
        draw: number of the hyper-parameter draw.
        seed: of the run.
        hyperparameters: what the draw stands for, as text.
        numbers: metrics by name, such as ``target_accuracy``, and ``seconds``, ``peak_memory_mb``; NaN if undefined.
        split: digest of data and split, or empty when not known.
        path: the run's directory.
    """

    place: Place
    draw: int
    seed: int
    hyperparameters: str
    numbers: Mapping[str, float]
    split: str
    path: Path

    def number(self, name: str) -> float:
        """A metric, NaN where the run has none of that name."""
        return self.numbers.get(name, float("nan"))


@dataclass(frozen=True)
class Records:
    """All that was found.

    Attributes:
        runs: the finished ones.
        states: runs of each place by state: done, failed, missing.
        unfinished: hyper-parameter draws that are still missing, by place and seed, where more than one was planned.
        errors: the sentence of each failed run, by its path.
    """

    runs: tuple[Run, ...]
    states: Mapping[Place, Mapping[str, int]]
    errors: Mapping[str, str]
    unfinished: Mapping[tuple[Place, int], int] = field(default_factory=dict)


def read_records(paths: Iterable[Path], only: Sequence[str] = ()) -> Records:
    """Read sweeps, ``results.csv`` files, runs, and folders of any of these.

    Args:
        paths: where they are.
        only: ``name=value`` for a name of :data:`AXES`; runs with one of the values given for every name are read.

    Raises:
        DataError: a path holds none of them, or a file is broken.
        UsageError: ``only`` is not of that form or names what no run has; a path is an artifact.
    """
    wanted, known = _wanted(only), _Known()
    runs: dict[tuple[Path, Place, int], Run] = {}  # two rows of a sweep may share one run
    states: dict[Place, dict[str, int]] = {}
    errors: dict[str, str] = {}
    planned_draws: dict[tuple[Place, int], dict[int, str]] = {}
    opened: set[Path] = set()
    for path in paths:
        for source in _sources(path):
            if source.resolve() in opened:
                continue
            opened.add(source.resolve())
            found, planned = _read_sweep(source) if source.suffix in (".csv", ".json") else _read_run(source)
            seen = {key[:2] for key in runs}
            for place, state, error, where, seed, draw in planned:
                known.add(place, seed)
                if not _is_wanted(place, seed, wanted):
                    continue
                told = planned_draws.setdefault((place, seed), {})
                told[draw] = state if told.get(draw) != "done" else "done"
                if (where.resolve(), place) in seen:
                    continue
                states.setdefault(place, dict.fromkeys(STATES, 0))[state] += 1
                if error:
                    errors[str(where)] = error
            for run in found:
                known.add(run.place, run.seed)
                if not _is_wanted(run.place, run.seed, wanted):
                    continue
                runs.setdefault((run.path.resolve(), run.place, run.draw), run)
    known.require(wanted)
    unfinished = {
        cell: missing
        for cell, draws in planned_draws.items()
        if len(draws) > 1 and (missing := sum(state == "missing" for state in draws.values()))
    }
    return Records(tuple(runs.values()), states, errors, unfinished)


Planned = tuple[Place, str, str, Path, int, int]  # where to, state, error, directory, seed, draw


def _wanted(only: Sequence[str]) -> dict[str, set[str]]:
    wanted: dict[str, set[str]] = {}
    for word in only:
        name, equals, value = word.partition("=")
        if not equals or name not in AXES:
            raise UsageError(f"Expected NAME=VALUE with a name out of {', '.join(AXES)}, got {word!r}.")
        wanted.setdefault(name, set()).add(value)
    return wanted


def _is_wanted(place: Place, seed: int, wanted: Mapping[str, set[str]]) -> bool:
    known = {**place._asdict(), "seed": seed}
    return all(str(known[name]) in values for name, values in wanted.items())


class _Known:
    """The values of every name of :data:`AXES` that the runs have, before any is left out."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {name: set() for name in AXES}

    def add(self, place: Place, seed: int) -> None:
        for name, value in {**place._asdict(), "seed": seed}.items():
            self._values[name].add(str(value))

    def require(self, wanted: Mapping[str, set[str]]) -> None:
        for name, values in wanted.items():
            known = self._values[name]
            if known and (unknown := sorted(values - known)):
                listed = ", ".join(sorted(known))
                raise UsageError(f"No run has {name}={unknown[0]}; the runs have {listed}.")


def _sources(path: Path) -> list[Path]:
    """The sweep.json, results.csv or run directories at or under a path."""
    if path.is_file() and path.suffix == ".csv":
        return [path]
    if not path.exists():
        raise DataError(f"Expected a sweep, a run or a results.csv at {path}, found nothing.")
    sweeps = sorted(path.glob("**/sweep.json"))
    inside = {sweep.parent for sweep in sweeps}
    lone = [file for file in sorted(path.glob("**/results.csv")) if file.parent not in inside]
    runs = [
        file.parent
        for file in sorted(path.glob("**/config.yaml"))
        if not inside.intersection(file.parents) and not any(part.startswith(".") for part in file.parent.parts)
    ]
    if not sweeps + lone + runs and ((path / "manifest.json").exists() or path.suffix in (".npz", ".safetensors")):
        raise UsageError(
            f"{path} is an artifact; tables and studies take runs, and `tailgeom report` sets artifacts side by side."
        )
    if not sweeps + lone + runs:
        raise DataError(f"Expected a sweep, a run or a results.csv at {path}, found none of them.")
    return sweeps + lone + runs


def _read_sweep(file: Path) -> tuple[list[Run], list[Planned]]:
    """Runs of a results.csv, and the plan beside it where there is one."""
    folder = file.parent
    table = file if file.suffix == ".csv" else folder / "results.csv"
    try:
        with table.open(encoding="utf-8", newline="") as text:
            rows = list(csv.DictReader(line for line in text if not line.startswith("#")))
        runs = [_from_row(row, folder) for row in rows]
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise DataError(f"Expected a sweep's results in {table}, cannot read them: {error}.") from error
    if file.suffix == ".csv":
        return runs, [(run.place, "done", "", run.path, run.seed, run.draw) for run in runs]
    try:
        plan = [
            (
                _place(entry),
                "missing" if entry["status"] == "running" else entry["status"],
                entry.get("error") or "",
                folder / entry["path"],
                int(entry["seed"]),
                int(entry.get("draw") or 0),
            )
            for entry in read_json(file)["runs"]
        ]
        unknown = {entry[1] for entry in plan} - {*STATES}
        if unknown:
            raise ValueError(f"unknown status {unknown.pop()!r}")
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"Expected a sweep's plan in {file}, cannot read it: {error!r}.") from error
    return runs, plan


def _place(row: Mapping[str, Any]) -> Place:
    return Place(row["dataset"], row["setting"] or "", row["held_out"] or "", row.get("variant") or row["algorithm"])


def _from_row(row: Mapping[str, str], folder: Path) -> Run:
    numbers = {name: float(text) if text else float("nan") for name, text in row.items() if name not in WORDS}
    return Run(
        place=_place(row),
        draw=int(row.get("draw") or 0),
        seed=int(row["seed"]),
        hyperparameters=" ".join(filter(None, (row.get("options"), row.get("train")))),
        numbers=numbers,
        split=row.get("data") or "",
        path=folder / (row.get("path") or ""),
    )


def _read_run(folder: Path) -> tuple[list[Run], list[Planned]]:
    """One run directory: its evaluation, or what it measured at its best checkpoint while training."""
    directory = RunDirectory(folder)
    config = directory.config()
    try:
        data, optim = config["data"], config["optim"]
        manifest = read_json(folder / "manifest.json") if (folder / "manifest.json").exists() else {}
        # What the run found out about its data goes before what was asked for: features bring their own.
        described = {**data, **{name: told for name, told in manifest.get("data", {}).items() if told}}
        place = Place(
            str(described.get("dataset", "?")),
            setting_label(*_imbalance(described)),
            str(described.get("held_out") or described.get("test_domain") or ""),
            str(optim["algorithm"]),
        )
        seed = int(data["seed"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"The configuration in {folder} is not one of this version: {error!r}.") from error
    numbers, split = _numbers(directory, manifest)
    if not directory.finished or not numbers:
        return [], [(place, "missing", "", folder, seed, 0)]
    told = {name: optim[name] for name in sorted(optim) if name not in ("algorithm", "device")}
    run = Run(place, 0, seed, json.dumps(told, sort_keys=True), numbers, split, folder)
    return [run], [(place, "done", "", folder, seed, 0)]


def setting_label(name: str, options: Sequence[str] = (), labels: int = 0) -> str:
    """A setting in words, with its options and with how many labels it keeps where not all.

    >>> setting_label("LongTail", ["ratio=50"], 5), setting_label("balanced", labels=1)
    ('LongTail(ratio=50), 5 labels', 'balanced, 1 label')
    """
    label = f"{name}({', '.join(options)})" if options else name
    return f"{label}, {labels} label{'s' * (labels > 1)}" if labels else label


def _imbalance(data: Mapping[str, Any]) -> tuple[str, Sequence[str], int]:
    """Setting, options and labels of a run's data; features that bring their split say them under ``source``."""
    known = {**(data.get("source") or {}), **data}
    return str(known.get("setting", "?")), known.get("setting_options") or (), int(known.get("labels") or 0)


def _numbers(directory: RunDirectory, manifest: Mapping[str, Any]) -> tuple[dict[str, float], str]:
    file = directory.path / "evaluation.json"
    if file.exists():
        found = read_json(file)
        numbers = {f"{part}_{name}": _float(x) for part, row in found["parts"].items() for name, x in row.items()}
        cost = {name: _float(found.get(name)) for name in ("seconds", "peak_memory_mb")}
        return numbers | cost, str(found.get("data", ""))
    rows = [row for row in directory.metrics() if row.keys() & {"validation/balanced_accuracy", "target/accuracy"}]
    if not rows:
        return {}, ""
    # A tie goes to the longer training, as in the training itself: without validation, the last checkpoint.
    best = max(rows, key=lambda row: (row.get("validation/balanced_accuracy") or -1.0, row["step"]))
    numbers = {name.replace("/", "_"): _float(value) for name, value in best.items() if "/" in name}
    return numbers | {"seconds": _float(manifest.get("seconds_since_last_start"))}, ""


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)


def metric_names(runs: Sequence[Run]) -> list[str]:
    """Every metric that a run has, in the order of first appearance."""
    return list(dict.fromkeys(name for run in runs for name, value in run.numbers.items() if math.isfinite(value)))
