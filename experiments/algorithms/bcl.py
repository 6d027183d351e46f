"""Balanced contrastive learning."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from experiments.algorithms.base import Prior, TrainingSet
from experiments.algorithms.batch_norms import unrecorded
from experiments.algorithms.classification import Classification, check_prior
from experiments.algorithms.contrast import Contrast
from experiments.algorithms.contrastive import Contrastive
from experiments.algorithms.option_types import later
from experiments.algorithms.prototype_maps import prototype_map
from experiments.algorithms.search import LogUniform, Range
from experiments.algorithms.spaces import Space, dimension, require_projection
from experiments.algorithms.views import check_views
from experiments.losses.balanced_contrast import Denominator, balanced_contrast, check_prototype_share
from experiments.losses.pairs import AnchorReduction, check_temperature
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class BclOptions:
    """Published defaults; search ranges, which are ours, in brackets.

    Attributes:
        weight: of the contrast beside the classification; published 0.35 to 1, 10^U(-3, 0).
        tau: temperature; published 0.07, 10^U(-1.5, 0).
        contrast_space: predictions, features, or projections (published; wants --projection).
        classification: balanced_softmax (published, as logit compensation) or cross_entropy.
        prototype_share: bcl (the prototype is one more sample), equal (half of each class), or a share in (0, 1].
        denominator: joint (published) or separate.
        anchor_reduction: mean over every sample (published) or first over each class.
        views: of a sample that are compared, beside the one that is classified (published 2); 0 compares that one.
        prototypes: in features and projections, shared (where the samples' own map puts the classifier's rows; ours) or
            mlp (published: a map of their own).
        prior: of balanced_softmax: counts of each domain, or of all domains pooled (published).
    """

    weight: float = 0.35
    tau: float = 0.07
    contrast_space: Space = "predictions"
    classification: Classification = "balanced_softmax"
    prototype_share: float | Literal["bcl", "equal"] = "bcl"
    denominator: Denominator = "joint"
    anchor_reduction: AnchorReduction = "sample"
    views: int = later(0)
    prototypes: Literal["shared", "mlp"] = later("shared")
    prior: Prior = later("pooled")

    def __post_init__(self) -> None:
        check_temperature(self.tau)
        check_prototype_share(self.prototype_share)
        check_views(self.views)
        check_prior(self.prior, self.classification)
        if not self.weight >= 0:
            raise UsageError(f"Expected weight >= 0, got {self.weight}.")
        if self.prototypes == "mlp" and self.contrast_space == "predictions":
            raise UsageError(
                "Expected contrast_space=projections or features beside prototypes=mlp; predictions are compared with "
                "the one-hot corners."
            )


class BCL(Contrastive):
    """``L = balanced softmax + weight * BCL`` (Zhu et al. 2022); published are two views, projections and a map.

    That is ``views=2``, ``contrast_space=projections`` and ``prototypes=mlp``: prototypes are what a map of their own
    makes of the classifier's weight vectors. Without it they are, all ours, the weight vectors in feature space, their
    projections (under the samples' running statistics) in projection space, and in prediction space one-hot corners.
    """

    Options = BclOptions
    search: ClassVar[Mapping[str, Range]] = {"weight": LogUniform(1e-3, 1.0), "tau": LogUniform(10**-1.5, 1.0)}

    def __init__(self, model: Classifier, training_set: TrainingSet, options: Any) -> None:
        super().__init__(model, training_set, options)
        kind, space = options.prototypes, options.contrast_space
        sizes = (model.head.in_features, dimension(model, space))
        self.prototype_map = prototype_map(kind, *sizes) if kind in ("linear", "mlp") else None

    def build_contrast(self) -> Contrast:
        """Real negatives and prototypes; an anchor alone in its class still has its prototype."""
        space, reduction = self.options.contrast_space, self.options.anchor_reduction
        return Contrast(
            self.contrast_loss, space=space, negatives="real", anchor_reduction=reduction, singles_count=True
        )

    def require_space(self) -> None:
        """Every space is fit even on a frozen backbone: through its prototypes BCL trains the classifier there."""
        require_projection(self.model, self.options.contrast_space, "contrast_space")

    def contrast_loss(self, vectors: Tensor, labels: Tensor, *, prototypes: Tensor | None = None) -> Tensor:
        """:func:`experiments.losses.balanced_contrast.balanced_contrast` against the prototypes of the space."""
        return balanced_contrast(
            vectors,
            labels,
            (self.prototypes() if prototypes is None else prototypes).to(vectors.dtype),
            tau=self.options.tau,
            prototype_share=self.options.prototype_share,
            denominator=self.options.denominator,
            anchor_reduction=self.options.anchor_reduction,
        )

    def prototypes(self) -> Tensor:
        """``(K, D)`` one for each class."""
        rows, space = self.model.class_rows, self.options.contrast_space
        if space == "predictions":
            return torch.eye(len(rows), device=rows.device)
        if self.prototype_map is not None:
            return self.prototype_map(rows)
        if space == "features":
            return rows
        with unrecorded(self.model.projection, "running"):  # K rows are no batch of samples
            return self.model.project(rows)
