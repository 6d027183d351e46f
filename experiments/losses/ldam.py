"""Label-distribution-aware margins."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from experiments.losses.cross_entropy import bounded_logits, cross_entropies, weighted_mean
from geometry.errors import UsageError


def ldam_margins(counts: ArrayLike, *, max_margin: float = 0.5) -> Tensor:
    r"""Margins ``m_k = max_margin * (n_min / n_k)^{1/4}``: the rarest class gets the largest.

    Cao et al. (2019), ``C / n_k^{1/4}``, with their code's choice of C. A class without samples has margin 0 (no sample
    meets it) and takes no part in ``n_min``.

    Args:
        counts: ``(K,)`` training samples of each class.
        max_margin: the largest margin; published default 0.5.

    Returns:
        ``(K,)`` float32.

    >>> ldam_margins([16, 1]).tolist()
    [0.25, 0.5]
    """
    table = np.asarray(counts, dtype=np.float64)
    held = table > 0
    least = table[held].min(initial=np.inf)
    ratio = np.divide(least, table, out=np.zeros_like(table), where=held)
    return torch.tensor(max_margin * ratio**0.25, dtype=torch.float32)


def ldam(
    logits: Tensor, labels: Tensor, margins: Tensor, *, scale: float = 30.0, class_weights: Tensor | None = None
) -> Tensor:
    r"""Cross-entropy of scaled logits whose true class first gives up a margin.

    .. math:: \frac{\sum_i w_{y_i} \ell_i}{\sum_i w_{y_i}},\quad
        \ell_i = -\log \frac{e^{s (z_{iy} - m_y)}}{e^{s (z_{iy} - m_y)} + \sum_{k \ne y} e^{s z_{ik}}}

    Cao et al. (2019), their LDAM loss, with the scale and the weighted mean of their code. Their logits are cosines;
    their deferred re-weighting (DRW) gives the effective-number weights of
    :func:`experiments.losses.prior_weights.prior_weights` as ``class_weights`` in the last epochs only.

    Args:
        logits: ``(B, K)``, cosines as published.
        labels: ``(B,)`` classes.
        margins: ``(K,)`` of :func:`ldam_margins`, or ``(B, K)``.
        scale: s > 0; published default 30.
        class_weights: ``(K,)``.

    Returns:
        A scalar >= 0.

    Raises:
        UsageError: the scale is not positive.

    >>> float(ldam(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0.5, 0.0]), scale=2.0))  # log(1 + e)
    1.3132...
    """
    if not scale > 0:
        raise UsageError(f"Expected a positive scale, got {scale}.")
    own = labels[:, None] == torch.arange(logits.shape[1], device=logits.device)[None, :]
    losses = cross_entropies(scale * (bounded_logits(logits) - own * margins.to(logits)), labels)
    return weighted_mean(losses, None if class_weights is None else class_weights[labels])
