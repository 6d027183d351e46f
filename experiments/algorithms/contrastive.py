"""What the contrastive family shares: a classification term and a weighted contrast."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from experiments.algorithms.base import Algorithm, Batch, Prior, TrainingSet
from experiments.algorithms.classification import Classification, check_prior, classify
from experiments.algorithms.contrast import Contrast, Negatives
from experiments.algorithms.option_types import later
from experiments.algorithms.search import LogUniform, Range, Uniform
from experiments.algorithms.spaces import Space, require_space
from experiments.algorithms.views import check_views, contrast_views, seen_apart
from experiments.losses.hard_negatives import Coefficient
from experiments.losses.pairs import AnchorReduction, check_temperature
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class ContrastiveOptions:
    """What contrastive algorithms share; search ranges in brackets.

    Attributes:
        weight: of the contrast beside the classification, 10^U(-3, 0): NDCL's alpha and its range, since the published
            methods train in two stages (ours).
        tau: temperature, 10^U(-1.5, 0).
        contrast_space: predictions, features, or projections (wants --projection).
        negatives: real (the batch's other classes, published), mixup (NDCL's), or both.
        classification: cross_entropy or balanced_softmax.
        anchor_reduction: mean over every sample (published) or first over each class.
        rho: Beta(rho, rho) of the mixing coefficient where negatives are mixed, U(0.1, 0.3); a search draws it for real
            negatives too, which do not read it.
        mixing: one coefficient a batch, or one a pair, where negatives are mixed.
        views: of a sample that are compared, beside the one that is classified (published 2); 0 compares that one.
        prior: of balanced_softmax: counts of each domain, or of all domains pooled (published).
    """

    weight: float = 0.1
    tau: float = 0.1
    contrast_space: Space = "predictions"
    negatives: Negatives = "real"
    classification: Classification = "cross_entropy"
    anchor_reduction: AnchorReduction = "sample"
    rho: float = 0.2
    mixing: Coefficient = "batch"
    views: int = later(0)
    prior: Prior = later("pooled")

    def __post_init__(self) -> None:
        check_temperature(self.tau)
        check_views(self.views)
        check_prior(self.prior, self.classification)
        if not (self.weight >= 0 and self.rho > 0):
            raise UsageError(f"Expected weight >= 0 and rho > 0, got {self.weight} and {self.rho}.")


class Contrastive(Algorithm):
    """``L = classification + weight * contrast``; subclasses say which loss the contrast is."""

    Options = ContrastiveOptions
    search: ClassVar[Mapping[str, Range]] = {
        "weight": LogUniform(1e-3, 1.0),
        "tau": LogUniform(10**-1.5, 1.0),
        "rho": Uniform(0.1, 0.3),
    }

    def __init__(self, model: Classifier, training_set: TrainingSet, options: ContrastiveOptions) -> None:
        super().__init__(model, training_set, options)
        self.require_space()
        self.register_buffer("counts", torch.as_tensor(training_set.prior(options.prior)), persistent=False)
        self.contrast = self.build_contrast()

    @property
    def views(self) -> tuple[str, ...]:
        """The option's number of views to compare."""
        return contrast_views(self.options.views)

    def build_contrast(self) -> Contrast:
        """The contrastive term that the options describe."""
        return Contrast.of(self.options, self.contrast_loss)

    def require_space(self) -> None:
        """Refuse a space in which the contrast would train nothing."""
        require_space(self.model, self.options.contrast_space, "contrast_space")

    def contrast_loss(self, vectors: Tensor, labels: Tensor, **negatives: Tensor | bool) -> Tensor:
        """The contrast of vectors in the chosen space, with whatever synthetic negatives there are."""
        raise NotImplementedError

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Classification, contrast and their weighted sum."""
        outputs, apart, others = seen_apart(self.model, batch)
        classification = classify(self.options.classification, outputs.logits, batch, self.counts)
        contrast = self.contrast(apart, others, rng)
        total = classification + self.options.weight * contrast
        return {"loss": total, "loss/ce": classification, "loss/contrast": contrast}
