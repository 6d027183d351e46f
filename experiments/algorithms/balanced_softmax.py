"""Balanced softmax, or logit adjustment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from experiments.algorithms.base import Algorithm, Batch, Prior, TrainingSet
from experiments.algorithms.search import Range, Uniform
from experiments.losses.balanced_softmax import balanced_softmax
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class BalancedSoftmaxOptions:
    """Published defaults; search range, ours, in brackets.

    Attributes:
        strength: of the log prior, U(0.5, 1.5); 1 is Ren et al.'s, other values Menon et al.'s tau.
        prior: counts of each domain (as MDLT and the NDCL release have it), or of all domains pooled.
    """

    strength: float = 1.0
    prior: Prior = "domain"

    def __post_init__(self) -> None:
        if not self.strength >= 0:
            raise UsageError(f"Expected strength >= 0, got {self.strength}.")


class BalancedSoftmax(Algorithm):
    """Cross-entropy of logits plus the log prior; predictions take the logits alone (Ren et al. 2020, Theorem 1)."""

    Options = BalancedSoftmaxOptions
    search: ClassVar[Mapping[str, Range]] = {"strength": Uniform(0.5, 1.5)}

    def __init__(self, model: Classifier, training_set: TrainingSet, options: BalancedSoftmaxOptions) -> None:
        super().__init__(model, training_set, options)
        self.register_buffer("counts", torch.as_tensor(training_set.prior(options.prior)), persistent=False)

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The adjusted cross-entropy."""
        counts, strength = self.counts[batch.domains], self.options.strength
        return {"loss": balanced_softmax(self.model(batch.inputs), batch.labels, counts, strength=strength)}
