"""Target-conditioned representation independence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from experiments.algorithms.added_modules import same_start
from experiments.algorithms.annealed import Annealed, check_annealed
from experiments.algorithms.base import Batch, TrainingSet
from experiments.algorithms.search import LogUniform, Range, Uniform
from experiments.losses.conditional_hsic import conditional_hsic
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class TcriOptions:
    """Defaults and search ranges (in brackets) are ours: the NDCL release reads these options but sets none.

    Attributes:
        weight: of the dependence once it is due, 10^U(-1, 2); before, 1 (the release's).
        alpha: of the domain-specific classification, 10^U(-1, 1).
        anneal: share of the training before the weight is due, U(0, 0.5).
        width: of both linear featurisers; 0 is that of the features (the release's).
    """

    weight: float = 10.0
    alpha: float = 1.0
    anneal: float = 0.1
    width: int = 0

    def __post_init__(self) -> None:
        check_annealed(self.weight, self.anneal)
        if not (self.alpha >= 0 and self.width >= 0):
            raise UsageError(f"Expected alpha >= 0 and width >= 0, got {self.alpha} and {self.width}.")


class ComposedHead(nn.Module):
    """A linear classifier of a linear featuriser: together one linear head of the features, which is what predicts.

    Args:
        featuriser: ``(D)`` to ``(W)``.
        classifier: ``(W)`` to ``(K)``.
    """

    def __init__(self, featuriser: nn.Linear, classifier: nn.Linear) -> None:
        super().__init__()
        self.featuriser, self.classifier = featuriser, classifier
        self.in_features, self.out_features = featuriser.in_features, classifier.out_features

    @property
    def weight(self) -> Tensor:
        """``(K, D)``."""
        return self.classifier.weight @ self.featuriser.weight

    @property
    def bias(self) -> Tensor:
        """``(K,)``."""
        return self.classifier(self.featuriser.bias)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, D)`` features to ``(B, K)`` logits."""
        return linear(features, self.weight, self.bias)


class TCRI(Annealed):
    r"""A domain-general and a domain-specific representation, independent given the class (Salaudeen and Koyejo 2024).

    .. math:: L = \ell(C \phi(x), y) + \alpha\, \ell(C_d [\phi(x), \psi(x)], y)
        + \beta_t \operatorname{HSIC}(\phi(x), \psi(x) \mid y, d)

    ``phi`` and ``psi`` are linear maps of the features and ``C_d`` is a classifier of each domain, as in the NDCL
    release. The model's head becomes ``C phi``, one linear map, so that what predicts reads the features and its
    weight and bias are exact; without the other terms this is ERM of that factored head. The release drops ``psi`` and
    every ``C_d`` from its optimiser where the weight jumps; here they go on. Means are over the pooled batch.
    """

    Options = TcriOptions
    search: ClassVar[Mapping[str, Range]] = {
        "weight": LogUniform(0.1, 100.0),
        "alpha": LogUniform(0.1, 10.0),
        "anneal": Uniform(0.0, 0.5),
    }
    early_weight = 1.0

    def __init__(self, model: Classifier, training_set: TrainingSet, options: TcriOptions) -> None:
        super().__init__(model, training_set, options)
        if model.cosine:
            raise UsageError("TCRI predicts with a linear classifier with a bias; leave out --classifier cosine.")
        size, width = model.head.in_features, options.width or model.head.in_features
        self.shape = training_set.counts.shape
        with same_start():
            general, self.specific = nn.Linear(size, width), nn.Linear(size, width)
            self.domain_classifiers = nn.Linear(2 * width, self.shape[0] * self.shape[1])
            classifier = model.head if width == size else nn.Linear(width, model.head.out_features)
        model.head = ComposedHead(general, classifier)

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Both classifications, the dependence and their weighted sum."""
        features = self.model.features(batch.inputs)
        classification = cross_entropy(self.model.head(features), batch.labels)
        general, specific = self.model.head.featuriser(features), self.specific(features)
        logits = self.domain_classifiers(torch.cat([general, specific], dim=1)).unflatten(1, self.shape)
        own = cross_entropy(logits[torch.arange(len(logits), device=logits.device), batch.domains], batch.labels)
        dependence = conditional_hsic(general, specific, batch.labels, batch.domains)
        weight = self.options.weight if self.due else self.early_weight
        return {
            "loss": classification + self.options.alpha * own + weight * dependence,
            "loss/ce": classification,
            "loss/domain_ce": own,
            "loss/hsic": dependence,
        }
