"""L2-regularised logistic regression on frozen features, fitted to its optimum."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.algorithms.base import Algorithm, Batch, TrainingSet
from experiments.algorithms.logistic_fit import fit_logistic
from experiments.algorithms.search import LogUniform, Range
from experiments.losses.prior_weights import Rule, prior_weights
from experiments.models import Classifier
from geometry.errors import DataError, UsageError

Array = NDArray[np.float64]

STRENGTHS = tuple(10.0**exponent for exponent in np.arange(-1.0, -5.5, -0.5))


@dataclass(frozen=True)
class LogisticOptions:
    """Options (ours); search range in brackets.

    Attributes:
        strength: lambda of the penalty lambda |W|^2 / 2 beside the mean cross-entropy, 10^U(-5, -1); chosen takes the
            one of 0.1 to 1e-5 in half decades with the best balanced accuracy on source validation.
        prior_weights: class weights none, or inverse, sqrt or effective of the pooled counts.
    """

    strength: float | Literal["chosen"] = "chosen"
    prior_weights: Rule = "none"

    def __post_init__(self) -> None:
        if not isinstance(self.strength, str) and not self.strength > 0:
            raise UsageError(f"Expected strength > 0, got {self.strength}.")


class Logistic(Algorithm):
    r"""``min sum_i w_{y_i} l_i / sum_i w_{y_i} + strength |W|^2 / 2``, by L-BFGS (Liu and Nocedal 1989).

    Convex, so that no optimiser, learning rate or number of steps has a part in the result: the first step fits it to
    all training features at once, in float64, and every later step leaves it alone. The bias is not penalised.
    """

    Options = LogisticOptions
    search: ClassVar[Mapping[str, Range]] = {"strength": LogUniform(1e-5, 0.1)}
    steps_needed: ClassVar[int | None] = 1

    def __init__(self, model: Classifier, training_set: TrainingSet, options: LogisticOptions) -> None:
        super().__init__(model, training_set, options)
        if model.images:
            raise UsageError(
                "Logistic regression is fitted to frozen features; train with --features or --finetune none."
            )
        if model.cosine:
            raise UsageError("Logistic regression fits a linear classifier with a bias; leave out --classifier cosine.")
        self.training_set = training_set
        self.register_buffer("fitted_loss", torch.full((), torch.nan, dtype=torch.float64))
        self.register_buffer("fitted_strength", torch.full((), torch.nan, dtype=torch.float64))

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The optimal objective and its strength; no gradient reaches the model."""
        if bool(self.fitted_loss.isnan()):
            self.fit()
        loss = self.fitted_loss + torch.zeros((), device=self.fitted_loss.device, requires_grad=True)
        return {"loss": loss, "strength": self.fitted_strength}

    @torch.no_grad()
    def fit(self) -> None:
        """Fit the head, along the grid from strong to weak where the strength is to be chosen."""
        if self.training_set.features is None:
            raise DataError("Expected the training features for logistic regression, got none.")
        features, labels = (part.cpu().numpy() for part in self.training_set.features("train"))
        num_classes = self.model.head.out_features
        weights = prior_weights(self.training_set.prior("pooled")[:1], self.options.prior_weights)[0].double().numpy()
        chosen = self.options.strength == "chosen"
        best, weight = -1.0, None
        for each in STRENGTHS if chosen else (float(self.options.strength),):
            weight, bias, objective = fit_logistic(
                features, labels, num_classes, each, weights=weights[labels], start=weight
            )
            score = self._validate(weight, bias) if chosen else 0.0
            if score > best:  # a tie goes to the stronger penalty
                best, kept = score, (weight, bias, objective, each)
        weight, bias, objective, strength = kept
        self.model.head.weight.copy_(torch.as_tensor(weight))
        self.model.head.bias.copy_(torch.as_tensor(bias))
        self.fitted_loss.fill_(objective)
        self.fitted_strength.fill_(strength)

    def _validate(self, weight: Array, bias: Array) -> float:
        """Balanced accuracy on the source validation samples."""
        features, labels = (part.cpu().numpy() for part in self.training_set.features("validation"))
        if not labels.size:
            raise DataError("Expected validation features to choose the strength by, got none; give a strength.")
        right = (features @ weight.T + bias).argmax(axis=1) == labels
        return float(np.mean([right[labels == k].mean() for k in np.unique(labels)]))
