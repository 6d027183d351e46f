"""Confidence and boundary distance of the samples of an artifact, in the space of features and in that of inputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.bound.margin import geometric_margin
from geometry.errors import DataError
from geometry.linear_head import follows_head, head_scores
from geometry.shots import group_masks

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

PREFIX = "boundary_distance/"
FEATURES, INPUTS = "feature space", "input space"
FEWEST_IN_STRATUM = 20


@dataclass(frozen=True, eq=False)
class Space:
    """Samples with their confidence and their distance to the boundary in one space.

    Attributes:
        name: ``feature space`` or ``input space``.
        confidence: ``(n,)`` log-odds of the true class.
        top: ``(n,)`` log-odds of the class of the highest score.
        signed: ``(n,)`` distance, negative where the prediction is not the label.
        correct: ``(n,)`` whether the prediction is the label.
        labels: ``(n,)`` classes.
        domains: ``(n,)`` domains.
        conditions: what holds of these numbers, for the note.
        to_true_class: ``(n,)`` margin of the true class over every rival, where the classifier is linear.
        beside: ``(n,)`` signed distance of the same samples in feature space, where this is another space.
        missing: share of the samples for which no distance was found.
    """

    name: str
    confidence: Array
    top: Array
    signed: Array
    correct: NDArray[np.bool_]
    labels: Labels
    domains: Labels
    conditions: tuple[str, ...] = ()
    to_true_class: Array | None = None
    beside: Array | None = None
    missing: float = 0.0


def signed_boundary_distance(scores: Array, labels: Labels, head_weight: Array) -> Array:
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


def log_odds(scores: Array, labels: Labels) -> Array:
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


def feature_space(artifact: Artifact) -> Space:
    """Every sample of an artifact that has a linear head, with the exact distance.

    Confidence is that of the artifact's logits, which may differ from the head's scores (a condition says so).
    """
    artifact.require("head_weight")
    assert artifact.head_weight is not None
    labels, from_head = artifact.labels, head_scores(artifact)
    scores = from_head if artifact.logits is None else artifact.logits.astype(np.float64)
    follows = follows_head(artifact)
    return Space(
        name=FEATURES,
        confidence=log_odds(scores, labels),
        top=log_odds(scores, scores.argmax(axis=1)),
        signed=signed_boundary_distance(from_head, labels, artifact.head_weight),
        correct=from_head.argmax(axis=1) == labels,
        labels=labels,
        domains=artifact.domains,
        conditions=()
        if follows
        else ("the logits are not the head's scores; distances are to the head's own boundary",),
        to_true_class=geometric_margin(from_head, labels, artifact.head_weight),
    )


def input_space(artifact: Artifact) -> Space:
    """The samples whose minimum-norm distance a probe recorded, out of the splits and domains of the artifact.

    The probe's ``boundary_distance/index`` counts in the artifact as extracted; a selection of its samples is matched
    by the ``split`` and ``domain`` recorded beside it. Samples without a distance are left out and counted.

    Raises:
        DataError: recorded arrays are incomplete, of unequal length, or hold impossible values.
    """
    values, labels, domains, logits = _recorded(artifact)
    found = np.isfinite(values)
    missing = float(1.0 - found.mean()) if found.size else 0.0
    values, labels, domains, logits = values[found], labels[found], domains[found], logits[found]
    predicted = logits.argmax(axis=1)
    how = "distances are DeepFool's, upper bounds of the least change of an input that is not clipped"
    beside = None
    if artifact.head_weight is not None:
        beside = signed_boundary_distance(logits, labels, artifact.head_weight)
        if found.any() and np.allclose(beside, values, rtol=1e-4):
            how = "the inputs are the features themselves: both spaces are one, and distances exact"
    lost = f"{int((~found).sum())} of {found.size} recorded samples have no distance and are left out"
    return Space(
        name=INPUTS,
        confidence=log_odds(logits, labels),
        top=log_odds(logits, predicted),
        signed=values,
        correct=predicted == labels,
        labels=labels,
        domains=domains,
        conditions=(how, lost) if missing > 0 else (how,),
        beside=beside,
        missing=missing,
    )


def is_recorded(artifact: Artifact) -> bool:
    """Whether any array of the probe is there."""
    return any(name.startswith(PREFIX) for name in artifact.probes)


def parts(space: Space, artifact: Artifact) -> dict[str, NDArray[np.bool_]]:
    """Masks of all samples, right and wrong ones, the sources, each domain (of several) and each shot group."""
    chosen = {"all": np.ones(space.labels.size, dtype=bool), "correct": space.correct, "misclassified": ~space.correct}
    present = np.unique(space.domains)
    if present.size > 1:
        if artifact.held_out is not None:
            chosen["domain sources"] = space.domains != artifact.domain_names.index(artifact.held_out)
        chosen |= {f"domain {artifact.domain_names[m]}": space.domains == m for m in present}
    if artifact.shots is not None:
        chosen |= {f"shot {name}": mask[space.labels] for name, mask in group_masks(artifact.shots).items()}
    return chosen


def strata(space: Space, num_classes: int) -> Labels:
    """``(n,)`` the cell of domain and class that each sample is redrawn in.

    Cells of fewer than 20 samples are one stratum together: redrawing m samples inside their cell understates the
    variance by 1/m, all of it in a cell of one, and many small cells would make the interval too short.
    """
    cells = space.domains * num_classes + space.labels
    _, code, sizes = np.unique(cells, return_inverse=True, return_counts=True)
    return np.where(sizes[code] < FEWEST_IN_STRATUM, -1, code).astype(np.int64)


def _recorded(artifact: Artifact) -> tuple[Array, Labels, Labels, Array]:
    arrays = {}
    for part in ("distance", "label", "domain", "split", "logits"):
        if PREFIX + part not in artifact.probes:
            raise DataError(f"Expected a probe array {PREFIX + part!r} beside the others; record it and try again.")
        arrays[part] = np.asarray(artifact.probes[PREFIX + part])
    n, logits = arrays["distance"].shape, arrays["logits"].astype(np.float64)
    if len(n) != 1 or any(arrays[part].shape != n for part in ("label", "domain", "split")):
        raise DataError(f"Expected arrays (n,) of one length under {PREFIX}.")
    if logits.shape != (*n, artifact.num_classes) or not np.all(np.isfinite(logits)):
        raise DataError(f"Expected finite logits (n, {artifact.num_classes}) under {PREFIX}logits, got {logits.shape}.")
    limits = {
        "label": artifact.num_classes,
        "domain": artifact.num_domains,
        "split": len(artifact.split_names),
    }
    for part, most in limits.items():
        codes = arrays[part]
        if codes.dtype.kind not in "iu" or (codes.size and not 0 <= codes.min() <= codes.max() < most):
            raise DataError(f"Expected integers in 0..{most - 1} under {PREFIX}{part}.")
    distance = arrays["distance"].astype(np.float64)
    wrong = logits.argmax(axis=1) != arrays["label"]
    if np.any(np.where(wrong, distance > 0, distance < 0)):
        raise DataError(f"Expected {PREFIX}distance to be negative exactly where the prediction is not the label.")
    here = np.isin(arrays["split"], artifact.split) & np.isin(arrays["domain"], artifact.domains)
    return (
        distance[here],
        arrays["label"][here].astype(np.int64),
        arrays["domain"][here].astype(np.int64),
        logits[here],
    )
