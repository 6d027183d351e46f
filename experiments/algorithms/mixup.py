"""Mixup across domains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.algorithms.base import Algorithm, Batch
from experiments.algorithms.search import LogUniform, Range
from geometry.errors import UsageError


@dataclass(frozen=True)
class MixupOptions:
    """DomainBed's default; search range, ours (DomainBed's is the one value 0.1), in brackets.

    Attributes:
        alpha: Beta(alpha, alpha) of the mixing coefficient, 10^U(-1, 0).
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise UsageError(f"Expected alpha > 0, got {self.alpha}.")


class Mixup(Algorithm):
    r"""Inputs of two domains mixed, the loss mixed alike (Zhang et al. 2018; across domains as DomainBed's Mixup).

    .. math::
        L = \frac1B \sum_i \lambda_{d_i} \ell(\tilde x_i, y_i) + (1 - \lambda_{d_i}) \ell(\tilde x_i, y_{j(i)}),\quad
        \tilde x_i = \lambda_{d_i} x_i + (1 - \lambda_{d_i}) x_{j(i)}

    A random cycle of the domains gives each its partner, one coefficient ``lambda_d ~ Beta(alpha, alpha)`` serves the
    pair, and samples are paired at random; a domain alone is its own partner (ours).
    """

    Options = MixupOptions
    search: ClassVar[Mapping[str, Range]] = {"alpha": LogUniform(0.1, 1.0)}

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The mixed cross-entropy."""
        partner, share = pair_domains(batch.domains.cpu().numpy(), self.options.alpha, rng)
        other = torch.as_tensor(partner, device=batch.inputs.device)
        lam = torch.as_tensor(share, dtype=batch.inputs.dtype, device=batch.inputs.device)
        wide = lam.reshape(-1, *(1,) * (batch.inputs.ndim - 1))
        logits = self.model(wide * batch.inputs + (1 - wide) * batch.inputs[other])
        own = cross_entropy(logits, batch.labels, reduction="none")
        partners = cross_entropy(logits, batch.labels[other], reduction="none")
        return {"loss": (lam * own + (1 - lam) * partners).mean()}


def pair_domains(
    domains: NDArray[np.int64], alpha: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The partner of every sample ``(B,)``, from the next domain of a random cycle, and its own share ``(B,)``."""
    cycle = rng.permutation(np.unique(domains))
    partner, share = np.empty(len(domains), dtype=np.int64), np.empty(len(domains))
    for domain, following in zip(cycle, np.roll(cycle, -1), strict=True):
        here, there = np.flatnonzero(domains == domain), np.flatnonzero(domains == following)
        partner[here] = np.resize(rng.permutation(there), here.size)
        share[here] = rng.beta(alpha, alpha)
    return partner, share
