"""Whether the logits of an artifact are those of its linear head."""

import numpy as np

from geometry.artifact import Artifact

MOST_SAMPLES = 2000
TOLERANCE = 1e-2  # of the logits' spread; float16 and bfloat16 logits stay below


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
    scores = artifact.features[index].astype(np.float64) @ artifact.head_weight.astype(np.float64).T
    if artifact.head_bias is not None:
        scores += artifact.head_bias.astype(np.float64)
    logits = artifact.logits[index].astype(np.float64)
    gap = scores - logits
    largest = float(np.ptp(gap, axis=1).max()) / 2.0
    spread = float((logits - logits.mean(axis=1, keepdims=True)).std())
    if spread == 0.0:
        return float("inf") if largest > 0.0 else 0.0
    return largest / spread


def head_note(artifact: Artifact) -> str:
    """One sentence where the logits are not the head's scores, else nothing."""
    share = head_disagreement(artifact)
    if not share > TOLERANCE:
        return ""
    return (
        f"The logits are not the scores of the head: they differ from features @ head_weight.T + head_bias by up to "
        f"{share:.2g} of their spread, so what reads the logits and what reads the head are of two classifiers."
    )
