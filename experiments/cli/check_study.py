"""``tailgeom check`` over many runs: every run's verdicts, and the claims that are about algorithms."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments import run_records
from experiments.cli.check import HEADER, Check, complain, could_run, describe, verdict_row
from experiments.cli.output import emit_json, print_table, save_result
from experiments.cli.study import open_study
from experiments.table.records import Run
from geometry.atomic import plain, write_csv
from geometry.checks import CHECKS, run_checks
from geometry.checks.across_runs import STUDY_CHECKS, RunSummary, run_study_checks, summarise
from geometry.checks.across_runs.summary import OUTCOMES, Place
from geometry.errors import DataError

NAME = "check_study"
ALL_MODELS = "all models"
COUNT_HEADER = (
    "dataset", "setting", "model", "check", "subject", "holds", "undecided", "does not hold", "median", "runs",
)  # fmt: skip
RUN_HEADER = ("dataset", "setting", "held_out", "model", "seed", "path", *HEADER)
GAIN_LABELS = {
    "minority_gain": ("gain in accuracy on few-shot classes of the target", "better"),
    "margin_remedy": ("by how much the slope of margins over log10 n is smaller", "better"),
    "dominance": ("gain over the same negatives in the denominator", "outcome"),
    "prediction_space": ("gain over the same terms on features", "outcome"),
}


def run_study(command: Check) -> int:
    """Judge, print and save."""
    found, records = open_study(command, _record, made_from, file=run_records.CHECK_RECORD)
    if len({tuple(records[run.path]["classes"]) for run in found.runs}) > 1:
        raise DataError("Expected runs of the same classes in one study; make one study each.")
    names = run_records.model_names(found.runs)
    summaries = [summary_of(records[run.path]["summary"], name) for run, name in zip(found.runs, names, strict=True)]
    chosen = tuple(name for name in STUDY_CHECKS if not command.checks or name in command.checks)
    across = run_study_checks(summaries, names=chosen, seed=command.seed)
    single = [(run, name, records[run.path]["verdicts"]) for run, name in zip(found.runs, names, strict=True)]
    payload = {
        "command": command.command_line(),
        "settings": command.settings(),
        "skipped": found.skipped,
        "runs": len(found.runs),
        "across_runs": plain(across),
        "single_runs": counted(single),
    }
    if command.out is not None:
        save(command.out, payload, single, summaries)
    if command.json:
        emit_json(payload)
    else:
        show(command, payload, across)
    return complain({name: deciding(name, across, single) for name in command.require})


def deciding(
    check: str, across: Sequence[Any], single: Sequence[tuple[Run, str, Sequence[Mapping[str, Any]]]]
) -> list[tuple[str, str, bool]]:
    """Every verdict of a check, with its note and whether it could be run; of single runs those are kept that could."""
    if check in STUDY_CHECKS:
        return [(v.verdict, v.note, could_run(v)) for v in across if v.check == check]
    found = [(v["verdict"], v["note"], True) for _, _, verdicts in single for v in verdicts if v["check"] == check]
    return found or [("undecided", "no run has what it needs; tailgeom check RUN --all says what that is", False)]


def made_from(command: Check, path: Path) -> run_records.Record:
    """What decides a run's record."""
    code = run_records.code_digest("**/*.py")
    return dict(plain(run_records.identity(path) | {"settings": command.settings(), "code": code}))


def _record(command: Check, path: Path) -> run_records.Record:
    from experiments.composition import artifact_of

    artifact = artifact_of(path)
    chosen = tuple(name for name in CHECKS if not command.checks or name in command.checks)
    verdicts = run_checks(
        artifact, names=chosen, split=command.split or None, resamples=command.resamples, seed=command.seed
    )
    kept = [plain(replace(verdict, details={})) for verdict in verdicts if could_run(verdict)]
    return {"classes": artifact.class_names, "summary": plain(summarise(artifact)), "verdicts": kept}


def summary_of(kept: Mapping[str, Any], variant: str) -> RunSummary:
    """A :class:`RunSummary` as a record keeps it, under the name that the study has for it."""
    outcomes = {name: run_records.number(kept["outcomes"].get(name)) for name in OUTCOMES}
    place = Place(*kept["place"])
    return RunSummary(place, kept["algorithm"], kept["options"], kept["rest"], outcomes, variant)


