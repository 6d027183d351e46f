"""Learned class vectors: class means of features, projections or predictions, or the rows of the head."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.alignment import cosines
from geometry.artifact import Artifact
from geometry.errors import DataError, UsageError

Array = NDArray[np.float64]
REPRESENTATIONS = ("features", "projections", "predictions", "head")
MOST_NUMBERS = 2**23  # held at once while resampling


@dataclass(frozen=True, eq=False)
class LearnedVectors:
    """Cosines of class vectors, on the data and on bootstrap resamples, to be held against any target.

    Attributes:
        artifact: where they come from.
        of: what the vectors are.
        centre: whether they were centred.
        split: samples used; None for the head.
        classes: ``(P,)`` classes with samples.
        gram: ``(P, P)`` cosines.
        draws: ``(B, P (P-1) / 2)`` cosines of the pairs on resamples, in the order of ``numpy.triu_indices(P, 1)``.
        samples: N.
        dimension: D.
        effective_rank: of the (centred) class vectors, exp of the entropy of their singular values; in [1, P].
    """

    artifact: Artifact
    of: str
    centre: bool
    split: str | None
    classes: NDArray[np.intp]
    gram: Array
    draws: Array
    samples: int
    dimension: int
    effective_rank: float


def available(artifact: Artifact) -> tuple[str, ...]:
    """The representations that an artifact holds."""
    parts = {"projections": "projections", "predictions": "logits", "head": "head_weight"}
    return tuple(of for of in REPRESENTATIONS if of not in parts or getattr(artifact, parts[of]) is not None)


def learned_vectors(
    artifact: Artifact,
    *,
    of: str = "features",
    among: ArrayLike | None = None,
    centre: bool = True,
    split: str | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> LearnedVectors:
    """Class means of features, projections or softmax predictions, or the rows of the head, with bootstrap resamples.

    Args:
        artifact: the representation.
        of: ``features``, ``projections``, ``predictions`` or ``head``.
        among: ``(K,)`` mask of the classes to use; all by default. Classes without samples are left out.
        centre: subtract the balanced mean of the class vectors.
        split: which samples; the training split by default.
        resamples: bootstrap redraws inside classes.
        seed: of the bootstrap.

    Raises:
        UsageError: unknown ``of`` or split.
        DataError: projections, logits or head missing, or fewer than two classes left.
    """
    if of not in REPRESENTATIONS:
        raise UsageError(f"Unknown representation {of!r}; known: {', '.join(REPRESENTATIONS)}.")
    wanted = np.ones(artifact.num_classes, bool) if among is None else np.asarray(among, dtype=bool)
    if of == "head":
        artifact.require("head_weight")
        vectors, labels, split = np.asarray(artifact.head_weight), np.arange(artifact.num_classes), None
        resamples = 0
    else:
        split = artifact.default_split() if split is None else split
        part = artifact.select(split)
        if of == "projections":
            artifact.require("projections")
        vectors = part.probabilities() if of == "predictions" else np.asarray(getattr(part, of))
        labels = part.labels
    members = [np.flatnonzero(labels == k) for k in np.flatnonzero(wanted)]
    classes = np.flatnonzero(wanted)[[len(index) > 0 for index in members]]
    members = [index for index in members if len(index)]
    if len(classes) < 2:
        raise DataError(f"Expected samples of at least two of the compared classes, split={split} has {len(classes)}.")
    means = np.stack([vectors[index].astype(np.float64).mean(axis=0) for index in members])
    pairs = np.triu_indices(len(classes), 1)
    draws = np.empty((resamples, len(pairs[0])))
    for draw, redrawn in zip(draws, _resampled_means(vectors, members, resamples, seed), strict=True):
        draw[:] = cosines(_gram(redrawn, centre))[pairs]
    gram = _gram(means, centre)
    return LearnedVectors(
        artifact=artifact,
        of=of,
        centre=centre,
        split=split,
        classes=classes,
        gram=cosines(gram),
        draws=draws,
        samples=0 if of == "head" else sum(map(len, members)),
        dimension=vectors.shape[1],
        effective_rank=_effective_rank(gram),
    )


def _gram(means: Array, centre: bool) -> Array:
    # Centred before the Gram matrix is formed: a common offset would otherwise drown the differences.
    means = means - means.mean(axis=0) if centre else means
    return np.asarray(means @ means.T, dtype=np.float64)


def _effective_rank(gram: Array) -> float:
    from geometry.collapse.ranks import gram_ranks

    return float(gram_ranks(gram)[0])


def _resampled_means(
    vectors: NDArray[np.generic], members: list[NDArray[np.intp]], resamples: int, seed: int
) -> Iterator[Array]:
    """Class means ``(P, D)`` on resamples that redraw the samples of each class with replacement.

    Redrawn means of n samples scatter with divisor n, the mean itself with n - 1: they are moved away from the sample's
    by ``sqrt(n/(n-1))`` (Rao and Wu 1988). Many resamples of a class at once are one matrix product, of how often each
    sample was drawn with the samples.
    """
    rng = np.random.default_rng(seed)
    widest = max(len(members) * vectors.shape[1], max(map(len, members)))
    for first in range(0, resamples, step := max(1, MOST_NUMBERS // widest)):
        size = min(step, resamples - first)
        means = np.empty((size, len(members), vectors.shape[1]))
        for k, index in enumerate(members):
            drawn = rng.integers(0, len(index), (size, len(index))) + len(index) * np.arange(size)[:, None]
            times = np.bincount(drawn.ravel(), minlength=size * len(index)).reshape(size, len(index))
            samples = vectors[index].astype(np.float64)
            middle = samples.mean(axis=0)
            widening = np.sqrt(len(index) / max(len(index) - 1, 1))
            means[:, k] = middle + widening * (times.astype(np.float64) @ (samples - middle) / len(index))
        yield from means
