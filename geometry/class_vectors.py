"""Learned class vectors: class means of features or predictions, or the rows of the head."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.alignment import cosines
from geometry.artifact import Artifact
from geometry.errors import DataError, UsageError
from geometry.intervals import stratified_resamples

Array = NDArray[np.float64]
REPRESENTATIONS = ("features", "predictions", "head")


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
        draws: ``(B, P, P)`` cosines on resamples.
        samples: N.
        dimension: D.
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
    """Class means of features or of softmax predictions, or the rows of the head, with bootstrap resamples.

    Args:
        artifact: the representation.
        of: ``features``, ``predictions`` or ``head``.
        among: ``(K,)`` mask of the classes to use; all by default. Classes without samples are left out.
        centre: subtract the balanced mean of the class vectors.
        split: which samples; the training split by default.
        resamples: bootstrap redraws inside classes.
        seed: of the bootstrap.

    Raises:
        UsageError: unknown ``of`` or split.
        DataError: logits or head missing, or fewer than two classes left.
    """
    if of not in REPRESENTATIONS:
        raise UsageError(f"Unknown representation {of!r}; known: {', '.join(REPRESENTATIONS)}.")
    wanted = np.ones(artifact.num_classes, bool) if among is None else np.asarray(among, dtype=bool)
    if of == "head":
        artifact.require("head_weight")
        vectors, labels, split = np.asarray(artifact.head_weight, np.float64), np.arange(artifact.num_classes), None
        resamples = 0
    else:
        split = artifact.default_split() if split is None else split
        part = artifact.select(split)
        vectors, labels = part.features.astype(np.float64) if of == "features" else part.probabilities(), part.labels
    used = wanted[labels]
    vectors, labels = vectors[used], labels[used]
    classes, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise DataError(f"Expected samples of at least two of the compared classes, split={split} has {len(classes)}.")
    redraws = stratified_resamples(codes, resamples, np.random.default_rng(seed))
    draws = [_mean_cosines(vectors, codes, sizes, index, centre) for index in redraws]
    return LearnedVectors(
        artifact=artifact,
        of=of,
        centre=centre,
        split=split,
        classes=classes.astype(np.intp),
        gram=_mean_cosines(vectors, codes, sizes, np.arange(len(labels)), centre),
        draws=np.asarray(draws, dtype=np.float64).reshape(-1, len(classes), len(classes)),
        samples=0 if of == "head" else len(labels),
        dimension=vectors.shape[1],
    )


def _mean_cosines(
    vectors: Array, codes: NDArray[np.intp], sizes: NDArray[np.intp], index: NDArray[np.intp], centre: bool
) -> Array:
    """Cosines of the class means over the samples at ``index``, which holds ``sizes`` samples of each class."""
    from scipy.sparse import csr_array

    total = len(codes)
    weights = np.bincount(index, minlength=total) / sizes[codes]
    means: Array = np.asarray(csr_array((weights, (codes, np.arange(total))), shape=(len(sizes), total)) @ vectors)
    # Centred before the Gram matrix is formed: a common offset would otherwise drown the differences.
    means = means - means.mean(axis=0) if centre else means
    return cosines(means @ means.T)
