"""Chapter: the pseudo-labels of training samples that had no label."""

from figures import pseudo_labels
from figures.report import Section, Table
from figures.story.desk import Desk

SHOTS = ("many", "medium", "few")


def unlabelled(desk: Desk) -> Section | None:
    """How good pseudo-labels are, by class and shot group; None where every training sample had its label."""
    every = {name: model.results.get("pseudo_labels") for name, model in desk.models.items()}
    found = {name: payload for name, payload in every.items() if payload is not None}
    if not found:
        return None
    commands = "\n".join(payload["command"] for payload in found.values())
    thresholds = dict.fromkeys(f"{payload['threshold']:g}" for payload in found.values())
    panel = desk.panel(
        "pseudo_labels",
        pseudo_labels.figure(
            found,
            class_names=desk.study.classes,
            counts=desk.study.counts.sum(axis=0).tolist(),
            shots=desk.study.shots,
        ),
        "For each class the share of its unlabelled training samples whose pseudo-label is right, the share that is "
        f"kept (a probability of {' or '.join(thresholds)} or more), and the share of the kept that is right; "
        "horizontal lines are means over the classes of a shot group. Below: how many of all pseudo-labels name each "
        "class, beside its share of the samples.",
        commands,
        "Accuracy and share kept of pseudo-labels by class, and predicted against true class shares",
    )
    rows = []
    for name, payload in found.items():
        groups = payload["groups"]
        for group in ("all", *(shot for shot in SHOTS if shot in groups)):
            row = groups[group]
            rows.append([name, group, row["n"], row["accuracy"], row["kept"], row["kept_accuracy"]])
    distances = Table(
        "Total variation between the classes that pseudo-labels name and the true ones, 0 to 1.",
        ["model", "all pseudo-labels", "kept pseudo-labels"],
        [[name, payload["total_variation"], payload["kept_total_variation"]] for name, payload in found.items()],
        commands,
    )
    rates = Table(
        "Pseudo-labels by shot group: means over classes, each counting alike.",
        ["model", "classes", "samples", "right", "kept", "right of the kept"],
        rows,
        commands,
    )
    text = (
        "Training knew the class of a few samples of every source domain and class; the others are the part "
        "`unlabelled`, whose classes only this page knows. The pseudo-labels are those of the model as it is analysed "
        "here, on images that are not augmented. Shot groups count all training samples, with and without a label."
    )
    return Section("Unlabelled samples", [text], [panel], [rates, distances])
