"""What penalties share that set in only after a part of the training."""

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.algorithms.base import Algorithm, Batch, Descend, TrainingSet
from experiments.algorithms.spaces import Outputs
from experiments.models import Classifier
from geometry.errors import UsageError


def check_annealed(weight: float, anneal: float, name: str = "weight") -> None:
    """Refuse options that are out of their range.

    Raises:
        UsageError: a negative weight, or a share outside [0, 1].
    """
    if not (weight >= 0 and 0 <= anneal <= 1):
        raise UsageError(f"Expected {name} >= 0 and anneal in [0, 1], got {weight} and {anneal}.")


class Annealed(Algorithm):
    """``L = L_ce + w_t penalty``: ``w_t`` is ``early_weight`` for a share ``anneal`` of the steps, then ``weight``.

    The published rules count steps of a run of 5,001; here the option is their share of it (ours), so that a shorter
    run has both parts. Where the weight jumps, the optimiser's averages are forgotten, as in DomainBed, unless
    ``restarts`` is false. Subclasses implement :meth:`penalty` and have options ``weight`` and ``anneal``, and
    ``late_rate`` where the learning rate changes with the weight.
    """

    early_weight: ClassVar[float] = 0.0
    restarts: ClassVar[bool] = True

    def __init__(self, model: Classifier, training_set: TrainingSet, options: object) -> None:
        super().__init__(model, training_set, options)
        self.jump = round(self.options.anneal * training_set.steps)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    @property
    def due(self) -> bool:
        """Whether the penalty has its full weight by now."""
        return int(self.updates) >= self.jump

    @property
    def rate_factor(self) -> float:
        """The option ``late_rate``, where there is one, once the penalty is due."""
        return getattr(self.options, "late_rate", 1.0) if self.due else 1.0

    def penalty(self, batch: Batch, outputs: Outputs, losses: Tensor) -> Tensor:
        """The penalty of a batch, given the model's outputs and the cross-entropy ``(B,)`` of every sample."""
        raise NotImplementedError

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Cross-entropy, penalty and their weighted sum."""
        outputs = Outputs.of(self.model, batch.inputs)
        losses = cross_entropy(outputs.logits, batch.labels, reduction="none")
        classification = cross_entropy(outputs.logits, batch.labels)
        penalty = self.penalty(batch, outputs, losses)
        weight = self.options.weight if self.due else self.early_weight
        return {"loss": classification + weight * penalty, "loss/ce": classification, "loss/penalty": penalty}

    def update(self, batch: Batch, rng: np.random.Generator, descend: Descend) -> dict[str, float]:
        """One step, after a restart of the optimiser where the weight jumps."""
        if self.restarts and 0 < self.jump == int(self.updates):
            descend.restart()
        values = super().update(batch, rng, descend)
        self.updates += 1
        return values
