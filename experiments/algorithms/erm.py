"""Empirical risk minimisation: the mean cross-entropy of the pooled batch."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.algorithms.base import Algorithm, Batch


@dataclass(frozen=True)
class ErmOptions:
    """ERM has no options of its own."""


class ERM(Algorithm):
    """``L = mean_i -log softmax(z_i)[y_i]`` (Vapnik, 1998; DomainBed's baseline)."""

    Options = ErmOptions

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The pooled cross-entropy."""
        return {"loss": cross_entropy(self.model(batch.inputs), batch.labels)}
