"""Chapter: the verdicts."""

from typing import Any

import numpy as np

from figures import confidence, gradient_share
from figures.numbers import interval, number
from figures.report import Badge, Panel, Section, Table
from figures.story.desk import Desk, Payload, Study


def checks(desk: Desk) -> Section:
    """Verdicts with the rule, the number and the figure behind each."""
    results = desk.result("check")
    badges = [
        Badge(verdict["verdict"], f"On `{name}`: {verdict['claim']}", _decided(verdict), payload["command"])
        for name, payload in results.items()
        for verdict in payload["verdicts"]
    ]
    rules = {verdict["rule"]: verdict["check"] for payload in results.values() for verdict in payload["verdicts"]}
    notes = [
        [name, verdict["check"], verdict["estimate"], verdict["n"], verdict["note"]]
        for name, payload in results.items()
        for verdict in payload["verdicts"]
    ]
    table = Table(
        "Numbers behind the verdicts.", ["model", "check", "estimate", "n", "note"], notes, desk.command("check")
    )
    paragraphs = ["Every rule was fixed before the data were seen."]
    paragraphs += [f"`{check}`: {rule}" for rule, check in rules.items()]
    panels = [panel for panel in (_confidence(desk), _gradient(desk)) if panel is not None]
    return Section("Do the assumptions hold?", paragraphs, panels, [table], badges)


def _decided(verdict: Payload) -> str:
    return number(*interval(verdict["estimate"]))


def _find(payload: Payload, check: str) -> Payload | None:
    return next((v for v in payload["verdicts"] if v["check"] == check and v["details"]), None)


def _confidence(desk: Desk) -> Panel | None:
    models = {}
    for name, payload in desk.result("check").items():
        verdict = _find(payload, "confidence_boundary")
        if verdict is not None and "scatter" in verdict["details"]:
            models[name] = _confidence_parts(desk.study, verdict["details"])
    if not models:
        return None
    return desk.panel(
        "confidence",
        confidence.figure(models),
        "Confidence in the true class against the exact signed distance to the boundary in feature space, at "
        "most 2,000 samples. "
        "With a linear head both come from the same logits, so some correlation is built in.",
        desk.command("check"),
        "Scatter of confidence against boundary distance",
    )


def _confidence_parts(study: Study, details: Payload) -> dict[str, Any]:
    points = {key: np.asarray(value) for key, value in details["scatter"].items()}
    correlations = details["correlations"]["signed"]
    everywhere = np.ones(len(points["domain"]), dtype=bool)
    masks = {"all samples": (everywhere, "all")}
    if study.held_out is not None:
        target = points["domain"] == list(study.domains).index(study.held_out)
        masks = {"sources": (~target, "domain sources"), "target": (target, f"domain {study.held_out}")}
    parts = {}
    for part, (mask, known) in masks.items():
        if mask.any():
            parts[part] = {
                "confidence": points["confidence"][mask],
                "distance": points["distance"][mask],
                "groups": None if study.shots is None else [study.shots[k] for k in points["label"][mask]],
                "spearman": correlations.get(known),
            }
    return parts


def _gradient(desk: Desk) -> Panel | None:
    losses = {}
    for name, payload in desk.result("check").items():
        verdict = _find(payload, "gradient_share")
        if verdict is not None and "classes" in verdict["details"]:
            classes = verdict["details"]["classes"]
            losses[name] = {"anchors": classes["anchor_share"], "gradient": classes["norm_share"]}
    if not losses:
        return None
    return desk.panel(
        "gradient_share",
        gradient_share.figure(losses, class_names=desk.study.classes, shots=desk.study.shots),
        "Share of anchors and of the contrastive gradient's norm by class on recorded training batches, for "
        "NDCL's contrast on "
        "each model; the loss's own average over classes is included.",
        desk.command("check"),
        "Share of gradient and of anchors by class",
    )
