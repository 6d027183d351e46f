"""Balanced softmax, or logit adjustment."""

import torch
from torch import Tensor

from experiments.losses.cross_entropy import cross_entropies, weighted_mean


def balanced_softmax(logits: Tensor, labels: Tensor, counts: Tensor, *, strength: float = 1.0) -> Tensor:
    r"""Cross-entropy of logits to which the log prior is added; predict with the logits alone.

    .. math:: \frac1B \sum_i -\log \frac{n_{y_i}^\lambda e^{z_{i y_i}}}{\sum_k n_k^\lambda e^{z_{ik}}}

    Ren et al. (2020), Theorem 1, at lambda = 1; Menon et al. (2021), Eq. 10, for other strengths (their tau).

    Args:
        logits: ``(B, K)``.
        labels: ``(B,)`` classes.
        counts: ``(K,)`` training samples of each class, or ``(B, K)`` those of each sample's domain; a class
            without samples leaves the sum.
        strength: lambda.

    Returns:
        A scalar >= 0.

    >>> float(balanced_softmax(torch.zeros(1, 2), torch.tensor([1]), torch.tensor([3, 1])))  # log 4
    1.3862...
    """
    prior = counts.to(logits)
    adjusted = (logits + strength * prior.log()).masked_fill(prior <= 0, -torch.inf)
    return weighted_mean(cross_entropies(adjusted, labels), None)
