"""What the contrastive family shares: a classification term and a weighted contrast."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from experiments.algorithms.base import Algorithm, Batch, TrainingSet
from experiments.algorithms.contrast import Contrast, Negatives
from experiments.algorithms.option_types import later
from experiments.algorithms.search import LogUniform, Range, Uniform
from experiments.algorithms.spaces import Space, require_space
from experiments.algorithms.views import check_views, contrast_views, seen_apart
from experiments.losses.balanced_softmax import balanced_softmax
from experiments.losses.hard_negatives import Coefficient
from experiments.losses.pairs import AnchorReduction, check_temperature
from experiments.models import Classifier
from geometry.errors import UsageError

Classification = Literal["cross_entropy", "balanced_softmax"]


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
        rho: Beta(rho, rho) of the mixing coefficient, U(0.1, 0.3), where negatives are mixed.
        mixing: one coefficient a batch, or one a pair.
        views: of a sample that are compared, beside the one that is classified (published 2); 0 compares that one.
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

    def __post_init__(self) -> None:
        check_temperature(self.tau)
        check_views(self.views)
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
        counts = torch.as_tensor(training_set.counts.sum(axis=0))
        self.register_buffer("class_counts", counts, persistent=False)
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
        if self.options.classification == "balanced_softmax":
            classification = balanced_softmax(outputs.logits, batch.labels, self.class_counts)
        else:
            classification = cross_entropy(outputs.logits, batch.labels)
        contrast = self.contrast(apart, others, rng)
        total = classification + self.options.weight * contrast
        return {"loss": total, "loss/ce": classification, "loss/contrast": contrast}
