"""Negatives-dominant contrastive learning, released form (see experiments.losses.ndcl for the terms)."""

from collections.abc import Callable
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
        contrast = mixed_contrast(self.model, batch, probs, rho=self.options.rho, rng=rng)
        alignment = prototype_alignment(probs, batch.labels, batch.domains)
        total = classification + self.options.alpha * contrast + self.options.beta * alignment
        return {"loss": total, "loss/ce": classification, "loss/contrast": contrast, "loss/alignment": alignment}


def mixed_contrast(
    model: Callable[[Tensor], Tensor], batch: Batch, probs: Tensor, *, rho: float, rng: np.random.Generator
) -> Tensor:
    """``L_con`` of a batch's predictions against freshly mixed negatives; 0 when the batch holds one class.

    Args:
        model: predicts the negatives.
        batch: the samples that are mixed.
        probs: ``(B, K)`` the model's predictions of them.
        rho: Beta(rho, rho) of the mixing coefficient.
        rng: source of the mixing.
    """
    plan = plan_hard_negatives(probs.detach().cpu().numpy(), batch.labels.cpu().numpy(), rho=rho, rng=rng)
    if plan is None:
        return (probs * 0).sum()
    negative_probs = model(plan.mix(batch.inputs)).softmax(dim=1)
    return negative_dominant_contrast(probs, batch.labels, negative_probs, batch.labels.new_tensor(plan.labels))
