"""What a sweep leaves: ``sweep.json`` (plan and status) and ``results.csv`` (a row for every run that is done)."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.data.splits import UNLABELLED
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
# What it shows of unlabelled samples: the accuracy of their pseudo-labels as that of any part, and more of each group.
PSEUDO = "pseudo_labels"
PSEUDO_WHOLE, PSEUDO_GROUPS = ("total_variation", "kept_total_variation"), ("all", "many", "medium", "few")
PSEUDO_NUMBERS = ("kept", "kept_accuracy", "true_share", "predicted_share", "kept_predicted_share")
UNLABELLED_COLUMNS = (
    *(f"{UNLABELLED}_{metric}" for metric in METRICS),
    *(f"pseudo_{name}" for name in PSEUDO_WHOLE),
    *(f"pseudo_{group}_{name}" for group in PSEUDO_GROUPS for name in PSEUDO_NUMBERS),
)


def counts(found: Mapping[str, Outcome]) -> dict[str, int]:
    """Runs planned, and how many of them are in every state."""
    states = Counter(outcome.state for outcome in found.values())
    return {"planned": len(found)} | {state: states[state] for state in STATES}


def columns(jobs: Sequence[Job]) -> tuple[str, ...]:
    """Those of results.csv: :data:`COLUMNS`, and what is only there where gradients are kept or labels withheld."""
    gradients = GRADIENTS if any("gradients" in job.keep for job in jobs) else ()
    return COLUMNS + gradients + (UNLABELLED_COLUMNS if any(job.config.data.labels for job in jobs) else ())


def result_rows(jobs: Sequence[Job], found: Mapping[str, Outcome]) -> list[list[Any]]:
    """A row of :func:`columns` for every job that is done, in the order of the plan."""
    rows, wanted = [], columns(jobs)
    for job in jobs:
        numbers = found[job.digest].numbers
        if found[job.digest].state != DONE or numbers is None:
            continue
        labels = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in job.labels().items()}
        row = labels | _metrics(numbers) | {name: numbers[name] for name in COST} | {"path": f"{RUNS}/{job.name}"}
        rows.append([row.get(name) for name in wanted])
    return rows


def _metrics(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Every number of a run by the name of its column."""
    parts, gradients, pseudo = (numbers.get(name, {}) for name in ("parts", "gradients", PSEUDO))
    found = {f"{part}_{name}": value for part, metrics in parts.items() for name, value in metrics.items()}
    for form, prefix in GRADIENT_FORMS.items():
        found |= {f"{prefix}{name}": value for name, value in gradients.get(form, {}).items()}
    found |= {f"pseudo_{name}": pseudo.get(name) for name in PSEUDO_WHOLE}
    for group, row in pseudo.get("groups", {}).items():
        found |= {f"pseudo_{group}_{name}": row[name] for name in PSEUDO_NUMBERS}
    return found


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
