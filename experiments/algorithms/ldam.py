"""Label-distribution-aware margins, with deferred re-weighting as an option."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from experiments.algorithms.base import Algorithm, Batch, Prior, TrainingSet
from experiments.algorithms.search import Choice, LogUniform, Range
from experiments.losses.ldam import ldam, ldam_margins
from experiments.losses.prior_weights import prior_weights
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class LdamOptions:
    """Published defaults; MDLT's search ranges in brackets.

    Attributes:
        max_margin: margin of the rarest class, 10^U(-1, -0.1); published with a cosine classifier 30 times as much, 15.
        scale: of the logits, {10, 30}; with a cosine classifier, whose logits are 30 cos, none but 1.
        prior: counts of each domain (as MDLT and the NDCL release have it), or of all domains pooled.
        drw: share of the training after which effective-number class weights set in; 1 is never, published 0.8.
        beta: of the effective number of samples; published 0.9999.
    """

    max_margin: float = 0.5
    scale: float = 30.0
    prior: Prior = "domain"
    drw: float = 1.0
    beta: float = 0.9999

    def __post_init__(self) -> None:
        if not (self.max_margin >= 0 and self.scale > 0):
            raise UsageError(f"Expected max_margin >= 0 and scale > 0, got {self.max_margin} and {self.scale}.")
        if not (0 <= self.drw <= 1 and 0 < self.beta < 1):
            raise UsageError(f"Expected drw in [0, 1] and beta in (0, 1), got {self.drw} and {self.beta}.")


class LDAM(Algorithm):
    """Cross-entropy of scaled logits less a margin on the true class (Cao et al. 2019).

    As in MDLT and the NDCL release the logits are the linear head's, not cosines, so that what is trained is what
    predicts. Those of a cosine classifier are ``30 cos``, and the published ``30 (cos - 0.5)`` is ``scale=1
    max_margin=15`` of them. A deferred re-weighting (``drw=0.8``) counts its steps in a buffer saved with the model.
    """

    Options = LdamOptions
    search: ClassVar[Mapping[str, Range]] = {"max_margin": LogUniform(0.1, 10**-0.1), "scale": Choice((10.0, 30.0))}

    def __init__(self, model: Classifier, training_set: TrainingSet, options: LdamOptions) -> None:
        super().__init__(model, training_set, options)
        if model.cosine and options.scale != 1:
            raise UsageError(
                f"Expected scale=1 with a cosine classifier, whose logits are 30 cos already, got {options.scale:g}; "
                "the published form is --set scale=1 max_margin=15 there, as 30 cos - 15 = 30 (cos - 0.5), and a "
                "search, which draws both, has to set them too."
            )
        if options.drw < 1 and training_set.steps < 1:
            raise UsageError("Expected the number of steps for drw below 1; leave drw at 1.")
        counts = training_set.prior(options.prior)
        margins = torch.stack([ldam_margins(row, max_margin=options.max_margin) for row in counts])
        pooled = training_set.prior("pooled")[:1]
        self.register_buffer("margins", margins, persistent=False)
        self.register_buffer("late_weights", prior_weights(pooled, "effective", beta=options.beta)[0], persistent=False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.deferred_to = round(options.drw * training_set.steps) if options.drw < 1 else None

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss with margins, re-weighted once that is due."""
        weights = None
        if self.deferred_to is not None:
            weights = torch.where(self.steps >= self.deferred_to, self.late_weights, 1.0)
        margins = self.margins[batch.domains]
        loss = ldam(self.model(batch.inputs), batch.labels, margins, scale=self.options.scale, class_weights=weights)
        self.steps += self.training
        return {"loss": loss}
