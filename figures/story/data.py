"""Chapter: the data."""

import numpy as np

from figures import counts
from figures.report import Panel, Section
from figures.story.desk import Desk


def data(desk: Desk) -> Section:
    """Counts, and what the images look like."""
    study = desk.study
    pooled = np.asarray(study.counts).sum(axis=0)
    present = pooled[pooled > 0]
    ratio = f"{present.max() / present.min():.4g}" if present.size else "undefined"
    text = (
        f"{int(pooled.sum())} training images of {len(study.classes)} classes; the largest class has {ratio} times the "
        "images of the smallest, pooled over the source domains."
    )
    if study.labelled is not None:
        text += f" Training knew the class of {study.labelled} of them; the others were unlabelled."
    if study.held_out is not None:
        text += f" No image of the domain `{study.held_out}` was trained on: it is the target."
    if study.others:
        text += (
            f" These are the images of `{next(iter(desk.models))}`; not trained on the same: "
            f"{', '.join(f'`{name}`' for name in study.others)}. What is compared below then differs in its data too."
        )
    figure = counts.figure(
        study.counts,
        class_names=study.classes,
        domain_names=study.domains,
        shots=study.shots,
        held_out=study.held_out,
    )
    panels = [
        desk.panel(
            "counts",
            figure,
            "Training images per domain and class, largest class first.",
            study.commands.get("data", ""),
            "Heat map of training counts per domain and class",
        )
    ]
    if study.contact_sheet is not None and study.contact_sheet.exists():
        panels.insert(
            0,
            Panel(
                study.contact_sheet,
                "A few images of every domain and class.",
                study.commands.get("contact_sheet", ""),
                "Contact sheet of the data set",
            ),
        )
    return Section("The data", [text], panels)
