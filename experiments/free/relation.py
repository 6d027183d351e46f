r"""FixCLR's repelling beside InfoNCE, SupCon and NDCL's contrast on one batch: forces between pairs, in closed form.

With cosines s_ij, anchors averaged over samples, and the nearest negatives' weights ``r_i = softmax_n(s_in / tau)``:

* repelling: ``l_i = log sum_n e^{s_in/tau}``, forces ``r_in``;
* InfoNCE of the pair (i, p) is ``softplus(l_i - s_ip/tau)``: forces ``g_ip r_in`` and ``-g_ip``, g the sigmoid;
* SupCon: ``rho_i r_in`` and ``q_ip - 1/|P|``, q the softmax over positives and negatives, rho the negatives' share;
* NDCL: ``h_i a_in`` and ``-h_i b_ip``, ``h = P/(P + N)``, with weights ``a_i = softmax_n(-s_in/tau)`` and
  ``b_i = softmax_p(-s_ip/tau)``: of the *farthest* negatives and positives. Its log N alone (h = 1, no positives)
  is repelling reflected, ``log N_i = 1/tau + l_i(-s)``.

All divided by tau. The identities are ours; the losses are those of :mod:`experiments.losses`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logsumexp

from experiments.free.spaces import UnitVectors
from geometry.errors import UsageError

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]

REPEL = "repel-only"
NEGATIVES = "NDCL, negatives alone"
LOSSES = (REPEL, "InfoNCE", "SupCon", "NDCL", NEGATIVES)
CLASSES, EACH = 5, 8
DIMENSION = 16
CLOSENESS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99)
TEMPERATURES = (1.0, 0.5, 0.1)
SEEDS = 5
SPREAD, PEAK = 1.0, 6.0
"""Standard deviation of the random logits, and height of the one-hot logits, whose softmax are the predictions."""
HEADER = (
    "space",
    "tau",
    "closeness",
    "loss",
    "value",
    "norm",
    "cosine",
    "cosine_low",
    "cosine_high",
    "repulsion_cosine",
    "attraction",
    "own_class",
    "own_class_low",
    "own_class_high",
    "seeds",
)


@dataclass(frozen=True, eq=False)
class Forces:
    """A loss on a batch as forces between pairs of samples.

    Attributes:
        value: the loss, averaged over anchors.
        repulsion: ``(B, B)`` derivatives of the loss by the cosines of negatives, >= 0; 0 for other pairs.
        attraction: ``(B, B)`` likewise of positives.
    """

    value: float
    repulsion: Array
    attraction: Array


def forces(vectors: Array, labels: Labels, *, tau: float) -> dict[str, Forces]:
    """The forces of every loss of :data:`LOSSES` on one batch.

    Args:
        vectors: ``(B, D)``, normalised here.
        labels: ``(B,)``, two classes or more of two samples or more each.
        tau: temperature > 0.

    Raises:
        UsageError: a class of one sample, a single class, or a temperature that is not positive.
    """
    same = labels[:, None] == labels[None, :]
    if not tau > 0 or same.all() or same.sum(axis=1).min() < 2:
        raise UsageError("Expected a positive tau and two classes or more with two samples or more each.")
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = units @ units.T / tau
    positive, negative = same & ~np.eye(len(labels), dtype=bool), ~same
    near, far = _log_sum(scores, negative), _log_sum(-scores, negative)
    hard, easy = _share(scores, near, negative), _share(-scores, far, negative)
    number = positive.sum(axis=1, keepdims=True)
    mean_positive = np.where(positive, scores, 0.0).sum(axis=1, keepdims=True) / number

    gate = np.where(positive, expit(near - scores), 0.0) / number
    pairs = np.where(positive, np.logaddexp(0.0, near - scores), 0.0).sum(axis=1, keepdims=True) / number

    everything = np.logaddexp(near, _log_sum(scores, positive))
    drawn = _share(scores, everything, positive) - positive / number

    log_positives = _log_sum(-scores, positive)  # each less 1/tau, as the negatives
    opened = expit(log_positives - far)
    found = {
        REPEL: (near, hard, 0.0 * hard),
        "InfoNCE": (pairs, gate.sum(axis=1, keepdims=True) * hard, -gate),
        "SupCon": (everything - mean_positive, np.exp(near - everything) * hard, drawn),
        "NDCL": (
            np.logaddexp(0.0, log_positives - far),
            opened * easy,
            -opened * _share(-scores, log_positives, positive),
        ),
        NEGATIVES: (-far - 1.0 / tau, easy, 0.0 * easy),
    }
    part = 1.0 / (tau * len(labels))
    return {
        name: Forces(float(value.mean()), part * repulsion, part * attraction)
        for name, (value, repulsion, attraction) in found.items()
    }


def gradient(vectors: Array, pairs: Array) -> Array:
    """``(B, D)`` gradient by the vectors of a function of their cosines, from its derivatives ``pairs`` by these."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / lengths
    return _tangent(units, (pairs + pairs.T) @ units) / lengths


