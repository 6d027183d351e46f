"""The invariance penalty of IRMv1: how far a scale of the logits is from optimal in each domain."""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from experiments.losses.domain_risks import domain_risks
from experiments.losses.pairs import check_option

Estimate = Literal["halves", "square"]


def scale_gradients(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Derivative of every sample's cross-entropy by a factor of its logits, at factor one.

    .. math:: \frac{d}{dw} \ell(w z_i, y_i) \Big|_{w = 1} = \sum_k (p_{ik} - [k = y_i])\, z_{ik}

    Args:
        logits: ``(B, K)``.
        labels: ``(B,)`` classes.

    Returns:
        ``(B,)``.

    >>> scale_gradients(torch.zeros(1, 2), torch.tensor([0])).tolist()
    [0.0]
    """
    errors = logits.softmax(dim=1) - one_hot(labels, logits.shape[1]).to(logits.dtype)
    return (errors * logits).sum(dim=1)


def irm(logits: Tensor, labels: Tensor, domains: Tensor, estimate: Estimate = "halves") -> Tensor:
    r"""Squared derivative of a domain's risk by the scale of the logits, averaged over domains.

    .. math:: \operatorname*{mean}_d \Bigl( \frac{d R_d(w)}{dw} \Big|_{w = 1} \Bigr)^2

    IRMv1 (Arjovsky et al. 2019, Eq. 4). ``square`` squares the batch's mean derivative, which overestimates by its
    variance. ``halves`` multiplies the means of the domain's samples at even and at odd places (DomainBed's), which may
    be negative and is unbiased where their order within the domain is random. Class-aware batches put two images of a
    class side by side, one in each half: there it overestimates too, by less than ``square``. Nothing here compares
    domains: equal domains give one domain's own value, which is zero where the scale is optimal on it.

    Args:
        logits: ``(B, K)``.
        labels: ``(B,)`` classes.
        domains: ``(B,)``; with ``halves`` a domain with one sample has no second half and is left out.
        estimate: ``halves`` or ``square``.

    Returns:
        A scalar; 0 where no domain can be used.

    >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0]])
    >>> both = irm(logits, torch.tensor([0, 0]), torch.tensor([0, 0]))
    >>> torch.isclose(both, irm(logits, torch.tensor([0, 0]), torch.tensor([0, 0]), "square")).item()
    True
    """
    check_option("estimate", estimate, get_args(Estimate))
    gradients = scale_gradients(logits, labels)
    found = domain_risks(gradients, domains)
    if estimate == "square":
        return found.risks.square().mean()
    member = torch.arange(len(found.domains), device=logits.device)[:, None] == found.place[None, :]
    rank = member.cumsum(dim=1).gather(0, found.place[None, :]).squeeze(0) - 1  # place within the own domain
    several = found.counts > 1
    if not bool(several.any()):
        return (gradients * 0).sum()
    halves = [(member & (rank % 2 == parity)[None, :]).to(gradients.dtype) for parity in (0, 1)]
    even, odd = ((half @ gradients) / half.sum(dim=1).clamp_min(1) for half in halves)
    return (even * odd)[several].mean()
