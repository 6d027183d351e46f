"""NC4: does the linear head decide as the nearest class mean does?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.collapse.class_statistics import Array, Index
from geometry.defined import ratio
from geometry.errors import DataError


@dataclass(frozen=True, eq=False)
class NC4:
    """Agreement of two classifiers, sample by sample.

    Attributes:
        balanced: mean over classes of their agreement, in [0, 1]; 1 at collapse.
        pooled: share of samples, in [0, 1].
        per_class: ``(K,)`` agreement among the samples of each class; NaN where absent.
        agrees: ``(N,)`` whether the two decide alike.
    """

    balanced: float
    pooled: float
    per_class: Array
    agrees: NDArray[np.bool_]


def nearest_mean(features: ArrayLike, means: ArrayLike) -> Index:
    """Index of the nearest class mean, ``argmin_k ||h - mu_k||``, ``(N,)``; the first wins a tie.

    Args:
        features: ``(N, D)``.
        means: ``(K, D)``; rows of NaN (absent classes) are never chosen.

    Raises:
        DataError: every mean is absent.

    >>> nearest_mean([[0.9], [3.0]], [[1.0], [np.nan], [2.5]]).tolist()
    [0, 2]
    """
    centres = np.asarray(means, dtype=np.float64)
    present = np.flatnonzero(~np.isnan(centres).any(axis=1))
    if present.size == 0:
        raise DataError("Expected at least one class mean, got none; give samples of some class.")
    origin = centres[present].mean(axis=0)
    kept = centres[present] - origin
    score = (np.asarray(features, dtype=np.float64) - origin) @ kept.T - (kept**2).sum(axis=1) / 2
    return np.asarray(present[score.argmax(axis=1)], dtype=np.intp)


def head_decision(features: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None) -> Index:
    """Decision of the linear head, ``argmax_k (w_k . h + b_k)``, ``(N,)``."""
    score = np.asarray(features, dtype=np.float64) @ np.asarray(weight, dtype=np.float64).T
    if bias is not None:
        score = score + np.asarray(bias, dtype=np.float64)
    return np.asarray(score.argmax(axis=1), dtype=np.intp)


def nc4(labels: ArrayLike, nearest: ArrayLike, decision: ArrayLike, num_classes: int | None = None) -> NC4:
    """NC4: the share of samples on which :func:`nearest_mean` and :func:`head_decision` agree.

    Papyan, Han & Donoho (2020) report the mismatch, one minus this.

    Args:
        labels: ``(N,)`` true classes; they only weigh the samples.
        nearest: ``(N,)`` decisions of the nearest-class-mean rule.
        decision: ``(N,)`` decisions of the head.
        num_classes: K; by default one more than the largest label.

    >>> result = nc4([0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0])
    >>> result.balanced, result.pooled
    (0.5, 0.75)
    """
    truth = np.asarray(labels)
    agrees = np.asarray(nearest) == np.asarray(decision)
    counts = np.bincount(truth, minlength=num_classes or 0)
    hits = np.bincount(truth, weights=agrees, minlength=counts.size)
    per_class = np.asarray(ratio(hits, counts))
    return NC4(float(per_class[counts > 0].mean()), float(agrees.mean()), per_class, agrees)
