"""The focal loss."""

import torch
from torch import Tensor

from experiments.losses.cross_entropy import bounded_logits, weighted_mean
from experiments.losses.pairs import masked_logsumexp
from geometry.errors import UsageError


def focal(logits: Tensor, labels: Tensor, *, gamma: float = 2.0, class_weights: Tensor | None = None) -> Tensor:
    r"""Cross-entropy turned down on what is already right.

    .. math:: \frac1B \sum_i -\alpha_{y_i} (1 - p_i)^\gamma \log p_i,\quad p_i = \mathrm{softmax}(z_i)_{y_i}

    Lin et al. (2017), Eqs. 4 and 5, with the softmax in place of their sigmoid; gamma = 0 is cross-entropy.
    ``1 - p`` is summed from the other classes, so that it keeps its digits as p nears 1.

    Args:
        logits: ``(B, K)`` of two classes or more.
        labels: ``(B,)`` classes.
        gamma: focusing parameter >= 0; published default 2.
        class_weights: ``(K,)`` alpha; all 1 without it. The mean is over samples, not over weights.

    Returns:
        A scalar >= 0.

    Raises:
        UsageError: gamma is negative.

    >>> float(focal(torch.zeros(1, 2), torch.tensor([0])))  # log(2) / 4
    0.1732...
    """
    if not gamma >= 0:
        raise UsageError(f"Expected gamma >= 0, got {gamma}.")
    bounded = bounded_logits(logits)
    own = labels[:, None] == torch.arange(logits.shape[1], device=logits.device)[None, :]
    total = torch.logsumexp(bounded, dim=1)
    losses = total - bounded.gather(1, labels[:, None]).squeeze(1)
    wrong = (masked_logsumexp(bounded, ~own) - total).clamp_min(-(torch.finfo(logits.dtype).max ** 0.5))
    losses = (gamma * wrong).exp() * losses
    return weighted_mean(losses if class_weights is None else losses * class_weights.to(losses)[labels], None)
