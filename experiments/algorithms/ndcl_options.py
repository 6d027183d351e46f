"""The parts of negatives-dominant contrastive learning that can be chosen."""

from dataclasses import dataclass
from typing import Literal

from experiments.algorithms.contrast import Negatives
from experiments.algorithms.spaces import Space
from experiments.losses.hard_negatives import Coefficient
from experiments.losses.ndcl import Aggregate, Dissimilarity
from experiments.losses.pairs import AnchorReduction, check_temperature
from experiments.losses.prior_weights import Rule
from geometry.errors import UsageError


@dataclass(frozen=True)
class NdclOptions:
    """Released form by default; published search ranges in brackets; every other choice is a variant of ours.

    Attributes:
        alpha: weight of the negatives-dominant contrast, 10^U(-3, 0).
        beta: weight of the prototype alignment, 10^U(-3, 0).
        rho: Beta(rho, rho) of the mixing coefficient where negatives are mixed, U(0.1, 0.3).
        tau: temperature of the contrast.
        dissimilarity: exp, or raw: 1 - cosine without its exponential.
        aggregate: sum or mean over an anchor's pairs.
        negatives: mixup (released), real (the batch's other classes), or both.
        classification: reweighted (released: rare classes and hard samples weigh more), or cross_entropy, the plain
            one beside InfoNCE and SupCon, which takes no weights.
        prior_weights: of the reweighted classification: released (inverse frequency per domain, our reading), none,
            inverse, sqrt or effective.
        contrast_space: predictions (released), features, or projections (wants --projection).
        alignment_space: the same, of the prototypes.
        prototypes: batch (released), or moving averages over batches.
        momentum: share of the past in moving prototypes.
        mixing: one coefficient a batch (released), or one a pair, where negatives are mixed.
        anchor_reduction: mean over every sample or first over each class (released).
    """

    alpha: float = 0.1
    beta: float = 0.1
    rho: float = 0.2
    tau: float = 1.0
    dissimilarity: Dissimilarity = "exp"
    aggregate: Aggregate = "sum"
    negatives: Negatives = "mixup"
    classification: Literal["reweighted", "cross_entropy"] = "reweighted"
    prior_weights: Rule = "released"
    contrast_space: Space = "predictions"
    alignment_space: Space = "predictions"
    prototypes: Literal["batch", "moving"] = "batch"
    momentum: float = 0.9
    mixing: Coefficient = "batch"
    anchor_reduction: AnchorReduction = "class"

    def __post_init__(self) -> None:
        check_temperature(self.tau)
        if not (self.alpha >= 0 and self.beta >= 0 and self.rho > 0):
            raise UsageError(f"Expected alpha >= 0, beta >= 0 and rho > 0, got {self}.")
        if not 0 <= self.momentum < 1:
            raise UsageError(f"Expected a momentum in [0, 1), got {self.momentum}.")
