"""All bound terms of one artifact."""

from itertools import combinations

import numpy as np

from geometry.artifact import Artifact
from geometry.bound.divergence import WEIGHTINGS, Divergence, proxy_a_distance
from geometry.bound.margin import (
    SCALES,
    MarginDistribution,
    estimate_margins,
    geometric_margin,
    margin_grid,
    score_margin,
)
from geometry.bound.posterior import MEASURES, PosteriorDiscrepancy, estimate_posterior
from geometry.bound.prior import PriorShift, estimate_prior_shift
from geometry.bound.report import BoundReport, Missing
from geometry.bound.risk import Array, Risk, estimate_risk
from geometry.bound.samples import HELD_BACK_FIRST, head_scores, logits_follow_head, source_samples
from geometry.bound.setting import TARGET_PAIR, Setting, make_setting
from geometry.bound.theorems import LabelShiftBound, label_shift_bound
from geometry.errors import UsageError

LEAST_RESAMPLES = 20


def estimate(
    artifact: Artifact,
    *,
    source_splits: tuple[str, ...] | None = None,
    target_split: str = "target",
    resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> BoundReport:
    """Estimate the terms of the bounds from one artifact.

    Args:
        artifact: features and labels; logits (or a linear head), domains, splits and a target as far as they exist.
        source_splits: splits that stand for the sources; by default
            :func:`~geometry.bound.samples.source_samples` chooses and says so.
        target_split: split that stands for the target.
        resamples: bootstrap redraws and permutations of every term, at least 20.
        seed: seed of all randomness; every term has its own stream, so none depends on which others ran.
        level: nominal coverage of the intervals.

    Returns:
        A report; terms that the artifact does not allow are in ``missing`` with their reason.

    Raises:
        UsageError: a named split does not exist, or a number is out of range.
    """
    if resamples < LEAST_RESAMPLES or not 0.0 < level < 1.0:
        raise UsageError(
            f"Expected at least {LEAST_RESAMPLES} resamples and a level in (0, 1), got {resamples} and {level}."
        )
    setting = make_setting(artifact, source_splits, target_split, resamples, seed, level)
    risks, margins = _risks(setting), _margins(setting)
    divergences, posterior = _divergences(setting), _posterior(setting)
    kept_risks = tuple(part for part in risks if isinstance(part, Risk))
    priors = _priors(setting, kept_risks)
    bound, note = _label_shift(setting, kept_risks)
    every = (*risks, *margins, *divergences, *posterior, *priors)
    return BoundReport(
        source=setting.source,
        target=setting.target,
        risks=kept_risks,
        margins=tuple(part for part in margins if isinstance(part, MarginDistribution)),
        divergences=tuple(part for part in divergences if isinstance(part, Divergence)),
        posterior=tuple(part for part in posterior if isinstance(part, PosteriorDiscrepancy)),
        priors=tuple(part for part in priors if isinstance(part, PriorShift)),
        label_shift=bound,
        label_shift_note=note,
        missing=tuple(part for part in every if isinstance(part, Missing)),
        level=level,
        resamples=resamples,
        seed=seed,
    )


def _risks(setting: Setting) -> list[Risk | Missing]:
    """Risks of the chosen source samples, of each source domain, of the other source splits, and of the target."""
    artifact, scores = setting.artifact, setting.scores
    if scores is None:
        return [Missing("balanced risk", "zero-one", name, setting.no_scores) for name in ("source", "target")]
    sets = [(setting.source.where, setting.source_index)]
    domains = setting.source_domains()
    if len(domains) > 1:
        sets += [(f"{setting.source.where}, {name}", index) for name, index in domains]
    for name in HELD_BACK_FIRST:
        if name in artifact.split_names and (name,) not in (setting.source.splits, setting.target.splits):
            index = source_samples(artifact, (name,), setting.target_split)[0]
            sets += [(name, index)] if index.size else []
    sets.append((setting.target.where, setting.target_index))
    losses = score_margin(scores, artifact.labels) <= 0
    results: list[Risk | Missing] = []
    for where, index in sets:
        if index.size == 0:
            results.append(Missing("balanced risk", "zero-one", where, _why_empty(setting, where)))
            continue
        results.append(
            estimate_risk(
                losses[index],
                artifact.labels[index],
                artifact.num_classes,
                where=where,
                rng=setting.rng("risk", where),
                groups=setting.groups,
                resamples=setting.resamples,
                level=setting.level,
            )
        )
    return results


def _margins(setting: Setting) -> list[MarginDistribution | Missing]:
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
                results.append(Missing("mean margin", scale, where, _why_empty(setting, where)))
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
    same = logits_follow_head(artifact, from_head)
    note = "" if same else "the logits are not those of the head; distances are to the head's own boundary"
    return geometric_margin(from_head, artifact.labels, artifact.head_weight), note


def _divergences(setting: Setting) -> list[Divergence | Missing]:
    artifact, results = setting.artifact, list[Divergence | Missing]()
    for where, reason in setting.absent_pairs():
        results += [Missing("proxy A-distance", weighting, where, reason) for weighting in WEIGHTINGS]
    for where, first, second in setting.pairs():
        index = np.concatenate([first, second])
        for weighting in WEIGHTINGS:
            results.append(
                proxy_a_distance(
                    artifact.features[index],
                    np.repeat([0, 1], [first.size, second.size]),
                    artifact.labels[index],
                    where=where,
                    weighting=weighting,
                    rng=setting.rng("divergence", where, weighting),
                    resamples=setting.resamples,
                    level=setting.level,
                )
            )
    return results


def _posterior(setting: Setting) -> list[PosteriorDiscrepancy | Missing]:
    artifact, scores = setting.artifact, setting.scores
    sets = []
    if len(setting.source_domains()) > 1:
        sets.append(("sources", setting.source_index, artifact.domains[setting.source_index], artifact.num_domains))
    if setting.source_index.size and setting.target_index.size:
        both = np.concatenate([setting.source_index, setting.target_index])
        sides = np.repeat([0, 1], [setting.source_index.size, setting.target_index.size])
        sets.append((TARGET_PAIR, both, sides, 2))
    term, results = "posterior discrepancy", list[PosteriorDiscrepancy | Missing]()
    for where, reason in setting.absent_pairs():
        results += [Missing(term, measure, where, reason) for measure in MEASURES]
    for where, index, domains, num_domains in sets:
        if scores is None:
            results += [Missing(term, measure, where, setting.no_scores) for measure in MEASURES]
            continue
        results += estimate_posterior(
            artifact.probabilities()[index],
            artifact.labels[index],
            domains,
            num_domains,
            where=where,
            rng=setting.rng("posterior", where),
            groups=setting.groups,
            permutations=setting.resamples,
            resamples=setting.resamples,
            level=setting.level,
        )
    return results


def _priors(setting: Setting, risks: tuple[Risk, ...]) -> list[PriorShift | Missing]:
    artifact, target = setting.artifact, setting.target.cell_counts.sum(axis=0)
    errors = next(((r.class_errors, r.class_counts) for r in risks if r.where == setting.source.where), None)
    results: list[PriorShift | Missing] = [
        Missing("prior shift", "TV and KL", where, reason) for where, reason in setting.absent_pairs()
    ]
    bases = [("evaluated samples", setting.source.cell_counts, True)]
    training = setting.training_counts()
    if training is not None:
        bases.insert(0, ("training counts", training, False))
    for basis, counts, sampled in bases:
        held = [(artifact.domain_names[m], counts[m]) for m in np.flatnonzero(counts.sum(axis=1))]
        pairs = [(f"{a} | {b}", p, q) for (a, p), (b, q) in combinations(held, 2)]
        if setting.source_index.size and setting.target_index.size:
            pairs.append((TARGET_PAIR, target, counts.sum(axis=0)))
        for where, p, q in pairs:
            priced = where == TARGET_PAIR
            results.append(
                estimate_prior_shift(
                    p,
                    q,
                    where=where,
                    basis=basis,
                    rng=setting.rng("prior", where, basis),
                    redraw=(sampled or priced, sampled),
                    errors=errors if priced else None,
                    resamples=setting.resamples,
                    level=setting.level,
                )
            )
    return results


def _label_shift(setting: Setting, risks: tuple[Risk, ...]) -> tuple[LabelShiftBound | None, str]:
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


def _why_empty(setting: Setting, where: str) -> str:
    return setting.target.reason if where == setting.target.where else f"no source samples in {where}"
