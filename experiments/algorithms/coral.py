"""Correlation alignment of the source domains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.algorithms.base import Algorithm, Batch, TrainingSet
from experiments.algorithms.search import LogUniform, Range
from experiments.algorithms.spaces import Outputs, require_space
from experiments.losses.coral import coral
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class CoralOptions:
    """DomainBed's default; its search range in brackets.

    Attributes:
        weight: of the penalty, 10^U(-1, 1).
        alignment_space: features (DomainBed's), logits (Deep CORAL's, and the choice on frozen features), projections
            or predictions.
    """

    weight: float = 1.0
    alignment_space: Literal["features", "logits", "projections", "predictions"] = "features"

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise UsageError(f"Expected weight >= 0, got {self.weight}.")


class Coral(Algorithm):
    """``L = L_ce + weight * CORAL`` (Sun and Saenko 2016; means and all pairs of domains as in DomainBed)."""

    Options = CoralOptions
    search: ClassVar[Mapping[str, Range]] = {"weight": LogUniform(0.1, 10.0)}

    def __init__(self, model: Classifier, training_set: TrainingSet, options: CoralOptions) -> None:
        super().__init__(model, training_set, options)
        require_space(model, options.alignment_space, "alignment_space", instead="logits")

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Cross-entropy, penalty and their weighted sum."""
        outputs = Outputs.of(self.model, batch.inputs)
        classification = cross_entropy(outputs.logits, batch.labels)
        penalty = coral(outputs.vectors(self.options.alignment_space), batch.domains)
        total = classification + self.options.weight * penalty
        return {"loss": total, "loss/ce": classification, "loss/coral": penalty}
