"""Both sides of Theorems A to D on the samples of one setting."""

import numpy as np

from geometry.bound.features import FeatureTerms
from geometry.bound.margin import score_margin
from geometry.bound.margin_sides import THEOREM as MARGIN_THEOREM
from geometry.bound.margin_sides import head_norms, margin_sides
from geometry.bound.margin_terms import training_samples
from geometry.bound.missing import Missing
from geometry.bound.posterior_sides import NO_PROBES, posterior_sides
from geometry.bound.posterior_sides import THEOREM as POSTERIOR_THEOREM
from geometry.bound.risk import Risk
from geometry.bound.setting import TARGET_PAIR, Setting
from geometry.bound.sides import Sides, label_shift_sides, prototype_sides
from geometry.bound.theorems import LabelShiftBound, label_shift_bound
from geometry.linear_head import head_scores

NO_CLASS = "the sources and the target share no class"


def theorem_sides(setting: Setting, risks: tuple[Risk, ...], features: FeatureTerms) -> list[Sides | Missing]:
    """Theorem A, Theorem B in both forms, Theorem C and Theorem D with both rules, or why they are missing."""
    artifact, found = setting.artifact, {r.where: r for r in risks}
    source, target = found.get(setting.source.where), found.get(setting.target.where)
    if source is None or target is None:
        reason = setting.no_scores or "needs samples of the sources and of the target"
        names = (POSTERIOR_THEOREM, "Theorem B", "Theorem C", MARGIN_THEOREM)
        return [Missing(theorem, "bound", TARGET_PAIR, reason) for theorem in names]
    training = setting.training_counts()
    counts = setting.source.cell_counts if training is None else training
    results: list[Sides | Missing] = [_posterior(setting, features)]
    results += label_shift_sides(
        source,
        target,
        counts.sum(axis=0),
        artifact.class_names,
        designed=training is not None,
        rng=setting.rng("Theorem B"),
        resamples=setting.resamples,
        level=setting.level,
    ) or (Missing("Theorem B", "bound", TARGET_PAIR, NO_CLASS),)
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
    results.append(prototype or Missing("Theorem C", "bound", TARGET_PAIR, NO_CLASS))
    return [*results, *_margin(setting, features)]


def _posterior(setting: Setting, features: FeatureTerms) -> Sides | Missing:
    probes = features.posteriors
    if probes is None:
        return Missing(POSTERIOR_THEOREM, "bound", TARGET_PAIR, NO_PROBES)
    assert setting.scores is not None
    index = setting.target_first()[0][probes.index]
    return posterior_sides(
        setting.scores[index].argmax(axis=1),
        setting.artifact.labels[index],
        probes.side == 0,
        probes.second,
        probes.first,
        probes.kept,
        setting.artifact.class_names,
        strata=setting.artifact.domains[index],
        rng=setting.rng(POSTERIOR_THEOREM),
        resamples=setting.resamples,
        level=setting.level,
    )


def _margin(setting: Setting, features: FeatureTerms) -> tuple[Sides | Missing, ...]:
    artifact = setting.artifact
    if artifact.head_weight is None:
        reason = "needs the weights of a linear head"
        return (Missing(MARGIN_THEOREM, "bound", TARGET_PAIR, reason),)
    train, where = training_samples(setting)
    inside = next(d for d in features.class_divergences if d.where == TARGET_PAIR)
    margins = score_margin(head_scores(artifact), artifact.labels)
    bias = None if artifact.head_bias is None else artifact.head_bias.astype(np.float64)
    norms, weight_norm = head_norms(
        artifact.features[train].astype(np.float64), artifact.head_weight.astype(np.float64), bias
    )
    found = margin_sides(
        margins[train],
        artifact.labels[train],
        norms,
        weight_norm,
        margins[setting.target_index] <= 0,
        artifact.labels[setting.target_index],
        inside,
        artifact.class_names,
        where=where,
        rng=setting.rng(MARGIN_THEOREM),
        resamples=setting.resamples,
        level=setting.level,
    )
    reason = "fewer than two classes have training samples and enough on both sides for a divergence"
    return found or (Missing(MARGIN_THEOREM, "bound", TARGET_PAIR, reason),)


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
        return None, NO_CLASS
    basis = "evaluated samples" if training is None else "training counts"
    note = f"source prior from {basis}; {int(held.sum())} of {held.size} classes, those both hold"
    errors = source.class_errors[held], target.class_errors[held]
    return label_shift_bound(p_s / p_s.sum(), p_t / p_t.sum(), *errors), note
