"""What a sweep leaves: ``sweep.json`` (plan and status) and ``results.csv`` (a row for every run that is done)."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.sweep.plan import Job, describe
from experiments.sweep.spec import Spec
from experiments.sweep.status import DONE, STATES, Outcome
from geometry.atomic import write_csv, write_json

LABELS = ("dataset", "setting", "held_out", "algorithm", "variant", "draw", "seed", "options", "train")
PARTS = ("validation", "target", "source_test")
METRICS = ("accuracy", "balanced_accuracy", "many", "medium", "few", "worst_class", "ece")
COST = ("step", "seconds", "peak_memory_mb", "data")
COLUMNS = (*LABELS, *(f"{part}_{metric}" for part in PARTS for metric in METRICS), *COST, "path")
RUNS = "runs"
# What a results.csv shows of the gradients in evaluation.json: of the run's own contrast, and of its whole loss.
GRADIENT_FORMS = {"own": "gradient_", "loss": "loss_gradient_"}
GRADIENT_NUMBERS = (
    "few_share", "few_anchors", "few_zero", "medium_share", "medium_anchors", "many_share", "many_anchors", "many_zero",
    "amplification", "amplification_raw",
)  # fmt: skip
GRADIENTS = tuple(f"{prefix}{name}" for prefix in GRADIENT_FORMS.values() for name in GRADIENT_NUMBERS)


def counts(found: Mapping[str, Outcome]) -> dict[str, int]:
    """Runs planned, and how many of them are in every state."""
    states = Counter(outcome.state for outcome in found.values())
    return {"planned": len(found)} | {state: states[state] for state in STATES}


def columns(jobs: Sequence[Job]) -> tuple[str, ...]:
    """Those of results.csv: :data:`COLUMNS`, and :data:`GRADIENTS` where they are kept."""
    return (*COLUMNS, *GRADIENTS) if any("gradients" in job.keep for job in jobs) else COLUMNS


def result_rows(jobs: Sequence[Job], found: Mapping[str, Outcome]) -> list[list[Any]]:
    """A row of :func:`columns` for every job that is done, in the order of the plan."""
    rows, wide = [], columns(jobs) != COLUMNS
    for job in jobs:
        numbers = found[job.digest].numbers
        if found[job.digest].state != DONE or numbers is None:
            continue
        labels = job.labels()
        metrics = [numbers["parts"].get(part, {}).get(metric) for part in PARTS for metric in METRICS]
        written = [json.dumps(value) if isinstance(value, dict) else value for value in map(labels.get, LABELS)]
        forms = [numbers.get("gradients", {}).get(form, {}) for form in GRADIENT_FORMS] if wide else []
        more = [form.get(name) for form in forms for name in GRADIENT_NUMBERS]
        rows.append([*written, *metrics, *(numbers[name] for name in COST), f"{RUNS}/{job.name}", *more])
    return rows


def plan_rows(jobs: Sequence[Job], found: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """Every job with its state and its directory, as plain values."""
    return [
        {
            "path": f"{RUNS}/{job.name}",
            "status": found[job.digest].state,
            **job.labels(),
            "error": found[job.digest].error,
        }
        for job in jobs
    ]


def write_results(
    out: Path, spec: Spec, jobs: Sequence[Job], found: Mapping[str, Outcome], inputs: Mapping[str, str]
) -> None:
    """Write ``sweep.json`` and ``results.csv``, each whole or not at all.

    Args:
        out: the sweep's directory.
        spec: of the sweep.
        jobs: its plan.
        found: how every run stands.
        inputs: SHA-256 of the feature files that the runs read, by path.
    """
    payload = {"name": spec.name, "spec": describe(spec), "counts": counts(found), "inputs": dict(inputs)}
    write_json(out / "sweep.json", {**payload, "runs": plan_rows(jobs, found)})
    write_csv(out / "results.csv", columns(jobs), result_rows(jobs, found))
