"""Supervised contrastive learning."""

from typing import Literal, get_args

import torch
from torch import Tensor

from experiments.losses.pairs import (
    AnchorReduction,
    check_option,
    check_temperature,
    contrast_pairs,
    masked_logsumexp,
    masked_mean,
    reduce_anchors,
)

Form = Literal["out", "in"]


def supcon(
    vectors: Tensor,
    labels: Tensor,
    *,
    tau: float = 0.1,
    form: Form = "out",
    negatives: Tensor | None = None,
    negative_labels: Tensor | None = None,
    batch_negatives: bool = False,
    include_anchor: bool = False,
    anchor_reduction: AnchorReduction = "sample",
) -> Tensor:
    r"""SupCon: every positive's share among the positives and negatives of its anchor.

    .. math:: \ell_i^{\mathrm{out}} = -\frac1{|P(i)|} \sum_{p \in P(i)} \log \frac{e^{s_{ip}/\tau}}{Z_i},\quad
        \ell_i^{\mathrm{in}} = -\log \frac1{|P(i)|} \sum_{p \in P(i)} \frac{e^{s_{ip}/\tau}}{Z_i},\quad
        Z_i = \sum_{a \in P(i) \cup N(i)} e^{s_{ia}/\tau}

    with cosines ``s``. Khosla et al. (2020), Eqs. 2 (out) and 3 (in), without the factor tau / tau_base of
    their code; by Jensen the second is never above the first. Both views of an image are two samples here.

    Args:
        vectors: ``(B, D)`` features or predictions, normalised here.
        labels: ``(B,)`` classes.
        tau: temperature > 0.
        form: the mean over positives outside or inside the logarithm.
        negatives: ``(M, D)`` synthetic negatives; without them, the samples of other classes.
        negative_labels: ``(M,)`` the class each was made for.
        batch_negatives: take the samples of other classes beside the synthetic ones.
        include_anchor: an anchor is one of its own positives and stands in its own denominator: the full-batch
            mean over samples less log B then is the loss ``lme`` with collisions of :mod:`geometry.optimum` (ours).
        anchor_reduction: mean over ``sample`` or ``class``.

    Returns:
        A scalar >= 0 over the anchors with a positive; 0 when there are none.

    Raises:
        UsageError: an unknown form, a temperature that is not positive, or negatives without their classes.

    >>> x, y = torch.eye(2).repeat_interleave(2, 0), torch.tensor([0, 0, 1, 1])
    >>> float(supcon(x, y, tau=1.0))  # log(1 + 2 / e)
    0.5514...
    """
    check_temperature(tau)
    check_option("form", form, get_args(Form))
    pairs = contrast_pairs(
        vectors,
        labels,
        negatives=negatives,
        negative_labels=negative_labels,
        batch_negatives=batch_negatives,
        include_anchor=include_anchor,
    )
    scores = pairs.positive_cosine / tau
    every_score = torch.cat([scores, pairs.negative_cosine / tau], dim=1)
    total = masked_logsumexp(every_score, torch.cat([pairs.positive, pairs.negative], dim=1))
    if form == "out":
        share = masked_mean(scores, pairs.positive)
    else:
        share = masked_logsumexp(scores, pairs.positive) - pairs.positive.sum(dim=1).clamp_min(1).to(scores).log()
    return reduce_anchors(total - share, labels, pairs.positive.any(dim=1), anchor_reduction)
