"""InfoNCE with the classes' own positives and negatives, in feature or prediction space."""

import math

from torch import Tensor

from experiments.losses.pairs import (
    AnchorReduction,
    check_temperature,
    contrast_pairs,
    masked_logsumexp,
    masked_mean,
    reduce_anchors,
    softplus,
)
from geometry.errors import UsageError


def info_nce(
    vectors: Tensor,
    labels: Tensor,
    *,
    tau: float = 0.1,
    q: float | str = "plain",
    negatives: Tensor | None = None,
    negative_labels: Tensor | None = None,
    batch_negatives: bool = False,
    include_anchor: bool = False,
    anchor_reduction: AnchorReduction = "sample",
) -> Tensor:
    r"""InfoNCE of every (anchor, positive) pair, its positives not among its rivals.

    .. math:: \ell_i = \frac1{|P(i)|} \sum_{p \in P(i)} \log\Bigl(1 + \sum_{n \in N(i)} e^{(s_{in} - s_{ip})/\tau}\Bigr)

    with cosines ``s``; a number Q in place of ``"plain"`` gives the mean-normalised
    ``log(1 + Q mean_n e^{(s_in - s_ip)/tau})``, the many-negatives loss of :mod:`geometry.optimum`. With the
    synthetic negatives of :func:`experiments.losses.ndcl.negative_dominant_contrast` the two differ in the
    place of the negatives alone.

    The pairwise softmax is that of van den Oord, Li and Vinyals (2018, Eq. 4); choosing pairs by class is
    the usual supervised reading of it.

    Args:
        vectors: ``(B, D)`` features or predictions, normalised here.
        labels: ``(B,)`` classes.
        tau: temperature > 0.
        q: ``"plain"`` or the weight Q > 0 of the negatives' mean.
        negatives: ``(M, D)`` synthetic negatives; without them, the samples of other classes.
        negative_labels: ``(M,)`` the class each was made for.
        batch_negatives: take the samples of other classes beside the synthetic ones.
        include_anchor: an anchor is one of its own positives, as when the positive is drawn independently of it:
            with a number Q, the full-batch mean over samples then is the population loss of
            :mod:`geometry.optimum` for many supervised negatives (ours).
        anchor_reduction: mean over ``sample`` or ``class``.

    Returns:
        A scalar >= 0 over the anchors with a positive and a negative; 0 when there are none.

    Raises:
        UsageError: a temperature or Q that is not positive, or negatives without their classes.

    >>> import torch
    >>> x, y = torch.eye(2).repeat_interleave(2, 0), torch.tensor([0, 0, 1, 1])
    >>> float(info_nce(x, y, tau=1.0))  # log(1 + 2 / e)
    0.5514...
    """
    check_temperature(tau)
    if q != "plain" and (isinstance(q, str) or not q > 0):
        raise UsageError(f"Expected q to be 'plain' or a positive weight of the negatives, got {q!r}.")
    pairs = contrast_pairs(
        vectors,
        labels,
        negatives=negatives,
        negative_labels=negative_labels,
        batch_negatives=batch_negatives,
        include_anchor=include_anchor,
    )
    rivals = masked_logsumexp(pairs.negative_cosine / tau, pairs.negative)
    if not isinstance(q, str):
        rivals = rivals + math.log(q) - pairs.negative.sum(dim=1).clamp_min(1).to(rivals).log()
    losses = softplus(rivals[:, None] - pairs.positive_cosine / tau)
    counted = pairs.positive.any(dim=1) & pairs.negative.any(dim=1)
    return reduce_anchors(masked_mean(losses, pairs.positive), labels, counted, anchor_reduction)
