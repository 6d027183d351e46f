"""Cross-entropy reweighted by class frequency."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor
from torch.nn.functional import one_hot

from experiments.algorithms.base import Algorithm, Batch, Prior, TrainingSet
from experiments.algorithms.search import Choice, Range
from experiments.losses.cross_entropy import cross_entropies
from experiments.losses.prior_weights import Rule, prior_weights
from experiments.models import Classifier
from geometry.errors import UsageError


@dataclass(frozen=True)
class ReweightOptions:
    """Defaults of MDLT and of the NDCL release; search ranges, ours, in brackets.

    Attributes:
        rule: none, inverse (default), sqrt or effective {inverse, sqrt, effective}.
        prior: counts of each domain (default), or of all domains pooled.
        beta: of the rule effective; Cui et al.'s 0.9999.
    """

    rule: Rule = "inverse"
    prior: Prior = "domain"
    beta: float = 0.9999

    def __post_init__(self) -> None:
        if not 0 < self.beta < 1:
            raise UsageError(f"Expected beta between 0 and 1, got {self.beta}.")


class Reweight(Algorithm):
    r"""The mean over domains of each one's weighted mean cross-entropy, as MDLT's ReWeight (Yang et al. 2022) has it.

    .. math:: L = \frac1M \sum_d \frac{\sum_{i: d_i = d} w_{d y_i} \ell_i}{\sum_{i: d_i = d} w_{d y_i}}

    The weighted mean makes a domain's few samples of rare classes decide its whole term whenever they are drawn.
    """

    Options = ReweightOptions
    search: ClassVar[Mapping[str, Range]] = {"rule": Choice(("inverse", "sqrt", "effective"))}

    def __init__(self, model: Classifier, training_set: TrainingSet, options: ReweightOptions) -> None:
        super().__init__(model, training_set, options)
        weights = prior_weights(training_set.prior(options.prior), options.rule, beta=options.beta)
        self.register_buffer("weights", weights, persistent=False)

    def terms(self, batch: Batch, rng: np.random.Generator) -> dict[str, Tensor]:
        """The reweighted cross-entropy."""
        losses = cross_entropies(self.model(batch.inputs), batch.labels)
        weights = self.weights.to(losses)[batch.domains, batch.labels]
        totals = weights @ one_hot(batch.domains, len(self.weights)).to(weights)  # index_add has no fixed order on CUDA
        return {"loss": (weights * losses / totals[batch.domains]).sum() / (totals > 0).sum()}
