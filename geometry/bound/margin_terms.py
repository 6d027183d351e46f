"""Margins and the complexity term of one setting, in three scales."""

import numpy as np

from geometry.bound.complexity import QUANTILES, Complexity, estimate_complexity
from geometry.bound.margin import (
    SCALES,
    MarginDistribution,
    estimate_margins,
    geometric_margin,
    margin_grid,
    score_margin,
)
from geometry.bound.missing import Missing
from geometry.bound.risk import Array
from geometry.bound.samples import source_samples
from geometry.bound.setting import Index, Setting
from geometry.linear_head import follows_head, head_scores


def margins(setting: Setting) -> list[MarginDistribution | Missing]:
    """Margin distributions of the sources and of the target."""
    artifact, results = setting.artifact, list[MarginDistribution | Missing]()
    sets = [(setting.source.where, setting.source_index), (setting.target.where, setting.target_index)]
    for scale in SCALES:
        margins, reason = _margins_in(setting, scale)
        if margins is None:
            results += [Missing("mean margin", scale, where, reason) for where, _ in sets]
            continue
        # One grid for both sets, so that their curves can be laid over each other.
        delta = margin_grid(scale, margins[np.concatenate([index for _, index in sets])])
        for where, index in sets:
            if index.size == 0:
                results.append(Missing("mean margin", scale, where, setting.why_empty(where)))
                continue
            results.append(
                estimate_margins(
                    margins[index],
                    artifact.labels[index],
                    artifact.num_classes,
                    scale=scale,
                    where=where,
                    delta=delta,
                    rng=setting.rng("margin", scale, where),
                    groups=setting.groups,
                    resamples=setting.resamples,
                    level=setting.level,
                    note=reason,
                )
            )
    return results


def complexity(setting: Setting) -> list[Complexity | Missing]:
    """The complexity term on training margins where the artifact has them, else on the source samples."""
    artifact, counts = setting.artifact, setting.labelled_counts()
    index, where = training_samples(setting)
    results: list[Complexity | Missing] = []
    for scale in SCALES:
        margins, reason = _margins_in(setting, scale)
        if margins is None or index.size == 0 or counts is None:
            reason = reason or ("no source samples" if index.size == 0 else "the training counts are unknown")
            results.append(Missing("complexity", scale, where, reason))
            continue
        for quantile in QUANTILES:
            results.append(
                estimate_complexity(
                    margins[index],
                    artifact.labels[index],
                    counts.sum(axis=0),
                    artifact.class_names,
                    scale=scale,
                    where=where,
                    quantile=quantile,
                    rng=setting.rng("complexity", scale, str(quantile)),
                    resamples=setting.resamples,
                    level=setting.level,
                )
            )
    return results


def training_samples(setting: Setting) -> tuple[Index, str]:
    """The training samples and their split where the artifact has them, else the source samples and theirs."""
    if "train" in setting.artifact.split_names and setting.target.splits != ("train",):
        train, description = source_samples(setting.artifact, ("train",), setting.target_split)
        if train.size:
            return train, description.where
    return setting.source_index, setting.source.where


def _margins_in(setting: Setting, scale: str) -> tuple[Array | None, str]:
    """The margins of every sample in one scale, or None with the reason."""
    artifact, scores = setting.artifact, setting.scores
    if scores is None:
        return None, setting.no_scores
    if scale == "probability":
        return score_margin(artifact.probabilities(), artifact.labels), ""
    if scale == "logit":
        return score_margin(scores, artifact.labels), ""
    if artifact.head_weight is None:
        return None, "a distance in feature space needs the weights of a linear head"
    from_head = head_scores(artifact)
    same = follows_head(artifact)
    note = "" if same else "the logits are not those of the head; distances are to the head's own boundary"
    return geometric_margin(from_head, artifact.labels, artifact.head_weight), note
