"""What an analysis keeps of many runs: which runs there are, and one record of each in its own directory.

A record is found again, without opening any features, as long as what decides its numbers is the same: the run's
checkpoint, the settings and the code.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from experiments.sweep.status import PROBES
from experiments.table.records import Run, read_records
from geometry.atomic import plain, read_json, readable_directory, write_json
from geometry.errors import DataError, TailgeomError

# What the studies keep in RUN/results.
CHECK_RECORD, BOUND_RECORD, MEASURE_RECORD = "check_study.json", "bound_columns.json", "measure_study.json"
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


def find_runs(paths: Sequence[Path], only: Sequence[str] = ()) -> Found:
    """The finished runs in run directories, sweeps and folders of them; ``only`` some (see ``read_records``).

    Raises:
        DataError: a path holds none of them.
    """
    records = read_records(paths, only)
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


def records_of(
    runs: Sequence[Run],
    make: Callable[[Path], Record],
    made_from: Key,
    *,
    file: str,
    jobs: int,
    progress: Callable[[int, int, str], None],
) -> dict[Path, Record | str]:
    """Every run's record, or the sentence that says why it has none.

    Args:
        runs: the runs.
        make: makes the record of a run; called for the runs on one split one after the other.
        made_from: what decides a run's numbers; a kept record with the same is used again.
        file: name that records are kept under, in ``RUN/results``.
        jobs: processes; 0 is one a core.
        progress: told the runs done, all of them, and what is going on.
    """
    import joblib

    found: dict[Path, Record | str] = {}
    for run in runs:
        kept = kept_record(run.path / "results" / file, made_from(run.path))
        if kept is not None:
            found[run.path] = kept
    groups: dict[str, list[Path]] = {}
    for run in runs:
        if run.path not in found:
            groups.setdefault(split_key(run.path), []).append(run.path)
    progress(len(found), len(runs), f"{len(found)} known")
    if not groups:
        return found
    work = (joblib.delayed(_made)(make, made_from, file, group) for group in groups.values())
    jobs = jobs or int(joblib.cpu_count())
    with joblib.parallel_config(backend="loky", n_jobs=min(jobs, len(groups)), inner_max_num_threads=1):
        for done in joblib.Parallel(return_as="generator_unordered", batch_size=1)(work):
            found |= dict(done)
            progress(len(found), len(runs), "")
    return found


def _made(
    make: Callable[[Path], Record], made_from: Key, file: str, group: Sequence[Path]
) -> list[tuple[Path, Record | str]]:
    """The records of the runs on one split, each kept as soon as it is made."""
    import torch

    torch.set_num_threads(1)
    found: list[tuple[Path, Record | str]] = []
    for path in group:
        try:
            record = dict(plain({"made_from": made_from(path), **make(path)}))
            write_json(path / "results" / file, record)
        except (TailgeomError, OSError) as error:
            found.append((path, " ".join(str(error).split())))
        else:
            found.append((path, record))
    return found


def kept_record(file: Path, made_from: Record) -> Record | None:
    """The record kept in a file, while what it was made from is the same."""
    try:
        kept = read_json(file)
    except DataError:
        return None
    return kept if isinstance(kept, dict) and kept.get("made_from") == made_from else None


def complete(found: Found, records: Mapping[Path, Record | str], say: Callable[[str], None]) -> Found:
    """The runs that have a record; those without are told one by one and counted.

    Args:
        found: the runs.
        records: by path; the sentence of its error for a run without.
        say: told every such sentence.
    """
    broken = {path: record for path, record in records.items() if isinstance(record, str)}
    for path, sentence in broken.items():
        say(f"{path}: {sentence}")
    skipped = found.skipped | ({"could not be analysed": len(broken)} if broken else {})
    return Found(tuple(run for run in found.runs if run.path not in broken), skipped)


def words(skipped: Mapping[str, int]) -> str:
    """What was left out, in words.

    >>> words({"failed": 2, "not finished": 1})
    ': 2 failed, 1 not finished'
    """
    return ": " + ", ".join(f"{count} {reason}" for reason, count in skipped.items()) if skipped else ""


def identity(path: Path) -> Record:
    """What a run's artifact is made from: its checkpoint's bytes, or the sizes and times of the files it reads."""
    from experiments.runs import RunDirectory

    inside = path / "artifact"
    if (inside / "manifest.json").exists():
        return {"artifact": _stamps(inside)}
    selected = readable_directory(path / "checkpoint") / "selected.safetensors"
    digest = hashlib.sha256(selected.read_bytes()).hexdigest() if selected.exists() else None
    features = RunDirectory(path).config().get("features")
    found: Record = {"checkpoint": digest, "features": _stamps(Path(features)) if features else None}
    probes = path / PROBES
    return found | {"probes": hashlib.sha256(probes.read_bytes()).hexdigest()} if probes.exists() else found


@cache
def code_digest(*files: str) -> str:
    """A digest of the code that decides the numbers, so that they outlive no correction, but a commit elsewhere.

    Args:
        *files: patterns of the modules that do, inside ``geometry``.
    """
    import scipy
    import sklearn

    import geometry

    root = Path(geometry.__file__).parent
    names = ("artifact.py", "intervals.py", "shots.py", *files)
    modules = [file for name in names for file in sorted(root.glob(name)) if file.name not in READ_BY_STUDIES_ALONE]
    text = "".join(file.read_text(encoding="utf-8") for file in modules)
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


def number(value: Any) -> float:
    """A number of a table or of JSON; NaN where it is empty."""
    return np.nan if value in (None, "") else float(value)
