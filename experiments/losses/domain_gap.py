"""The gap between the domain with the largest and the one with the smallest loss."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.losses.domain_risks import domain_risks


def domain_gap(logits: Tensor, labels: Tensor, domains: Tensor) -> Tensor:
    r"""``max_d L_d - min_d L_d`` of the domains' mean cross-entropies (Zhang et al. 2021, transferability).

    Args:
        logits: ``(B, K)``.
        labels: ``(B,)`` classes.
        domains: ``(B,)``; those that are absent do not count.

    Returns:
        A scalar >= 0; 0 for one domain.

    >>> import torch
    >>> z = torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 0.0]])
    >>> round(float(domain_gap(z, torch.tensor([0, 0, 0]), torch.tensor([0, 1, 1]))), 4)  # log 2 - log(1 + e^-2)
    0.5662
    """
    risks = domain_risks(cross_entropy(logits, labels, reduction="none"), domains).risks
    return risks.max() - risks.min()
