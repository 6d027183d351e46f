"""Both sides of Theorems B and C on the samples of one setting."""

import numpy as np

from geometry.bound.risk import Risk
from geometry.bound.setting import Setting
from geometry.bound.sides import Sides, label_shift_sides, prototype_sides
from geometry.bound.theorems import LabelShiftBound, label_shift_bound


def theorem_sides(setting: Setting, risks: tuple[Risk, ...]) -> tuple[Sides, ...]:
    """Theorem B in both forms and Theorem C, as far as sources, target and scores exist."""
    artifact, found = setting.artifact, {r.where: r for r in risks}
    source, target = found.get(setting.source.where), found.get(setting.target.where)
    if source is None or target is None or artifact.num_classes < 2:
        return ()
    training = setting.training_counts()
    counts = setting.source.cell_counts if training is None else training
    results = label_shift_sides(
        source,
        target,
        counts.sum(axis=0),
        artifact.class_names,
        designed=training is not None,
        rng=setting.rng("Theorem B"),
        resamples=setting.resamples,
        level=setting.level,
    )
    index = np.concatenate([setting.source_index, setting.target_index])
    prototype = prototype_sides(
        artifact.probabilities()[index],
        artifact.labels[index],
        artifact.domains[index],
        np.repeat([False, True], [setting.source_index.size, setting.target_index.size]),
        artifact.num_domains,
        artifact.class_names,
        rng=setting.rng("Theorem C"),
        resamples=setting.resamples,
        level=setting.level,
    )
    return results if prototype is None else (*results, prototype)


def label_shift(setting: Setting, risks: tuple[Risk, ...]) -> tuple[LabelShiftBound | None, str]:
    """Theorem B at the estimated class errors, with the training histogram as source prior where it is known."""
    found = {r.where: r for r in risks}
    source, target = found.get(setting.source.where), found.get(setting.target.where)
    if source is None or target is None:
        return None, "needs class errors of the sources and of the target"
    training = setting.training_counts()
    counts = setting.source.cell_counts if training is None else training
    held = (source.class_counts > 0) & (target.class_counts > 0)
    p_s, p_t = counts.sum(axis=0)[held], target.class_counts[held]
    if p_s.sum() == 0 or p_t.sum() == 0:
        return None, "the sources and the target share no class"
    basis = "evaluated samples" if training is None else "training counts"
    note = f"source prior from {basis}; {int(held.sum())} of {held.size} classes, those both hold"
    errors = source.class_errors[held], target.class_errors[held]
    return label_shift_bound(p_s / p_s.sum(), p_t / p_t.sum(), *errors), note
