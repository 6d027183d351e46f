"""Weights of loss terms that a warm-up brings to one scale."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class WarmedWeights(nn.Module):
    """A weighted sum of terms: at weights 1 in the warm-up, then at those given over each term's mean in it.

    As the release of ECL's predecessor (ProConDual, 2024) has it, whose warm-up is the first epoch. Steps and sums are
    buffers, so that a resumed run goes on with the same weights; they change in training mode alone.

    Args:
        given: one weight a term.
        steps: of the warm-up; 0 for none, and the weights as given.
        rounded: the divided weights to two decimals, but those that would round to 0 (ours).
    """

    def __init__(self, given: Sequence[float], steps: int, *, rounded: bool) -> None:
        super().__init__()
        self.warmup, self.rounded = steps, rounded
        self.register_buffer("given", torch.tensor(given, dtype=torch.float64), persistent=False)
        self.register_buffer("sums", torch.zeros(len(given), dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @property
    def now(self) -> Tensor:
        """The weight of every term at this step; as given for a term whose mean was 0, which has no scale."""
        if not self.warmup:
            return self.given
        means = self.sums / self.warmup
        weights = torch.where(means > 0, self.given / means, self.given)
        if self.rounded:
            rounded = weights.round(decimals=2)
            weights = torch.where(rounded > 0, rounded, weights)  # a small weight is no missing term
        return torch.where(self.steps < self.warmup, 1.0, weights)

    @property
    def jump(self) -> bool:
        """Whether this step is the first after the warm-up."""
        return 0 < self.warmup == int(self.steps)

    def forward(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum, in the terms' order; a step is counted in training mode."""
        values = torch.stack(list(terms.values()))
        total = (self.now.to(values) * values).sum()
        if self.training:
            self.sums += torch.where(self.steps < self.warmup, values.detach().to(self.sums), 0.0)
            self.steps += 1
        return total
