"""Equilibrium contrastive learning."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor

from experiments.algorithms.base import Batch, Descend, Prior, TrainingSet
from experiments.algorithms.bcl import BCL
from experiments.algorithms.option_types import later
from experiments.algorithms.search import LogUniform, Range
from experiments.algorithms.spaces import dimension
from experiments.algorithms.views import check_views, seen_apart
from experiments.algorithms.warmed_weights import WarmedWeights
from experiments.losses.balanced_contrast import Denominator, check_prototype_share
from experiments.losses.balanced_softmax import balanced_softmax
from experiments.losses.cosine import unit_vectors
from experiments.losses.pairs import AnchorReduction, check_temperature
from experiments.losses.self_duality import self_duality
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class EclOptions:
    """Defaults of the predecessor's release where it has the option, else ours; search ranges, ours, in brackets.

    Attributes:
        alpha: weight of the classification, before normalisation.
        beta: of the contrast, 10^U(-1.5, 0).
        gamma: of the self-duality, 10^U(-1.5, 0).
        warmup: share of the steps at weights of 1, by whose mean terms the weights are then divided; published one of
            200 epochs, 0 (or an unknown number of steps) for weights as they are. A share: ours.
        rounded: the divided weights to two decimals, as the release has them.
        restart: whether the optimiser forgets its averages after the warm-up (ours); they slow Adam for long.
        tau: temperature, 10^U(-1.5, 0).
        views: of a sample that are compared, beside the one that is classified; 0 compares that one (ours).
        contrast_space: projections (published; wants --projection of the features' dimension) or features (ours).
        prototypes: linear (published), mlp (BCL's two layers) or rows: of the classifier's rows.
        prototype_share: equal (half of each class: ECL's equilibrium as we read it), bcl, or a share in (0, 1].
        denominator: joint or separate; which of them is ECL's is not known.
        anchor_reduction: mean over every sample (released) or first over each class (ours).
        prior: counts of each domain, or of all domains pooled (published).
    """

    alpha: float = 0.7
    beta: float = 0.3
    gamma: float = 0.5
    warmup: float = 0.005
    rounded: bool = True
    restart: bool = later(True)
    tau: float = 0.07
    views: int = 2
    contrast_space: Literal["projections", "features"] = "features"
    prototypes: Literal["linear", "mlp", "rows"] = "linear"
    prototype_share: float | Literal["bcl", "equal"] = "equal"
    denominator: Denominator = "joint"
    anchor_reduction: AnchorReduction = "sample"
    prior: Prior = later("pooled")

    def __post_init__(self) -> None:
        check_temperature(self.tau)
        check_prototype_share(self.prototype_share)
        check_views(self.views)
        if not (min(given := (self.alpha, self.beta, self.gamma)) >= 0 and 0 <= self.warmup < 1):
            raise UsageError(f"Expected alpha, beta, gamma >= 0 and warmup in [0, 1), got {given} and {self.warmup}.")


class ECL(BCL):
    r"""``L = alpha L_LC + beta L_BC + gamma L_CC-GE`` (Roh et al. 2026, arXiv 2602.09506), reconstructed.

    ``L_LC`` is balanced softmax of the first view, ``L_BC`` :func:`experiments.losses.balanced_contrast` of the others
    against the prototypes ``p_c = (A w_c + b) / |A w_c + b|``, ``L_CC-GE`` :func:`experiments.losses.self_duality`
    between these and the classifier's rows ``w_c``. Its text and code were not at hand: terms, weights and warm-up are
    those of its predecessor's release (ProConDual, 2024), the equal contributions our reading of ECL's abstract and
    figure. Rows and prototypes need one dimension; through these gradients reach ``w_c``, even on a frozen backbone.
    """

    Options = EclOptions
    search: ClassVar[Mapping[str, Range]] = dict.fromkeys(("beta", "gamma", "tau"), LogUniform(10**-1.5, 1.0))

    def __init__(self, model: Classifier, training_set: TrainingSet, options: EclOptions) -> None:
        super().__init__(model, training_set, options)
        steps = max(1, round(options.warmup * training_set.steps)) if options.warmup and training_set.steps else 0
        self.weights = WarmedWeights([options.alpha, options.beta, options.gamma], steps, rounded=options.rounded)

    def require_space(self) -> None:
        """Refuse projections of another dimension than that of the classifier's rows, or none of them."""
        wanted = self.model.head.in_features
        given = 0 if self.model.projection is None else dimension(self.model, "projections")
        if self.options.contrast_space == "projections" and given != wanted:
            raise UsageError(
                f"Expected --projection {wanted} for contrast_space=projections, as long as the classifier's rows that "
                f"prototypes are compared with, got {given}."
            )

    def prototypes(self) -> Tensor:
        """``(K, D)`` unit vectors, one for each class."""
        rows = self.model.class_rows
        return unit_vectors(rows if self.prototype_map is None else self.prototype_map(rows))

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """Classification, contrast, self-duality and their weighted sum."""
        outputs, apart, others = seen_apart(self.model, batch)
        # BatchNorm in the map is to see a step once; without it numbers are those of earlier runs to the bit.
        made = self.prototypes() if self.options.prototypes == "mlp" else None
        terms = {
            "loss/ce": balanced_softmax(outputs.logits, batch.labels, self.counts[batch.domains]),
            "loss/contrast": self.contrast(apart, others, rng, prototypes=made),
            "loss/duality": self_duality(self.model.class_rows, self.prototypes() if made is None else made),
        }
        return {"loss": self.weights(terms), **terms}

    def update(self, batch: Batch, rng: np.random.Generator, descend: Descend) -> dict[str, float]:
        """One step, after a restart of the optimiser where the weights jump."""
        if self.options.restart and self.weights.jump:
            descend.restart()
        return super().update(batch, rng, descend)
