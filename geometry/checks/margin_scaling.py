"""Check: do margins shrink with the rarity of the class, or follow the n^(-1/4) rule of LDAM?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.bound.margin import SCALES
from geometry.checks.class_margins import (
    NOT_LINKED,
    STATISTICS,
    ClassMargins,
    cell_margins,
    class_margins,
    class_weights_of_cells,
    margins_in_scales,
)
from geometry.checks.count_slope import FEWEST_CLASSES, count_slope
from geometry.checks.sample_parts import SOURCES, TRAIN, UNSEEN, sample_parts
from geometry.checks.verdict import Claim, Outcome, Verdict, decide, undecided, verdict
from geometry.intervals import Interval
from geometry.labelled import UNLABELLED_COUNTED, has_unlabelled

Array = NDArray[np.float64]

DECIDES = "mean"
RULE_SCALE = "logit"  # the margin of Cao et al. 2019
EXPONENT = -0.25
BAND = (-0.375, -0.125)  # half of the exponent either way
SMALLEST_SAMPLE = 30
NEEDS = f"undecided otherwise or with fewer than {FEWEST_CLASSES} classes or {SMALLEST_SAMPLE} samples"
HOW = "class means of the margin on unseen samples, domains of equal weight"


def shrinking_claim(scale: str) -> Claim:
    """The claim that ordinary training leaves rare classes smaller margins, in one scale."""
    return Claim(
        check="margin_scaling",
        subject=f"{scale} margin",
        sentence=f"The {scale} margin shrinks with the rarity of the class.",
        source="premise of margin-based remedies for imbalance (LDAM, Cao et al. 2019, arXiv 1906.07413); the test is "
        "ours",
        rule=f"Slope of the {scale} margin on log n_k ({HOW}): holds if its interval lies above 0, does not hold if it "
        f"lies below, {NEEDS}.",
    )


RULE_CLAIM = Claim(
    check="margin_scaling",
    subject="n^(-1/4) rule",
    sentence="Class margins are proportional to n_k^(-1/4): larger the rarer the class.",
    source="optimum of the margin bound of Cao et al. 2019 (LDAM, arXiv 1906.07413), what a remedy should reach; the "
    "test is ours",
    rule=f"Slope of log margin on log n_k ({HOW}, in logits): holds if its interval lies within {list(BAND)}, does not "
    f"hold if it lies wholly outside. A margin of zero or less has no logarithm: where a class has one the slope of "
    f"the margin itself decides, does not hold if its interval lies above 0; {NEEDS}.",
)


@dataclass(frozen=True, eq=False)
class CellSlopes:
    """Mean margins of each source domain and class, and their slope on ``log n_{d,k}``.

    Attributes:
        domains: M names.
        value: ``(M, K)`` mean margin on unseen samples; NaN where there are none.
        counts: ``(M, K)`` training samples.
        domain_effects: slope with an intercept for each domain.
        class_effects: slope with an intercept for each domain and each class: only how a class's count differs between
            domains tells, so no class's own difficulty can pass for an effect of its count.
    """

    domains: tuple[str, ...]
    value: Array
    counts: NDArray[np.int64]
    domain_effects: Interval
    class_effects: Interval


def margin_scaling(
    artifact: Artifact, *, rng: np.random.Generator, resamples: int = 200, level: float = 0.95
) -> tuple[Verdict, ...]:
    """Regress class margins on ``log n_k``, in three scales, and hold them against ``n_k^(-1/4)``.

    Two claims of opposite sign go by the name of margin scaling. What plain empirical risk minimisation is said to
    *do*: rare classes end with smaller margins on unseen samples (slope above 0). What Cao et al. (2019) find *best*:
    the trade-off of their bound between two classes is optimal at ``gamma_k ~ n_k^(-1/4)`` (slope of the logarithms
    -1/4), so rare classes should have the *larger* margins. A remedy works by turning the first into the second.

    The class mean decides. A low quantile is nearer to the minimum over samples that the bound speaks of, but of few
    samples it is biased upwards, and a minimum over the n_k training samples falls with n_k by itself; the mean does
    neither. The K classes are the regression's points: intervals are for other classes
    (:func:`~geometry.checks.count_slope.count_slope`), those over samples alone are far narrower and stand in
    ``details``.

    Args:
        artifact: with logits or a linear head (the geometric scale needs the head) and training counts.
        rng: source of randomness.
        resamples: bootstrap redraws.
        level: nominal coverage.

    Returns:
        One verdict a scale that rare classes have smaller margins, and one on the n^(-1/4) rule. ``details`` of the
        first three: ``parts`` (part -> ``mean``, ``median``, ``low`` -> :class:`ClassMargins`; parts are unseen
        samples, those of the sources and of the target, and training samples where the artifact holds them),
        ``decides`` (the part), ``cells`` (:class:`CellSlopes` or None), ``samples`` (part -> ``(K,)``), ``counts``,
        ``class_names``, ``shots``; of the last: ``log_slopes`` (part -> statistic -> scale -> interval), ``slope`` (of
        the margin itself).
    """
    margins, reasons = margins_in_scales(artifact)
    n = len(artifact.labels)
    judged: dict[str, Verdict] = {}
    parts = {name: _Part(artifact, index, margins, rng, resamples) for name, index in sample_parts(artifact).items()}
    note = reasons.get("", "")
    for scale in SCALES:
        claim = shrinking_claim(scale)
        if scale not in margins:
            judged[scale] = undecided(claim, reasons[scale], n=n, level=level)
            continue
        details = _details(artifact, scale, parts, rng, level)
        main = details["parts"][details["decides"]]
        estimate, size = main[DECIDES].slope, parts[details["decides"]].size
        outcome = decide(estimate, 0.0, enough=size >= SMALLEST_SAMPLE)
        judged[scale] = verdict(claim, outcome, estimate, _note(artifact, details, size, note), details)
    return (*judged.values(), _rule(judged, n, level))


class _Part:
    """One set of samples: its cells, and how its class values follow from them."""

    def __init__(
        self,
        artifact: Artifact,
        index: NDArray[np.intp],
        margins: Mapping[str, Array],
        rng: np.random.Generator,
        resamples: int,
    ) -> None:
        self.index, self.shape = index, (artifact.num_domains, artifact.num_classes)
        codes, cells, sizes = np.unique(
            artifact.domains[index] * artifact.num_classes + artifact.labels[index],
            return_inverse=True,
            return_counts=True,
        )
        self.domains, self.classes = np.divmod(codes, artifact.num_classes)
        self.counts = np.bincount(artifact.labels[index], minlength=artifact.num_classes)
        self.present, self.weights = class_weights_of_cells(self.domains, self.classes, sizes)
        self.size = int(self.counts[self.present].sum())  # samples behind the class values
        chosen = {scale: values[index] for scale, values in margins.items()}
        self.found = cell_margins(chosen, cells, rng=rng, resamples=resamples) if chosen else {}

    def by_class(self, scale: str, statistic: str) -> tuple[Array, Array]:
        """``(K,)`` class values and ``(B, K)`` on resamples."""
        estimate, draws = self.found[scale, statistic]
        values, redrawn = np.full(self.shape[1], np.nan), np.full((len(draws), self.shape[1]), np.nan)
        values[self.present] = self.weights @ estimate
        redrawn[:, self.present] = draws @ self.weights.T
        return values, redrawn

    def by_cell(self, scale: str) -> Array:
        """``(M, K)`` mean margins."""
        table = np.full(self.shape, np.nan)
        table[self.domains, self.classes] = self.found[scale, "mean"][0]
        return table


def _details(
    artifact: Artifact, scale: str, parts: Mapping[str, _Part], rng: np.random.Generator, level: float
) -> dict[str, Any]:
    counts = artifact.class_counts
    found: dict[str, dict[str, ClassMargins]] = {}
    for name, part in parts.items():
        found[name] = {
            statistic: class_margins(*part.by_class(scale, statistic), counts, part.size, rng=rng, level=level)
            for statistic in STATISTICS
        }
    return {
        "scale": scale,
        "decides": next(iter(parts)),
        "parts": found,
        "cells": _cells(artifact, parts.get(SOURCES) or parts.get(UNSEEN), scale, level),
        "samples": {name: part.counts for name, part in parts.items()},
        "counts": counts,
        "class_names": artifact.class_names,
        "shots": artifact.shots,
    }


def _cells(artifact: Artifact, part: _Part | None, scale: str, level: float) -> CellSlopes | None:
    trained = np.flatnonzero(artifact.training_counts.sum(axis=1))
    if part is None or trained.size < 2:
        return None
    table, counts = part.by_cell(scale)[trained], artifact.training_counts[trained]
    return CellSlopes(
        domains=tuple(artifact.domain_names[m] for m in trained),
        value=table,
        counts=counts,
        domain_effects=count_slope(table, counts, level=level),
        class_effects=count_slope(table, counts, class_effects=True, level=level),
    )


def _note(artifact: Artifact, details: Mapping[str, Any], size: int, condition: str) -> str:
    part = details["decides"]
    main: ClassMargins = details["parts"][part][DECIDES]
    words = []
    if not np.isfinite(main.slope.estimate):
        words.append(main.slope.method.removeprefix("undefined: "))
    if part == TRAIN:
        words.append("training samples only, whose margins were trained")
    if size < SMALLEST_SAMPLE:
        words.append(f"fewer than {SMALLEST_SAMPLE} samples")
    words.append(f"{100 * main.not_positive:.0f}% of the classes have a mean margin of zero or less")
    words.append(f"permutation p = {main.permutation_p:.3f}" if np.isfinite(main.permutation_p) else "")
    absent, untrained = int(np.sum(details["samples"][part] == 0)), int(np.sum(details["counts"] == 0))
    words.append(f"{absent} classes without samples" if absent else "")
    words.append(_left_out(details))
    words.append(f"{untrained} classes never trained on, left out" if untrained else "")
    if artifact.train_counts is None and "train" not in artifact.split_names:
        words.append("no training counts are known; counted from the samples given")
    words.append(UNLABELLED_COUNTED if has_unlabelled(artifact) else "")
    return "; ".join(word for word in (*words, condition) if word)


def _left_out(details: Mapping[str, Any]) -> str:
    part = details["decides"]
    unlinked = int(np.sum((details["samples"][part] > 0) & ~np.isfinite(details["parts"][part][DECIDES].value)))
    return f"{unlinked} classes left out, {NOT_LINKED}" if unlinked else ""


def _rule(judged: Mapping[str, Verdict], n: int, level: float) -> Verdict:
    """The verdict on the n^(-1/4) rule from those on each scale."""
    main = judged[RULE_SCALE]
    if "parts" not in main.details:
        return undecided(RULE_CLAIM, main.note, n=n, level=level)
    known = {scale: entry.details["parts"] for scale, entry in judged.items() if "parts" in entry.details}
    part = main.details["decides"]
    linear, logarithmic = (getattr(known[RULE_SCALE][part][DECIDES], name) for name in ("slope", "log_slope"))
    details = {
        "log_slopes": {
            name: {
                statistic: {scale: found[name][statistic].log_slope for scale, found in known.items()}
                for statistic in STATISTICS
            }
            for name in known[RULE_SCALE]
        },
        "slope": linear,
        "decides": part,
    }
    linked = np.isfinite(known[RULE_SCALE][part][DECIDES].value)
    enough = int(main.details["samples"][part][linked].sum()) >= SMALLEST_SAMPLE
    outcome: Outcome = "undecided"
    note = [] if enough else [f"fewer than {SMALLEST_SAMPLE} samples"]
    if np.isfinite(logarithmic.estimate):
        estimate = logarithmic
        if enough and BAND[0] <= estimate.low and estimate.high <= BAND[1]:
            outcome = "holds"
        elif enough and (estimate.high < BAND[0] or estimate.low > BAND[1]):
            outcome = "does not hold"
        note.append("the number is the exponent of n_k")
    else:
        estimate = linear
        note.append(logarithmic.method.removeprefix("undefined: "))
        if np.isfinite(linear.estimate):
            note.append("the number is the slope of the margin itself, which the rule wants negative")
            outcome = "does not hold" if enough and linear.low > 0 else "undecided"
    note.append(_left_out(main.details))
    return verdict(RULE_CLAIM, outcome, estimate, "; ".join(word for word in note if word), details)
