"""Loss weights per (domain, class) from training counts."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor


def inverse_frequency_weights(counts: ArrayLike) -> Tensor:
    r"""Inverse-frequency weights with mean one over the classes of each domain.

    .. math:: w_{dk} = K_d \frac{1/n_{dk}}{\sum_j 1/n_{dj}}

    over the ``K_d`` classes that domain d holds; an empty cell has weight 0 (no sample can meet it). This is
    the rule of the NDCL release's ReWeight baseline; that NDCL uses it too is our reading, since the release
    never sets its own table. The NDCL cross-entropy already averages over classes, so this corrects twice.

    Args:
        counts: ``(M, K)`` training images per domain and class.

    Returns:
        ``(M, K)`` float32.

    >>> inverse_frequency_weights([[1, 3]]).tolist()
    [[1.5, 0.5]]
    """
    table = np.asarray(counts, dtype=np.float64)
    inverse = np.divide(1.0, table, out=np.zeros_like(table), where=table > 0)
    total = inverse.sum(axis=1, keepdims=True)
    share = np.divide(inverse, total, out=np.zeros_like(inverse), where=total > 0)
    return torch.tensor(share * (table > 0).sum(axis=1, keepdims=True), dtype=torch.float32)
