"""One wide table: what each algorithm's runs score, how their geometry looks, their bound terms and their verdicts.

The numbers are those that ``tailgeom check RUNS`` and ``tailgeom bound RUNS`` keep in every run's ``results``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.run_records import BOUND_RECORD, CHECK_RECORD, number
from experiments.table.records import Run
from geometry.atomic import read_json
from geometry.errors import DataError

OUTCOME, TERM, VERDICT = "outcome", "bound term", "verdict"
HOLDS = {"holds": 1.0, "undecided": 0.5, "does not hold": 0.0}

# What the page shows, under short heads; the CSV has everything.
SHOWN: Mapping[tuple[str, str], str] = {
    (OUTCOME, "target_balanced_accuracy"): "balanced",
    (OUTCOME, "target_few"): "few",
    (OUTCOME, "target_ece"): "ECE",
    (OUTCOME, "feature_fc"): "FC",
    (OUTCOME, "feature_ms"): "MS",
    (OUTCOME, "feature_sd"): "SD",
    (OUTCOME, "features_to_simplex"): "features to simplex",
    (OUTCOME, "features_to_optimum"): "features to optimum",
    (OUTCOME, "prediction_nc1"): "NC1",
    (OUTCOME, "predictions_to_simplex"): "to simplex",
    (OUTCOME, "predictions_to_optimum"): "to optimum",
    (OUTCOME, "few_cosine"): "few cosine",
    (OUTCOME, "margin_slope"): "margin slope",
    (TERM, "balanced risk, sources"): "source risk",
    (TERM, "mean margin (geometric), sources"): "margin",
    (TERM, "posterior discrepancy (TV), sources"): "posterior TV",
    (TERM, "proxy A-distance (class-balanced), target | sources"): "A-distance",
}
NOTE = (
    "Wide table: means over held-out domains and seeds. NC1, distances (relative Gram errors) to the simplex and the "
    "certified contrastive optimum for the training counts, and the mean cosine of few-shot classes are of "
    "predictions on training samples; FC, MS and SD (our reading of ECL's equilibrium metrics) are of features. "
    "Margin slope is that of the median margin over log10 of the class count. What all rows share, as the features of "
    "a frozen backbone, is left out. Verdicts are runs that hold / are undecided / do not hold."
)


@dataclass(frozen=True)
class Cell:
    """One number of one row.

    Attributes:
        dataset: name.
        setting: imbalance setting.
        algorithm: row.
        kind: outcome, bound term or verdict.
        name: of the number; of a verdict, check and subject.
        mean: over runs with a defined value; of verdicts, with 1 for holds, 1/2 for undecided and 0 for does not hold.
        deviation: standard deviation over them; NaN for one.
        runs: with a defined value.
        counts: of a verdict, runs that hold, are undecided, do not hold.
    """

    dataset: str
    setting: str
    algorithm: str
    kind: str
    name: str
    mean: float
    deviation: float
    runs: int
    counts: tuple[int, int, int] | None = None


def wide_table(runs: Sequence[Run]) -> list[Cell]:
    """Every kept number of every row, averaged over its runs: of verdicts, of bound terms, or of both.

    Args:
        runs: one for each place and seed.

    Raises:
        DataError: no run has either, or one lacks what others have.
    """
    studies = {file: command for file, command in _RECORDS.items() if any(_kept(run, file).exists() for run in runs)}
    found: dict[tuple[str, str, str, str, str], list[float]] = {}
    for run in runs:
        for kind, name, value in _numbers(run, studies or _RECORDS):
            found.setdefault((*run.place[:2], run.place.algorithm, kind, name), []).append(value)
    return [_cell(key, np.array(values, dtype=np.float64)) for key, values in found.items()]


def in_words(cells: Sequence[Cell]) -> list[tuple[str, tuple[str, ...], list[list[str]]]]:
    """Title, header and lines of the page's tables, for every data set and setting: numbers, then verdicts."""
    tables = []
    for place in dict.fromkeys((cell.dataset, cell.setting) for cell in cells):
        here = {(c.algorithm, c.kind, c.name): c for c in cells if (c.dataset, c.setting) == place}
        rows = list(dict.fromkeys(algorithm for algorithm, _, _ in here))
        title = ", ".join(place)
        columns = {head: [_shown(here.get((row, *key))) for row in rows] for key, head in SHOWN.items()}
        told = {head: column for head, column in columns.items() if len(rows) < 2 or len(set(column)) > 1}
        lines = [list(line) for line in zip(rows, *told.values(), strict=True)]
        tables.append((f"{title}: geometry and bound terms", ("", *told), lines))
        claims = list(dict.fromkeys(name for _, kind, name in here if kind == VERDICT))
        if claims:
            judged = [[row, *(_shown(here.get((row, VERDICT, claim))) for claim in claims)] for row in rows]
            tables.append((f"{title}: verdicts", ("", *claims), judged))
    return tables


def _numbers(run: Run, studies: Mapping[str, str]) -> list[tuple[str, str, float]]:
    found = {file: _record(run, file, command) for file, command in studies.items()}
    checked, bounded = (found.get(file, {}) for file in (CHECK_RECORD, BOUND_RECORD))
    summary = checked.get("summary", {}).get("outcomes", {})
    outcomes = [(OUTCOME, name, number(value)) for name, value in summary.items()]
    terms = [(TERM, name, number(column[0])) for name, column in bounded.get("columns", {}).items()]
    verdicts = [(VERDICT, _claim(verdict), HOLDS[verdict["verdict"]]) for verdict in checked.get("verdicts", ())]
    return outcomes + terms + verdicts


_RECORDS = {CHECK_RECORD: "check", BOUND_RECORD: "bound"}


def _kept(run: Run, file: str) -> Path:
    return run.path / "results" / file


def _record(run: Run, file: str, command: str) -> dict[str, Any]:
    path = _kept(run, file)
    if not path.exists():
        raise DataError(f"Expected {path} for the wide table; run `tailgeom {command}` on these runs first.")
    found = read_json(path)
    assert isinstance(found, dict)
    return found


def _claim(verdict: Mapping[str, Any]) -> str:
    name = str(verdict["check"]).replace("_", " ")
    return f"{name}: {verdict['subject']}" if verdict["subject"] else name


def _cell(key: tuple[str, str, str, str, str], values: np.ndarray) -> Cell:
    known = values[np.isfinite(values)]
    deviation = float(known.std(ddof=1)) if known.size > 1 else math.nan
    sums = tuple(int((known == score).sum()) for score in HOLDS.values())
    counts = (sums[0], sums[1], sums[2]) if key[3] == VERDICT else None
    return Cell(*key, float(known.mean()) if known.size else math.nan, deviation, int(known.size), counts)


def _shown(cell: Cell | None) -> str:
    if cell is None or cell.runs == 0:
        return "–"
    if cell.counts is not None:
        return "/".join(map(str, cell.counts))
    return f"{cell.mean:.3g}"