def counted(single: Sequence[tuple[Run, str, Sequence[Mapping[str, Any]]]]) -> list[dict[str, Any]]:
    """For every setting, model and claim: how many runs say what, and the median of the number that decides.

    Where there are several models, the sums over them come last, as one more model of each setting.
    """
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    sums: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for run, model, verdicts in single:
        for verdict in verdicts:
            place, claim = (run.place.dataset, run.place.setting), (verdict["check"], verdict["subject"])
            groups.setdefault((*place, model, *claim), []).append(verdict)
            sums.setdefault((*place, ALL_MODELS, *claim), []).append(verdict)
    if len({model for _, model, _ in single}) > 1:
        groups |= sums
    rows = []
    for key, members in groups.items():
        numbers = [run_records.number(v["estimate"]["estimate"]) for v in members]
        known = [value for value in numbers if np.isfinite(value)]
        count = {name: sum(v["verdict"] == name for v in members) for name in ("holds", "undecided", "does not hold")}
        middle = float(np.median(known)) if known else None
        named = dict(zip(COUNT_HEADER, key, strict=False))
        rows.append({**named, **count, "median": middle, "runs": len(members)})
    return rows


def save(
    directory: Path,
    payload: dict[str, Any],
    single: Sequence[tuple[Run, str, Sequence[Mapping[str, Any]]]],
    summaries: Sequence[RunSummary],
) -> None:
    """Write both kinds of verdict as JSON, CSV and LaTeX, counts and outcomes of the runs, and the figures."""
    from figures import paired_gains, style, verdict_matrix

    save_result(directory, NAME, payload, HEADER, [verdict_row(verdict) for verdict in payload["across_runs"]])
    rows = [
        [run.place.dataset, run.place.setting, run.place.held_out, model, run.seed, run.path, *verdict_row(verdict)]
        for run, model, verdicts in single
        for verdict in verdicts
    ]
    write_csv(directory / f"{NAME}_single_runs.csv", RUN_HEADER, rows)
    counts = [[row[name] for name in COUNT_HEADER] for row in payload["single_runs"]]
    write_csv(directory / f"{NAME}_counts.csv", COUNT_HEADER, counts)
    write_csv(
        directory / f"{NAME}_outcomes.csv",
        (*Place._fields, "model", *OUTCOMES),
        [[*summary.place, summary.name, *(summary.outcomes[name] for name in OUTCOMES)] for summary in summaries],
    )
    for check, (label, by) in GAIN_LABELS.items():
        members = [v for v in payload["across_runs"] if v["check"] == check and _has_gain(v)]
        if members:
            style.save(paired_gains.figure(members, label=label, by=by), directory / check)
    models: dict[str, list[Sequence[Mapping[str, Any]]]] = {}
    for _, model, verdicts in single:
        if verdicts:
            models.setdefault(model, []).append(verdicts)
    if models:
        style.save(verdict_matrix.figure(models), directory / "verdict_matrix")


def _has_gain(verdict: Mapping[str, Any]) -> bool:
    """Whether there is a gain to draw: a single pair of runs has none with an interval, and may have none at all."""
    gain = verdict["details"].get("gain")
    return gain is not None and np.isfinite(run_records.number(gain["interval"]["estimate"]))


def show(command: Check, payload: Mapping[str, Any], across: Sequence[Any]) -> None:
    """Print the claims about algorithms one by one, those about single models by how many runs they hold in."""
    ran = [verdict for verdict in across if could_run(verdict)]
    if ran:
        print_table(f"{payload['runs']} runs: claims about algorithms", *describe(ran))
    several = len({(row["dataset"], row["setting"]) for row in payload["single_runs"]}) > 1
    columns = [name for name in COUNT_HEADER[:-1] if several or name not in ("dataset", "setting")]
    rows = [[row[name] for name in columns] for row in payload["single_runs"]]
    if rows:
        print_table("claims about single models: runs by verdict", columns, rows)
    left = Counter((v.check, v.note.split(";")[0]) for v in across if not could_run(v))
    for (check, reason), count in left.items():
        print(f"not run: {check}{f' ({count} comparisons)' if count > 1 else ''}: {reason}")
    if payload["skipped"]:
        print(f"Left out{run_records.words(payload['skipped'])}.")
    print(f"{command.command_line()}; rules, notes and every number with --json or --out.")
