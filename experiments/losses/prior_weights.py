"""Loss weights per (domain, class) from training counts."""

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from experiments.losses.pairs import check_option
from geometry.errors import UsageError

Rule = Literal["none", "released", "inverse", "sqrt", "effective"]


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
    return _mean_one(np.divide(1.0, table, out=np.zeros_like(table), where=table > 0), table > 0)


def prior_weights(counts: ArrayLike, rule: Rule = "released", *, beta: float = 0.9999) -> Tensor:
    r"""Weights per (domain, class) by a named rule, with mean one over the classes of each domain.

    Proportional to

    * ``none``: 1 where the cell has a sample;
    * ``inverse``: ``1 / n``; ``released`` is the same, our reading of :func:`inverse_frequency_weights`;
    * ``sqrt``: ``1 / sqrt(n)``;
    * ``effective``: ``(1 - beta) / (1 - beta^n)``, one over the effective number of samples (Cui et al. 2019,
      Proposition 1): beta to 0 is ``none``, beta to 1 is ``inverse``.

    Args:
        counts: ``(M, K)`` training images per domain and class; an empty cell has weight 0.
        rule: one of the above.
        beta: in (0, 1), for ``effective`` alone.

    Returns:
        ``(M, K)`` float32.

    Raises:
        UsageError: an unknown rule or a beta outside (0, 1).

    >>> prior_weights([[1, 4]], "sqrt").tolist()
    [[1.3333..., 0.6666...]]
    """
    check_option("rule", rule, get_args(Rule))
    if not 0 < beta < 1:
        raise UsageError(f"Expected beta between 0 and 1, got {beta}.")
    if rule in ("released", "inverse"):
        return inverse_frequency_weights(counts)
    table = np.asarray(counts, dtype=np.float64)
    held = table > 0
    if rule == "none":
        worth = np.ones_like(table)
    elif rule == "sqrt":
        worth = np.sqrt(table)
    else:
        worth = (1 - beta**table) / (1 - beta)  # the effective number of samples
    return _mean_one(np.divide(1.0, worth, out=np.zeros_like(table), where=held), held)


def _mean_one(raw: NDArray[np.float64], held: NDArray[np.bool_]) -> Tensor:
    total = raw.sum(axis=1, keepdims=True)
    share = np.divide(raw, total, out=np.zeros_like(raw), where=total > 0)
    return torch.tensor(share * held.sum(axis=1, keepdims=True), dtype=torch.float32)
