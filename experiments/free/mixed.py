"""Negatives for NDCL's contrast on free vectors: real ones, or fixed mixtures of pairs."""

import numpy as np
from numpy.typing import NDArray

from experiments.losses.hard_negatives import MixPlan
from geometry.errors import UsageError

NEGATIVES = ("real", "mixed")
MOST_MIXTURES = 50_000


def mixed_plan(labels: NDArray[np.int64], negatives: str, lam: float) -> MixPlan | None:
    """All mixtures ``lam x_i + (1 - lam) x_j`` of a sample i of a class with a sample j of another, made for i's class.

    The released plan picks pairs by the predictions and draws lam anew at each step: as predictions move it changes,
    and a point of rest has no meaning. Here every pair is mixed, at one share (ours).

    Args:
        labels: ``(N,)`` classes.
        negatives: ``real``: no mixtures, the samples of other classes; ``mixed``.
        lam: share of the positive, in [0, 1).

    Returns:
        The plan, or None for ``real``.

    Raises:
        UsageError: another word, a share outside [0, 1), or more than 50,000 mixtures.

    >>> mixed_plan(np.array([0, 0, 1]), "mixed", 0.5).labels.tolist()
    [0, 0, 1, 1]
    """
    if negatives not in NEGATIVES:
        raise UsageError(f"Expected option 'negatives' to be {' or '.join(NEGATIVES)}, got {negatives!r}.")
    if negatives == "real":
        return None
    if not 0 <= lam < 1:
        raise UsageError(f"Expected the share lam of the positive in [0, 1), got {lam}.")
    positive, negative = np.nonzero(labels[:, None] != labels[None, :])
    if len(positive) > MOST_MIXTURES:
        raise UsageError(f"{len(positive)} mixtures are too many; take fewer samples, or real negatives.")
    ones = np.ones(len(positive))
    return MixPlan(positive, negative, negative, lam * ones, ones, labels[positive])
