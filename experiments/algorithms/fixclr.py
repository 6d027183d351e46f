"""FixCLR, a term that adds to any algorithm of labelled and unlabelled samples."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from experiments.algorithms.spaces import Space
from experiments.losses.fixclr import Aggregate, Level, repel_only
from experiments.losses.pairs import check_temperature
from geometry.errors import UsageError


@dataclass(frozen=True)
class FixclrOptions:
    """The options of FixCLR; that it repels believed pseudo-classes over all domains is published, the rest is ours.

    Attributes:
        fixclr: weight of FixCLR, 0 for none; a spec may search it over 10^U(-3, 0) (ours).
        fixclr_level: repel samples, class means, or means of a class in a domain (domain-class).
        fixclr_aggregate: log of the sum, or of the mean, which no batch size changes.
        fixclr_tau: its temperature; a spec may search it over 10^U(-1.5, 0) (ours).
        fixclr_other_domains: only samples of other domains are repelled.
        fixclr_space: predictions, features, or projections (wants --projection); on a frozen backbone predictions
            alone, as nothing else there reaches the classifier.
        fixclr_view: weak or strong.
    """

    fixclr: float = 0.0
    fixclr_level: Level = "sample"
    fixclr_aggregate: Aggregate = "sum"
    fixclr_tau: float = 0.1
    fixclr_other_domains: bool = False
    fixclr_space: Space = "features"
    fixclr_view: Literal["weak", "strong"] = "weak"

    def __post_init__(self) -> None:
        check_temperature(self.fixclr_tau)
        if not self.fixclr >= 0:
            raise UsageError(f"Expected fixclr >= 0, got {self.fixclr}.")
        if self.fixclr_level == "class" and self.fixclr_other_domains:
            raise UsageError("Expected fixclr_level=sample or domain-class beside fixclr_other_domains, got class.")

    def repelled(self, vectors: Tensor, classes: Tensor, domains: Tensor, kept: Tensor) -> Tensor:
        """:func:`experiments.losses.fixclr.repel_only` of ``(B, D)`` vectors under classes and pseudo-classes."""
        return repel_only(
            vectors,
            classes,
            tau=self.fixclr_tau,
            domains=domains,
            kept=kept,
            level=self.fixclr_level,
            aggregate=self.fixclr_aggregate,
            other_domains_only=self.fixclr_other_domains,
        )
