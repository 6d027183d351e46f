"""Cross-entropy per sample that is finite, with finite gradients, on every finite logit."""

import torch
from torch import Tensor


def bounded_logits(logits: Tensor) -> Tensor:
    """Logits less the largest of each row, no lower than minus the square root of the largest float.

    The bound (1.8e19 in float32) leaves every softmax as it is and keeps sums and products of losses finite.

    Args:
        logits: ``(B, K)``.

    Returns:
        ``(B, K)`` <= 0.

    >>> bounded_logits(torch.tensor([[1.0, 3.0]])).tolist()
    [[-2.0, 0.0]]
    """
    lowest = -(torch.finfo(logits.dtype).max ** 0.5)
    return (logits - logits.detach().amax(dim=1, keepdim=True)).clamp_min(lowest)


def cross_entropies(logits: Tensor, labels: Tensor) -> Tensor:
    """``log sum_j e^{z_ij} - z_iy`` of every sample.

    Args:
        logits: ``(B, K)``.
        labels: ``(B,)`` classes.

    Returns:
        ``(B,)`` >= 0.

    >>> cross_entropies(torch.zeros(1, 2), torch.tensor([1])).tolist()
    [0.6931...]
    """
    bounded = bounded_logits(logits)
    return torch.logsumexp(bounded, dim=1) - bounded.gather(1, labels[:, None]).squeeze(1)


def weighted_mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """``sum_i w_i l_i / sum_i w_i``; the plain mean without weights, 0 of nothing.

    Args:
        losses: ``(B,)``.
        weights: ``(B,)`` >= 0.
    """
    if weights is None:
        return losses.sum() / max(len(losses), 1)
    weights = weights.to(losses)
    return (weights * losses).sum() / weights.sum().clamp_min(torch.finfo(losses.dtype).tiny)
