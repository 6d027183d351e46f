"""Check: does confidence follow the distance to the decision boundary?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.bound.margin import geometric_margin
from geometry.bound.samples import head_scores, logits_follow_head
from geometry.checks.rank_correlation import spearman_interval
from geometry.checks.verdict import Claim, Verdict, decide, undecided, verdict
from geometry.intervals import Interval, undefined
from geometry.shots import group_masks

Array = NDArray[np.float64]

THRESHOLD = 0.5
SMALLEST_SAMPLE = 30
SCATTER_POINTS = 2000
CLAIM = Claim(
    check="confidence_boundary",
    sentence="The confidence in the true class follows the signed distance to the decision boundary in feature space.",
    source="assumption behind hard negatives chosen by confidence (NDCL, arXiv 2601.21999); the test is ours",
    rule=f"Spearman correlation of p_y and the signed distance: holds if its interval lies above {THRESHOLD}, does not "
    f"hold if it lies below, undecided otherwise or with fewer than {SMALLEST_SAMPLE} samples.",
)


@dataclass(frozen=True, eq=False)
class Scatter:
    """Points for the figure: at most 2000 samples, evenly spaced over the artifact's order.

    Attributes:
        confidence: ``(P,)`` softmax probability of the true class.
        distance: ``(P,)`` signed distance in feature units.
        label: ``(P,)`` class.
        domain: ``(P,)`` domain.
        correct: ``(P,)`` whether the prediction is right.
    """

    confidence: Array
    distance: Array
    label: NDArray[np.int64]
    domain: NDArray[np.int64]
    correct: NDArray[np.bool_]


def signed_boundary_distance(scores: Array, labels: NDArray[np.int64], head_weight: Array) -> Array:
    """Exact distance to the nearest point where the prediction changes, negative when misclassified, ``(N,)``.

    ``s_i d_i`` with ``d_i = min_{j != yhat} (z_yhat - z_j) / ||w_yhat - w_j|| >= 0`` and ``s_i = +1`` where
    ``yhat = y``, else -1. The region of the predicted class is an intersection of half-spaces that holds the sample,
    so ``d_i`` is exact for every sample, misclassified ones included.

    Args:
        scores: ``(N, K)`` scores of the linear head.
        labels: ``(N,)`` true classes.
        head_weight: ``(K, D)``.
    """
    predicted = scores.argmax(axis=1)
    distance = geometric_margin(scores, predicted, head_weight)
    return np.where(predicted == labels, distance, -distance)


def log_odds(scores: Array, labels: NDArray[np.int64]) -> Array:
    """``log p_y - log(1 - p_y) = z_y - log sum_{j != y} e^{z_j}``, ``(N,)``: ranks like p_y but never saturates.

    Args:
        scores: ``(N, K)`` logits, K >= 2.
        labels: ``(N,)``.
    """
    every = np.arange(labels.size)
    rivals = np.array(scores, dtype=np.float64)
    own = rivals[every, labels].copy()
    rivals[every, labels] = -np.inf
    top = rivals.max(axis=1)
    return np.asarray(own - top - np.log(np.exp(rivals - top[:, None]).sum(axis=1)))


def confidence_boundary(
    artifact: Artifact, *, rng: np.random.Generator, resamples: int = 200, level: float = 0.95
) -> tuple[Verdict, ...]:
    """Test whether confidence follows exact signed distance to the boundary of a linear head.

    The number that decides is Spearman's correlation of ``p_y`` and :func:`signed_boundary_distance` over all samples
    given. In ``details`` stand, for all samples, each domain and each shot group:

    * ``signed``: the same correlation;
    * ``unsigned``: of the top probability and the distance without sign, blind to the label;
    * ``near``: of ``p_y`` and the distance without sign. It separates "low p_y is near the boundary", which choosing
      hard positives by low p_y needs, from "low p_y is misclassified", which alone can carry ``signed``;
    * ``to_true_class``: of ``p_y`` and ``min_{j != y} (z_y - z_j) / ||w_y - w_j||``.

    Some of the agreement is built in: confidence and distance read the same logits. With two classes and logits of
    the head the two are one monotone function of each other and the correlation is exactly 1. What the check can
    find are many rivals at once, head rows of unequal distance (as minority collapse makes them), and logits that
    were adjusted or scaled after the head.

    Args:
        artifact: with logits and head weight (its logits may differ from the head's scores; the note says so).
        rng: source of randomness.
        resamples: bootstrap redraws.
        level: nominal coverage.

    Returns:
        One verdict.
    """
    n = len(artifact.labels)
    if artifact.num_classes < 2:
        return (undecided(CLAIM, "there is only one class", n=n, level=level),)
    if artifact.head_weight is None:
        return (undecided(CLAIM, "an exact distance needs the weights of a linear head", n=n, level=level),)
    labels, from_head = artifact.labels, head_scores(artifact)
    scores = from_head if artifact.logits is None else artifact.logits.astype(np.float64)
    signed = signed_boundary_distance(from_head, labels, artifact.head_weight)
    to_true_class = geometric_margin(from_head, labels, artifact.head_weight)
    confidence = log_odds(scores, labels)
    top = log_odds(scores, scores.argmax(axis=1))
    measures = {
        "signed": (confidence, signed),
        "unsigned": (top, np.abs(signed)),
        "near": (confidence, np.abs(signed)),
        "to_true_class": (confidence, to_true_class),
    }
    groups = _parts(artifact)
    strata = artifact.domains * artifact.num_classes + labels
    correlations: dict[str, dict[str, Interval]] = {name: {} for name in measures}
    for group, mask in groups.items():
        for name, (first, second) in measures.items():
            if int(mask.sum()) < SMALLEST_SAMPLE:
                reason = f"fewer than {SMALLEST_SAMPLE} samples"
                correlations[name][group] = undefined(int(mask.sum()), reason, level)
                continue
            correlations[name][group] = spearman_interval(
                first[mask], second[mask], strata[mask], rng=rng, resamples=resamples, level=level
            )
    estimate = correlations["signed"]["all"]
    wrong = float(np.mean(signed <= 0))  # a tie counts as an error, as in the risks
    details = {
        "correlations": correlations,
        "misclassified": wrong,
        "scatter": _scatter(artifact, from_head, confidence, signed),
    }
    outcome = decide(estimate, THRESHOLD, enough=n >= SMALLEST_SAMPLE)
    note = _note(artifact, from_head, estimate, wrong, correlations["near"])
    return (verdict(CLAIM, outcome, estimate, note, details),)


def _parts(artifact: Artifact) -> dict[str, NDArray[np.bool_]]:
    """Masks of all samples, of the sources, of each domain (where there are several) and of each shot group."""
    parts = {"all": np.ones(len(artifact.labels), dtype=bool)}
    present = np.unique(artifact.domains)
    if present.size > 1:
        if artifact.held_out is not None:
            parts["domain sources"] = artifact.domains != artifact.domain_names.index(artifact.held_out)
        parts |= {f"domain {artifact.domain_names[m]}": artifact.domains == m for m in present}
    if artifact.shots is not None:
        parts |= {f"shot {name}": mask[artifact.labels] for name, mask in group_masks(artifact.shots).items()}
    return parts


def _scatter(artifact: Artifact, from_head: Array, confidence: Array, signed: Array) -> Scatter:
    n = len(artifact.labels)
    index = np.unique(np.linspace(0, n - 1, min(n, SCATTER_POINTS)).round().astype(np.intp))
    odds = confidence[index]
    # p = 1 / (1 + e^-odds), with the exponent kept negative on both sides.
    fading = np.exp(-np.abs(odds))
    return Scatter(
        confidence=np.where(odds >= 0, 1.0, fading) / (1.0 + fading),
        distance=signed[index],
        label=artifact.labels[index],
        domain=artifact.domains[index],
        correct=from_head.argmax(axis=1)[index] == artifact.labels[index],
    )


def _note(artifact: Artifact, from_head: Array, estimate: Interval, wrong: float, near: Mapping[str, Interval]) -> str:
    parts = [f"{100.0 * wrong:.1f}% of the samples are misclassified"]
    unsigned = {name.removeprefix("shot "): near[name] for name in near if not name.startswith("domain ")}
    values = [f"{name} {value.estimate:.2f}" for name, value in unsigned.items() if np.isfinite(value.estimate)]
    if values:
        parts.append(f"against the distance without sign: {', '.join(values)}")
    if not logits_follow_head(artifact, from_head):
        parts.append("the logits are not the head's scores; distances are to the head's own boundary")
    if estimate.n < SMALLEST_SAMPLE:
        parts.append(f"fewer than {SMALLEST_SAMPLE} samples")
    elif not np.isfinite(estimate.estimate):
        parts.append("confidence or distance does not vary")
    return "; ".join(parts)
