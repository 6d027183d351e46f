"""Chapters: the features in the plane, and how everything was made."""

import numpy as np

from figures import embedding
from figures.report import Section, Table
from figures.story.desk import Desk


def plane_of_features(desk: Desk) -> Section:
    """UMAP or PCA of a sample of the features."""
    study, models, note = desk.study, {}, ""
    for name, model in desk.models.items():
        found = embedding.embed(model.features, seed=study.seed, method=study.embedding)
        note = found.note
        models[name] = {
            "coordinates": found.coordinates,
            "labels": np.asarray(model.labels)[found.index],
            "domains": np.asarray(model.sample_domains)[found.index],
            "method": found.method,
        }
    figure = embedding.figure(
        models,
        class_names=study.classes,
        domain_names=study.domains,
        held_out=study.held_out,
        class_counts=np.asarray(study.counts).sum(axis=0).tolist(),
    )
    panel = desk.panel(
        "embedding",
        figure,
        f"Features of training and target samples in the plane, by class and by domain. {note}",
        study.commands.get("report", ""),
        "Embedding of features coloured by class and by domain",
    )
    text = "A picture to look at, not a measurement: distances in such a plane are not distances in feature space."
    return Section("Features in the plane", [text], [panel])


def making(desk: Desk) -> Section:
    """Versions, commit, hardware, seeds."""
    rows = [[what, value] for what, value in desk.study.provenance]
    table = Table("What made these numbers.", ["what", "value"], rows, desk.study.commands.get("report", ""))
    return Section("How this was made", tables=[table])
