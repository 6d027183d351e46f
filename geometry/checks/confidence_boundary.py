"""Check: does confidence follow the distance to the decision boundary, in feature space and in input space?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.checks.boundary_spaces import (
    FEATURES,
    INPUTS,
    Space,
    feature_space,
    input_space,
    is_recorded,
    log_odds,
    parts,
    signed_boundary_distance,
    strata,
)
from geometry.checks.nearer_half import NearerHalf, nearer_half
from geometry.checks.verdict import Claim, Verdict, decide, undecided, verdict
from geometry.intervals import Interval, percentile_interval, stratified_resamples, undefined
from geometry.rank_correlation import spearman, spearman_interval

__all__ = ["claim_about", "confidence_boundary", "half_claim", "log_odds", "signed_boundary_distance"]

Array = NDArray[np.float64]
Masks = Mapping[str, NDArray[np.bool_]]

THRESHOLD = 0.5
CHANCE = 0.5
SMALLEST_SAMPLE = 30
SMALLEST_CLASS = 10
MOST_MISSING = 0.05
SCATTER_POINTS = 2000
NOT_RECORDED = (
    "no distances in input space are recorded; `tailgeom extract RUN --probes boundary_distance` measures them"
)


@dataclass(frozen=True, eq=False)
class Scatter:
    """Points for the figure: at most 2000 samples, evenly spaced over the artifact's order.

    Attributes:
        confidence: ``(P,)`` softmax probability of the true class.
        distance: ``(P,)`` signed distance in units of the space.
        label: ``(P,)`` class.
        domain: ``(P,)`` domain.
        correct: ``(P,)`` whether the prediction is right.
    """

    confidence: Array
    distance: Array
    label: NDArray[np.int64]
    domain: NDArray[np.int64]
    correct: NDArray[np.bool_]


def claim_about(space: str) -> Claim:
    """The claim that confidence follows the signed distance in one space."""
    return Claim(
        check="confidence_boundary",
        subject=space,
        sentence=f"The confidence in the true class follows the signed distance to the decision boundary in {space}.",
        source="assumption behind hard negatives chosen by confidence (NDCL, arXiv 2601.21999); the test is ours",
        rule=f"Spearman correlation of p_y and the signed distance: holds if its interval lies above {THRESHOLD}, does "
        f"not hold if it lies below, undecided otherwise or with fewer than {SMALLEST_SAMPLE} samples{_also(space)}.",
    )


def half_claim(space: str) -> Claim:
    """The claim that the less confident half of a class is nearer in one space."""
    return Claim(
        check="confidence_boundary",
        subject=f"low half is nearer, {space}",
        sentence=f"Of each class, the half of lower confidence lies nearer to the decision boundary in {space}.",
        source="what choosing hard positives by low confidence needs (NDCL, arXiv 2601.21999); the test is ours",
        rule="Probability that a sample of the lower half of its class by p_y is nearer to the boundary, on whichever "
        f"side, than one of the upper half, mean over classes of at least {SMALLEST_CLASS} samples: holds if its "
        f"interval lies above {CHANCE}, does not hold if it lies below, undecided otherwise or with fewer than "
        f"{SMALLEST_SAMPLE} samples in such classes{_also(space)}.",
    )


def _also(space: str) -> str:
    return f", or when over {100 * MOST_MISSING:.0f}% of the recorded ones have no distance" if space == INPUTS else ""


def confidence_boundary(
    artifact: Artifact, *, rng: np.random.Generator, resamples: int = 200, level: float = 0.95
) -> tuple[Verdict, ...]:
    """Test whether confidence follows distance to the boundary: the exact one of a linear head, and DeepFool's.

    In each space two numbers decide two claims. The first is Spearman's correlation of ``p_y`` and the signed distance.
    It can be carried by the sign alone: a misclassified sample has low p_y and negative distance by definition. The
    second therefore asks what choosing hard positives by low p_y needs: whether the less confident half of a class
    lies nearer on either side (:func:`geometry.checks.nearer_half.nearer_half`). In the ``details`` of the first and
    (``halves``) of the second stand, for all samples, right and wrong ones apart, each domain and each shot group:

    * ``correlations/signed``: the correlation that decides;
    * ``correlations/unsigned``: of the top probability and the distance without sign, blind to the label;
    * ``correlations/near``: of ``p_y`` and the distance without sign;
    * ``correlations/to_true_class`` (feature space): of ``p_y`` and ``min_{j != y} (z_y - z_j) / ||w_y - w_j||``;
    * ``correlations/spaces`` (input space): of the two spaces' signed distances, and ``correlations/feature_signed``,
      of ``p_y`` and the one in feature space, on the very samples that were recorded;
    * ``halves``: the probability that the less confident half is nearer.

    ``source_minus_target`` holds the difference of ``signed`` and of ``near`` between the sources and the held-out
    domain, with its interval.

    Some of the agreement in feature space is built in: confidence and distance read the same logits. With two classes
    and logits of the head the two are one monotone function of each other and the correlation is exactly 1. What the
    check can find are many rivals at once, head rows of unequal distance (as minority collapse makes them), and logits
    that were adjusted or scaled after the head. Input space adds what the backbone does: how steep its logits are
    around each sample.

    Intervals of correlations are those of :func:`geometry.rank_correlation.spearman_interval`, from the influence of
    each sample on Fisher's z, since they keep their level better than a bootstrap's; those of halves and differences
    are percentile bootstraps.

    Args:
        artifact: with logits and head weight; for input space with the arrays of the probe ``boundary_distance``.
        rng: source of randomness.
        resamples: bootstrap redraws behind halves and differences.
        level: nominal coverage.

    Returns:
        Verdicts on feature space and on its lower half, then the same on input space; one undecided verdict in place
        of two for a space that the artifact cannot speak to.

    Raises:
        DataError: recorded distances are malformed.
    """
    n = len(artifact.labels)
    if artifact.num_classes < 2:
        return (undecided(claim_about(FEATURES), "there is only one class", n=n, level=level),)
    verdicts: list[Verdict] = []
    if artifact.head_weight is None:
        reason = "an exact distance needs the weights of a linear head"
        verdicts.append(undecided(claim_about(FEATURES), reason, n=n, level=level))
    else:
        verdicts += _judge(feature_space(artifact), artifact, rng, resamples, level)
    if is_recorded(artifact):
        verdicts += _judge(input_space(artifact), artifact, rng, resamples, level)
    else:
        verdicts.append(undecided(claim_about(INPUTS), NOT_RECORDED, level=level))
    return tuple(verdicts)


def _judge(
    space: Space, artifact: Artifact, rng: np.random.Generator, resamples: int, level: float
) -> tuple[Verdict, Verdict]:
    masks, cells = parts(space, artifact), strata(space, artifact.num_classes)
    distance = np.abs(space.signed)
    measures = {
        "signed": (space.confidence, space.signed),
        "unsigned": (space.top, distance),
        "near": (space.confidence, distance),
    }
    if space.to_true_class is not None:
        measures["to_true_class"] = (space.confidence, space.to_true_class)
    if space.beside is not None:
        measures |= {"spaces": (space.beside, space.signed), "feature_signed": (space.confidence, space.beside)}
    correlations: dict[str, dict[str, Interval]] = {name: {} for name in measures}
    halves: dict[str, NearerHalf] = {}
    for part, mask in masks.items():
        n = int(mask.sum())
        if n < SMALLEST_SAMPLE:
            nothing = undefined(n, f"fewer than {SMALLEST_SAMPLE} samples", level)
            correlations = {name: found | {part: nothing} for name, found in correlations.items()}
            halves[part] = NearerHalf(nothing, 0, int(np.unique(space.labels[mask]).size))
            continue
        for name, (first, second) in measures.items():
            correlations[name][part] = spearman_interval(first[mask], second[mask], cells[mask], level=level)
        halves[part] = nearer_half(
            space.confidence[mask],
            distance[mask],
            space.labels[mask],
            cells[mask],
            rng=rng,
            fewest=SMALLEST_CLASS,
            resamples=resamples,
            level=level,
        )
    estimate, half = correlations["signed"]["all"], halves["all"]
    enough = space.labels.size >= SMALLEST_SAMPLE and space.missing <= MOST_MISSING
    wrong = float(np.mean(space.signed <= 0)) if space.signed.size else float("nan")  # a tie is an error, as in risks
    details = {
        "space": space.name,
        "correlations": correlations,
        "source_minus_target": _differences(space, artifact, masks, cells, rng, resamples, level),
        "misclassified": wrong,
        "missing": space.missing,
        "scatter": _scatter(space),
    }
    outcome = decide(estimate, THRESHOLD, enough=enough)
    followed = verdict(
        claim_about(space.name), outcome, estimate, _note(space, estimate, wrong, correlations["near"]), details
    )
    outcome = decide(half.probability, CHANCE, enough=enough and half.probability.n >= SMALLEST_SAMPLE)
    note = _half_note(halves, enough, artifact.held_out)
    return followed, verdict(
        half_claim(space.name), outcome, half.probability, note, {"space": space.name, "halves": halves}
    )


def _differences(
    space: Space,
    artifact: Artifact,
    masks: Masks,
    cells: NDArray[np.int64],
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> dict[str, Interval]:
    """Sources minus target of the correlations ``signed`` and ``near``; nothing without a held-out domain."""
    sides = [masks.get("domain sources"), masks.get(f"domain {artifact.held_out}")]
    if any(side is None or side.sum() < SMALLEST_SAMPLE for side in sides):
        return {}
    rows = [np.flatnonzero(side) for side in sides if side is not None]
    n = sum(row.size for row in rows)
    # The two sides are redrawn apart, so each redraw serves both measures.
    redrawn = list(zip(*(stratified_resamples(cells[row], resamples, rng) for row in rows), strict=True))

    def difference(values: Array, index: tuple[NDArray[np.intp], ...]) -> float:
        source, target = (
            spearman(space.confidence[row][drawn], values[row][drawn]) for row, drawn in zip(rows, index, strict=True)
        )
        return source - target

    whole = tuple(np.arange(row.size) for row in rows)
    return {
        name: percentile_interval(
            difference(values, whole), [difference(values, index) for index in redrawn], n=n, level=level
        )
        for name, values in (("signed", space.signed), ("near", np.abs(space.signed)))
    }


def _scatter(space: Space) -> Scatter:
    n = space.labels.size
    index = np.unique(np.linspace(0, max(n - 1, 0), min(n, SCATTER_POINTS)).round().astype(np.intp))
    odds = space.confidence[index]
    # p = 1 / (1 + e^-odds), with the exponent kept negative on both sides.
    fading = np.exp(-np.abs(odds))
    return Scatter(
        confidence=np.where(odds >= 0, 1.0, fading) / (1.0 + fading),
        distance=space.signed[index],
        label=space.labels[index],
        domain=space.domains[index],
        correct=space.correct[index],
    )


def _note(space: Space, estimate: Interval, wrong: float, near: Mapping[str, Interval]) -> str:
    said = [f"{100.0 * wrong:.1f}% of the samples are misclassified"] if np.isfinite(wrong) else []
    unsigned = {name.removeprefix("shot "): near[name] for name in near if not name.startswith("domain ")}
    values = [f"{name} {value.estimate:.2f}" for name, value in unsigned.items() if np.isfinite(value.estimate)]
    if values:
        said.append(f"against the distance without sign: {', '.join(values)}")
    said += space.conditions
    if estimate.n < SMALLEST_SAMPLE:
        said.append(f"fewer than {SMALLEST_SAMPLE} samples")
    elif not np.isfinite(estimate.estimate):
        said.append("confidence or distance does not vary")
    return "; ".join(said)


def _half_note(halves: Mapping[str, NearerHalf], enough: bool, held_out: str | None) -> str:
    half = halves["all"]
    named = {"domain sources": "sources", f"domain {held_out}": f"target {held_out}"}
    values = [
        f"{named.get(part, part.removeprefix('shot '))} {value.probability.estimate:.2f}"
        for part, value in halves.items()
        if (part in named or not part.startswith("domain ")) and np.isfinite(value.probability.estimate)
    ]
    said = [f"{half.classes} classes judged, {half.left_out} left out as too small or of one confidence"]
    if values:
        said.append(", ".join(values))
    if not enough or half.probability.n < SMALLEST_SAMPLE:
        said.append("too few to decide")
    return "; ".join(said)