def compare(vectors: Array, labels: Labels, *, tau: float, predictions: bool = False) -> dict[str, dict[str, float]]:
    """Every loss of :data:`LOSSES` against repelling on one batch.

    Args:
        vectors: ``(B, D)`` features or predictions.
        labels: ``(B,)``, two classes or more of two samples or more each.
        tau: temperature > 0.
        predictions: take all gradients by the logits behind the softmax: by the predictions themselves, most of a
            gradient near a corner points out of the probability simplex, where no logits lead.

    Returns:
        By loss: ``value``; ``norm`` of its gradient; ``cosine`` of that with repelling's, over the batch as one vector;
        ``repulsion_cosine``, the same of the gradient's part that comes from negatives; ``attraction``, the length of
        the part from positives over the sum of both lengths; ``own_class``, the cosine of the descent with that of
        attraction alone, every vector towards the mean of the others of its class. NaN where a part vanishes.
    """

    def by_inputs(along: Array) -> Array:
        return vectors * (along - (vectors * along).sum(axis=1, keepdims=True)) if predictions else along

    every = forces(vectors, labels, tau=tau)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    same = (labels[:, None] == labels[None, :]) & ~np.eye(len(labels), dtype=bool)
    mates = same / same.sum(axis=1, keepdims=True) @ units
    home = by_inputs(_tangent(units, mates) / np.linalg.norm(vectors, axis=1, keepdims=True))
    reference = by_inputs(gradient(vectors, every[REPEL].repulsion))
    answer = {}
    for name, one in every.items():
        apart, together = (by_inputs(gradient(vectors, pairs)) for pairs in (one.repulsion, one.attraction))
        whole = apart + together
        lengths = np.linalg.norm(apart), np.linalg.norm(together)
        answer[name] = {
            "value": one.value,
            "norm": float(np.linalg.norm(whole)),
            "cosine": _cosine(whole, reference),
            "repulsion_cosine": _cosine(apart, reference),
            "attraction": float(lengths[1] / sum(lengths)) if sum(lengths) else float("nan"),
            "own_class": _cosine(-whole, home),
        }
    return answer


def batch(space: str, closeness: float, rng: np.random.Generator) -> tuple[Array, Labels]:
    """A batch between chance (closeness 0) and the simplex (1): unit vectors, or softmax predictions.

    Raises:
        UsageError: another space.
    """
    labels = np.repeat(np.arange(CLASSES), EACH)
    if space == "vectors":
        corners = UnitVectors(labels, DIMENSION).simplex.reshape(-1, DIMENSION)
        noise = rng.standard_normal(corners.shape)
        mixed = (1 - closeness) * noise / np.linalg.norm(noise, axis=1, keepdims=True) + closeness * corners
        return mixed / np.linalg.norm(mixed, axis=1, keepdims=True), labels
    if space != "predictions":
        raise UsageError(f"Expected a batch of vectors or predictions, got {space!r}.")
    logits = (1 - closeness) * SPREAD * rng.standard_normal((len(labels), CLASSES)) + closeness * PEAK * np.eye(
        CLASSES
    )[labels]
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True), labels


def relation(*, seed: int = 0) -> list[dict[str, Any]]:
    """:func:`compare` on batches from chance to the simplex: means, lows and highs over seeds, a row a loss."""
    return list(_rows(seed))


def _rows(seed: int) -> Iterator[dict[str, Any]]:
    for space in ("vectors", "predictions"):
        for tau in TEMPERATURES:
            for closeness in CLOSENESS:
                streams = np.random.default_rng(seed).spawn(SEEDS)
                found = [
                    compare(*batch(space, closeness, stream), tau=tau, predictions=space == "predictions")
                    for stream in streams
                ]
                for loss in LOSSES:
                    yield {"space": space, "tau": tau, "closeness": closeness, "loss": loss} | _over_seeds(
                        [one[loss] for one in found]
                    )


def _over_seeds(found: list[Mapping[str, float]]) -> dict[str, Any]:
    seen = {name: np.array([one[name] for one in found]) for name in found[0]}
    ends = {
        f"{name}_{word}": float(end(seen[name]))
        for name in ("cosine", "own_class")
        for word, end in (("low", np.min), ("high", np.max))
    }
    return {name: float(values.mean()) for name, values in seen.items()} | ends | {"seeds": len(found)}


def _log_sum(scores: Array, mask: Mask) -> Array:
    return np.asarray(logsumexp(scores, axis=1, b=mask, keepdims=True), dtype=np.float64)


def _share(scores: Array, log_total: Array, mask: Mask) -> Array:
    return np.where(mask, np.exp(np.where(mask, scores - log_total, 0.0)), 0.0)


def _tangent(units: Array, forces: Array) -> Array:
    return forces - (forces * units).sum(axis=1, keepdims=True) * units


def _cosine(first: Array, second: Array) -> float:
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    return float((first * second).sum() / lengths) if lengths > 0 else float("nan")
