"""Bound terms of many runs: which runs there are, each one's terms (kept in its directory), all as one table.

A run's terms are kept twice: whole in ``RUN/results/bound.json``, as ``tailgeom report`` keeps and reads them, and as
named columns in ``RUN/results/bound_columns.json``, which is found again without opening any features.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from experiments.table.records import Run, read_records
from geometry.atomic import plain, read_json, readable_directory, write_json
from geometry.errors import DataError, TailgeomError

COLUMNS = "bound_columns.json"
READ_BY_STUDIES_ALONE = ("predictive.py", "run_table.py", "run_clusters.py", "model_permutation.py")
Record = dict[str, Any]
Key = Callable[[Path], Record]


@dataclass(frozen=True)
class Found:
    """The runs of a study.

    Attributes:
        runs: finished ones, each once.
        skipped: how many others there are, by the reason in words.
    """

    runs: tuple[Run, ...]
    skipped: dict[str, int]


def find_runs(paths: Sequence[Path]) -> Found:
    """The finished runs in run directories, sweeps and folders of them.

    Raises:
        DataError: a path holds none of them.
    """
    records = read_records(paths)
    skipped: Counter[str] = Counter()
    for states in records.states.values():
        skipped["failed"] += states.get("failed", 0)
        skipped["not finished"] += states.get("missing", 0)
    runs: dict[Path, Run] = {}
    for run in records.runs:
        place = run.path.resolve()
        if place in runs:
            skipped["the same run under another name"] += 1
        elif not (readable_directory(run.path / "checkpoint").exists() or (run.path / "artifact").exists()):
            skipped["without checkpoint and artifact"] += 1
        else:
            runs[place] = run
    return Found(tuple(runs.values()), {reason: count for reason, count in skipped.items() if count})


def model_names(runs: Sequence[Run]) -> tuple[str, ...]:
    """The row of each run in the table, with its draw, or its hyper-parameters by number where they differ alone."""
    if any(run.draw for run in runs):
        return tuple(f"{run.place.algorithm}, draw {run.draw}" for run in runs)
    options: dict[str, list[str]] = {}
    for run in runs:
        known = options.setdefault(run.place.algorithm, [])
        if run.hyperparameters not in known:
            known.append(run.hyperparameters)
    places = Counter((run.place, run.seed) for run in runs)
    if not places or max(places.values()) == 1:
        return tuple(run.place.algorithm for run in runs)
    return tuple(f"{r.place.algorithm}, {options[r.place.algorithm].index(r.hyperparameters) + 1}" for r in runs)


def columns_of(
    runs: Sequence[Run],
    analyse: Callable[[Sequence[Path]], Iterator[tuple[Path, Record | str]]],
    made_from: Key,
    *,
    jobs: int,
    progress: Callable[[int, int, str], None],
) -> dict[Path, Record | str]:
    """Every run's columns, or the sentence that says why it has none.

    Args:
        runs: the runs.
        analyse: makes the records of the runs on one split, one after the other.
        made_from: what decides a run's numbers; a kept record with the same is used again.
        jobs: processes; -1 is one a core.
        progress: told the runs done, all of them, and what is going on.
    """
    import joblib

    found: dict[Path, Record | str] = {}
    for run in runs:
        kept = kept_record(run.path, made_from(run.path))
        if kept is not None:
            found[run.path] = kept
    groups: dict[str, list[Path]] = {}
    for run in runs:
        if run.path not in found:
            groups.setdefault(split_key(run.path), []).append(run.path)
    progress(len(found), len(runs), f"{len(found)} known")
    if not groups:
        return found
    work = (joblib.delayed(_listed)(analyse, group) for group in groups.values())
    with joblib.parallel_config(backend="loky", n_jobs=min(jobs, len(groups)), inner_max_num_threads=1):
        for done in joblib.Parallel(return_as="generator_unordered", batch_size=1)(work):
            found |= dict(done)
            progress(len(found), len(runs), "")
    return found


def _listed(
    analyse: Callable[[Sequence[Path]], Iterator[tuple[Path, Record | str]]], group: Sequence[Path]
) -> list[tuple[Path, Record | str]]:
    import torch

    torch.set_num_threads(1)
    return list(analyse(group))


def kept_record(path: Path, made_from: Record) -> Record | None:
    """The record kept in a run's directory, while what it was made from is the same."""
    try:
        kept = read_json(path / "results" / COLUMNS)
    except DataError:
        return None
    return kept if isinstance(kept, dict) and kept.get("made_from") == made_from else None


def keep_record(path: Path, record: Record) -> Record:
    """Keep a record, and give it back as it will be read."""
    write_json(path / "results" / COLUMNS, record)
    return dict(plain(record))


def identity(path: Path) -> Record:
    """What a run's artifact is made from: its checkpoint's bytes, or the sizes and times of the files it reads."""
    from experiments.runs import RunDirectory

    inside = path / "artifact"
    if (inside / "manifest.json").exists():
        return {"artifact": _stamps(inside)}
    selected = readable_directory(path / "checkpoint") / "selected.safetensors"
    digest = hashlib.sha256(selected.read_bytes()).hexdigest() if selected.exists() else None
    features = RunDirectory(path).config().get("features")
    return {"checkpoint": digest, "features": _stamps(Path(features)) if features else None}


@cache
def code_digest() -> str:
    """A digest of the code that decides the numbers, so that they outlive no correction, but a commit elsewhere."""
    import scipy
    import sklearn

    import geometry

    root = Path(geometry.__file__).parent
    names = ("artifact.py", "intervals.py", "shots.py", "bound/**/*.py")
    files = [file for name in names for file in sorted(root.glob(name)) if file.name not in READ_BY_STUDIES_ALONE]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    return hashlib.sha256(f"{np.__version__} {scipy.__version__} {sklearn.__version__} {text}".encode()).hexdigest()


def _stamps(path: Path) -> list[list[Any]]:
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def split_key(path: Path) -> str:
    """The same for runs whose features are the same samples in the same parts; the run itself where it has its own."""
    from experiments.runs import RunDirectory

    if (path / "artifact" / "manifest.json").exists():
        return str(path)
    config = RunDirectory(path).config()
    return repr((config.get("features"), config.get("data"), None if config.get("features") else str(path)))


def table_rows(directory: Path, name: str) -> list[dict[str, Any]] | None:
    """The rows of ``name.csv`` beside ``name.json``, None where a kill left it older than that."""
    table, result = directory / f"{name}.csv", directory / f"{name}.json"
    if not table.exists() or not result.exists() or table.stat().st_mtime_ns < result.stat().st_mtime_ns:
        return None
    with table.open(encoding="utf-8", newline="") as text:
        return [dict(row) for row in csv.DictReader(text)]


def attempt(make: Callable[[Path], Record], path: Path) -> Record | str:
    """A run's record, or the sentence of the error that it met."""
    try:
        return make(path)
    except (TailgeomError, OSError) as error:
        return " ".join(str(error).split())


def number(value: Any) -> float:
    """A number of a table or of JSON; NaN where it is empty."""
    return np.nan if value in (None, "") else float(value)
