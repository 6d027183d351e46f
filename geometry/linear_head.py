"""The linear head of an artifact: its scores, and whether the logits are those."""

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact

MOST_SAMPLES = 2000
TOLERANCE = 1e-2  # of the logits' spread; float16 and bfloat16 logits stay below


def head_scores(artifact: Artifact) -> NDArray[np.float64]:
    """``(N, K)`` scores ``W f_i + b`` of the linear head in float64.

    Raises:
        DataError: the artifact has no head weight.
    """
    artifact.require("head_weight")
    assert artifact.head_weight is not None
    scores = artifact.features.astype(np.float64) @ artifact.head_weight.astype(np.float64).T
    return scores if artifact.head_bias is None else scores + artifact.head_bias.astype(np.float64)


def head_disagreement(artifact: Artifact) -> float:
    """How far the logits are from the head's scores, as a share of the logits' spread; NaN without logits or head.

    ``max_i min_c ||W f_i + b - l_i - c 1||_inf / std(l)``, on at most 2,000 evenly spaced samples in float64: a
    constant in all logits of a sample changes no softmax, so neither does it count here, and ``std(l)`` is that of the
    logits minus their mean over classes. Infinite where the logits are constant and the head's scores are not. Ours.

    >>> features, weight = np.eye(3), np.diag([1.0, 2.0, 3.0])
    >>> known = Artifact(features, np.arange(3), tuple("abc"), logits=weight + 5.0, head_weight=weight)
    >>> head_disagreement(known)
    0.0
    """
    if artifact.logits is None or artifact.head_weight is None:
        return float("nan")
    n = len(artifact.labels)
    index = np.unique(np.linspace(0, n - 1, min(n, MOST_SAMPLES)).round().astype(np.intp))
    some = artifact.take(index)
    assert some.logits is not None
    logits = some.logits.astype(np.float64)
    gap = head_scores(some) - logits
    largest = float(np.ptp(gap, axis=1).max()) / 2.0
    spread = float((logits - logits.mean(axis=1, keepdims=True)).std())
    if spread == 0.0:
        return float("inf") if largest > 0.0 else 0.0
    return largest / spread


def follows_head(artifact: Artifact) -> bool:
    """Whether softmax of the logits is that of the head's scores, to half precision (True without logits or head)."""
    return not head_disagreement(artifact) > TOLERANCE


def head_note(artifact: Artifact) -> str:
    """One sentence where the logits are not the head's scores, else nothing."""
    share = head_disagreement(artifact)
    if not share > TOLERANCE:  # nor where there is nothing to compare
        return ""
    return (
        f"The logits are not the scores of the head: they differ from features @ head_weight.T + head_bias by up to "
        f"{share:.2g} of their spread, so what reads the logits and what reads the head are of two classifiers."
    )
