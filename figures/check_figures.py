"""The figure of every check, from the verdicts of one or more models."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from figures import (
    collapse_path,
    confidence,
    gradient_forms,
    gradient_share,
    hard_negatives,
    margin_scaling,
    prototype_stability,
    simplex_alignment,
)
from figures.embedding import embed

Verdicts = Sequence[Mapping[str, Any]]
NEARER = {
    "random": "nearer than random mixups",
    "real": "nearer than real samples",
    "plain": "nearer than plain hard negatives",
}
CLAIMED = "ndcl"  # the form whose shares by class are drawn


class Drawn(NamedTuple):
    """A figure with its file's name and what it shows.

    Attributes:
        name: of the file.
        check: whose verdicts it draws.
        figure: the figure.
        caption: what it shows.
        alternative: the same for those who cannot see it.
    """

    name: str
    check: str
    figure: Figure
    caption: str
    alternative: str


def figures_of(
    models: Mapping[str, Verdicts], *, classes: Sequence[str], shots: Sequence[str] | None = None, seed: int = 0
) -> Iterator[Drawn]:
    """Draw every check that any of the models was judged by; checks that could not be run have no figure.

    Args:
        models: name -> verdicts as plain values.
        classes: K names.
        shots: K shot groups, or None.
        seed: of drawn points and of UMAP.
    """
    yield from _confidence(models, shots, seed)
    yield from _gradients(models, classes, shots)
    yield from _hard_negatives(models, seed)
    yield from _trajectories(models)
    scale = {name: d for name, verdicts in models.items() if (d := _first(verdicts, "margin_scaling", "parts"))}
    if scale:
        yield Drawn(
            "margin_scaling",
            "margin_scaling",
            margin_scaling.figure(scale),
            "Margin of every class against its number of training images. LDAM's rule wants it to fall as n^(-1/4).",
            "Class margins against training counts",
        )
    kinds = {name: _by_subject(verdicts, "simplex_alignment", "cosines") for name, verdicts in models.items()}
    kinds = {name: found for name, found in kinds.items() if found}
    if kinds:
        yield Drawn(
            "simplex_alignment",
            "simplex_alignment",
            simplex_alignment.figure(kinds, seed=seed),
            "Cosine of every pair of classes by the shot groups of the pair; the line is that of the simplex.",
            "Cosines of pairs of classes by shot group",
        )


def could_run(verdict: Mapping[str, Any]) -> bool:
    """Whether a check had what it needs: it gave a number, or counted the samples it found too few."""
    return bool(verdict["n"]) or verdict["estimate"]["estimate"] is not None


def _confidence(models: Mapping[str, Verdicts], shots: Sequence[str] | None, seed: int) -> Iterator[Drawn]:
    parts = {name: confidence.by_space(verdicts, shots) for name, verdicts in models.items()}
    parts = {name: spaces for name, spaces in parts.items() if spaces}
    if parts:
        yield Drawn(
            "confidence",
            "confidence_boundary",
            confidence.figure(parts, seed=seed, label=confidence.UNITS),
            "Confidence in the true class against the signed distance to the boundary, exact in feature space, by "
            "DeepFool (an upper bound) in input space where it was recorded. With a linear head confidence and feature "
            "distance come from the same logits, so some correlation is built in; P(low nearer) is of the distance "
            "without sign, within classes.",
            "Scatter of confidence against boundary distance",
        )


def _gradients(models: Mapping[str, Verdicts], classes: Sequence[str], shots: Sequence[str] | None) -> Iterator[Drawn]:
    shares = {}
    for name, verdicts in models.items():
        found = _by_subject(verdicts, "gradient_share", "classes")
        if found:
            by_class = found.get(CLAIMED, next(iter(found.values())))["classes"]
            shares[name] = {"anchors": by_class["anchor_share"], "gradient": by_class["norm_share"]}
    if shares:
        yield Drawn(
            "gradient_share",
            "gradient_share",
            gradient_share.figure(shares, class_names=classes, shots=shots),
            "Share of anchors and of the contrastive gradient's norm by class on recorded training batches, for NDCL's "
            "contrast on each model; the loss's own average over classes is included.",
            "Share of gradient and of anchors by class",
        )
    for name, verdicts in models.items():
        forms = _by_subject(verdicts, "gradient_share", "equal_counts")
        if forms:
            yield Drawn(
                _file("gradient_forms", name, models),
                "gradient_share",
                gradient_forms.figure(forms),
                f"On {name}: gradient of few-shot anchors over that of many-shot anchors, as it is and at equal counts "
                "in the batch, and how many anchors get none.",
                "Amplification of each form of the contrast",
            )


def _hard_negatives(models: Mapping[str, Verdicts], seed: int) -> Iterator[Drawn]:
    for name, verdicts in models.items():
        found = _by_subject(verdicts, "hard_negatives", "groups")
        if not found:
            continue
        first = found[NEARER["random"]]
        picture = first.get("picture")
        plane = None if picture is None else embed(np.asarray(picture["components"]), seed=seed)
        yield Drawn(
            _file("hard_negatives", name, models),
            "hard_negatives",
            hard_negatives.figure(
                {kind: found[subject]["groups"] for kind, subject in NEARER.items()},
                found["are negatives"]["outside_by_coefficient"],
                first["kinds"],
                picture=picture,
                embedding=None if plane is None else plane.coordinates,
                embedding_name="UMAP" if plane is None else plane.method.upper(),
            ),
            f"On {name}: where synthesised negatives lie, beside random mixups, real samples and plain hard negatives.",
            "Distances of negatives to the boundary, and their pictures",
        )


def _trajectories(models: Mapping[str, Verdicts]) -> Iterator[Drawn]:
    stable = {name: d for name, verdicts in models.items() if (d := _first(verdicts, "prototype_stability", "groups"))}
    if stable:
        yield Drawn(
            "prototype_stability",
            "prototype_stability",
            prototype_stability.figure(stable),
            "Distance between the domains' prediction prototypes along training against the error that their counts "
            "imply; below that error a prototype says nothing about its domain.",
            "Distance and error of prototypes along training",
        )
    paths = {name: d for name, verdicts in models.items() if (d := _first(verdicts, "collapse_path", "foretold"))}
    if paths:
        yield Drawn(
            "collapse_path",
            "collapse_path",
            collapse_path.figure(paths),
            "Collapse along training: scatter, distance to each optimum, and angles between class means beside those "
            "that the optima foretell.",
            "Collapse and distance to the optima along training",
        )


def _by_subject(verdicts: Verdicts, check: str, key: str) -> dict[str, Mapping[str, Any]]:
    """Details of a check's verdicts by subject, those that hold ``key``."""
    return {v["subject"]: v["details"] for v in verdicts if v["check"] == check and key in (v["details"] or {})}


def _first(verdicts: Verdicts, check: str, key: str) -> Mapping[str, Any] | None:
    return next(iter(_by_subject(verdicts, check, key).values()), None)


def _file(check: str, model: str, models: Mapping[str, Verdicts]) -> str:
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in model)
    return check if len(models) == 1 else f"{check}_{safe}"
