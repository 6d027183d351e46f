"""Chapters: training, and the errors that came of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from figures import training_curves
from figures.report import Section, Table
from figures.story.desk import Desk

# Validation images are balanced over cells, so plain and balanced validation accuracy are the same curve.
KEYS = [key for key in training_curves.TITLES if key != "validation/accuracy"]


def training(desk: Desk) -> Section | None:
    """Curves; None for models trained elsewhere."""
    metrics = {name: model.metrics for name, model in desk.models.items() if model.metrics}
    if not metrics:
        return None
    panel = desk.panel(
        "training_curves",
        training_curves.figure(metrics, keys=KEYS),
        _caption(metrics),
        desk.study.commands.get("train", ""),
        "Training curves of every model",
    )
    text = (
        "The checkpoint that is analysed below is the one with the best balanced accuracy on validation images of the "
        "source domains; the target is never used to choose."
    )
    if any(not any("validation/accuracy" in row for row in rows) for rows in metrics.values()):
        text += " Of a run without validation images it is the last one."
    return Section("Training", [text], [panel])


def _caption(metrics: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    unlabelled = any("unlabelled/accuracy" in row for rows in metrics.values() for row in rows)
    parts = "on balanced validation images of the sources and on the target"
    if unlabelled:
        parts = "on balanced validation images of the sources, on the unlabelled training images and on the target"
    return f"Loss terms, and accuracy {parts}."


def errors(desk: Desk) -> Section:
    """Risks plain, balanced and per shot group."""
    rows = []
    for name, payload in desk.result("bound").items():
        for risk in payload["risks"]:
            if "," in risk["where"]:
                continue  # single domains are in the JSON
            groups = [risk["groups"].get(group) for group in ("many", "medium", "few")]
            rows.append([name, risk["where"], risk["risk"], risk["balanced"], *groups])
    table = Table(
        "Share of errors with 95 % bootstrap intervals over samples. Training errors are optimistic.",
        ["model", "samples", "risk", "balanced risk", "many", "medium", "few"],
        rows,
        desk.command("bound"),
    )
    return Section(
        "Errors", ["Balanced risk counts every class alike; the last columns are its shot groups."], tables=[table]
    )
