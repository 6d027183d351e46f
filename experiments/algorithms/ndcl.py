"""Negatives-dominant contrastive learning, released form (see experiments.losses.ndcl for the terms)."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from experiments.algorithms.base import Algorithm, Batch, TrainingSet
from experiments.losses.hard_negatives import plan_hard_negatives
from experiments.losses.ndcl import negative_dominant_contrast, prototype_alignment, reweighted_cross_entropy
from experiments.losses.prior_weights import inverse_frequency_weights
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class NdclOptions:
    """Published defaults; published search ranges in brackets.

    Attributes:
        alpha: weight of the negatives-dominant contrast, 10^U(-3, 0).
        beta: weight of the prototype alignment, 10^U(-3, 0).
        rho: Beta(rho, rho) of the mixing coefficient, U(0.1, 0.3).
    """

    alpha: float = 0.1
    beta: float = 0.1
    rho: float = 0.2

    def __post_init__(self) -> None:
        if not (self.alpha >= 0 and self.beta >= 0 and self.rho > 0):
            raise UsageError(f"Expected alpha >= 0, beta >= 0 and rho > 0, got {self}.")


class NDCL(Algorithm):
    """``L = L_ce + alpha L_con + beta L_const`` on softmax predictions (the paper's Eq. 5).

    Every step makes as many mixed hard negatives as the batch has samples and runs them through the model
    once more (about twice the cost of ERM). The prior weights, never set in the release, are the inverse
    frequencies per domain (see :mod:`experiments.losses.prior_weights`).
    """

    Options = NdclOptions

    def __init__(self, model: Classifier, training_set: TrainingSet, options: NdclOptions) -> None:
        super().__init__(model, training_set, options)
        self.register_buffer("prior_weights", inverse_frequency_weights(training_set.counts))

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The three terms and their weighted sum."""
        logits = self.model(batch.inputs)
        probs = logits.softmax(dim=1)
        classification = reweighted_cross_entropy(logits, batch.labels, batch.domains, self.prior_weights)
        contrast = self.contrast(batch, probs, rng)
        alignment = prototype_alignment(probs, batch.labels, batch.domains)
        total = classification + self.options.alpha * contrast + self.options.beta * alignment
        return {"loss": total, "loss/ce": classification, "loss/contrast": contrast, "loss/alignment": alignment}

    def contrast(self, batch: Batch, probs: Tensor, rng: np.random.Generator) -> Tensor:
        """``L_con`` of the batch against freshly mixed negatives; 0 when the batch holds one class."""
        plan = plan_hard_negatives(
            probs.detach().cpu().numpy(), batch.labels.cpu().numpy(), rho=self.options.rho, rng=rng
        )
        if plan is None:
            return (probs * 0).sum()
        negative_probs = self.model(plan.mix(batch.inputs)).softmax(dim=1)
        negative_labels = batch.labels.new_tensor(plan.labels)
        return negative_dominant_contrast(probs, batch.labels, negative_probs, negative_labels)
