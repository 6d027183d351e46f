"""The report: every bound term of one artifact, with its table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from geometry.bound.class_conditional import ClassDivergence
from geometry.bound.complexity import Complexity
from geometry.bound.divergence import Divergence
from geometry.bound.hull import SourceHull
from geometry.bound.joint import JointRisk
from geometry.bound.margin import MarginDistribution
from geometry.bound.missing import Missing
from geometry.bound.pointwise import PointwiseDiscrepancy
from geometry.bound.posterior import PosteriorDiscrepancy
from geometry.bound.prior import PriorShift
from geometry.bound.risk import Risk
from geometry.bound.row import Row
from geometry.bound.samples import SampleSet
from geometry.bound.sides import Sides
from geometry.bound.theorems import LabelShiftBound


class _Tabular(Protocol):
    def rows(self) -> Iterator[Row]: ...


@dataclass(frozen=True, eq=False)
class BoundReport:
    """Every term of the bounds that can be estimated from features, logits, labels and domains.

    Attributes:
        source: the samples that stand for the sources.
        target: the samples that stand for the target (none: ``n`` is 0).
        risks: risk and balanced risk of the sources (pooled, by domain, by split) and of the target.
        margins: margin distributions in three scales, of the sources and of the target.
        divergences: proxy A-distance of every source pair and of the target to the pooled sources.
        class_divergences: the same inside every class.
        hull: gamma* and eps of Theorem A, or None.
        posterior: prototype discrepancies among the sources and of the target to the pooled sources.
        pointwise: discrepancies of probes of the same pairs, raw and prior-corrected.
        joint: ideal joint risk, an oracle diagnostic, or None.
        complexity: ``1/K sum_k 1 / (delta_k sqrt(n_k))`` in three scales at two quantiles.
        priors: label-histogram distances of the same pairs, with the cost of Theorem B for the target.
        sides: both sides of the theorems at the estimates, with intervals.
        label_shift: Theorem B evaluated at the estimates, or None.
        label_shift_note: which classes and which priors it uses, or why there is none.
        missing: what could not be computed, and why.
        level: nominal coverage of every interval.
        resamples: bootstrap redraws and permutations behind them.
        seed: seed of all of them.
    """

    source: SampleSet
    target: SampleSet
    risks: tuple[Risk, ...]
    margins: tuple[MarginDistribution, ...]
    divergences: tuple[Divergence, ...]
    class_divergences: tuple[ClassDivergence, ...]
    hull: SourceHull | None
    posterior: tuple[PosteriorDiscrepancy, ...]
    pointwise: tuple[PointwiseDiscrepancy, ...]
    joint: JointRisk | None
    complexity: tuple[Complexity, ...]
    priors: tuple[PriorShift, ...]
    sides: tuple[Sides, ...]
    label_shift: LabelShiftBound | None
    label_shift_note: str
    missing: tuple[Missing, ...]
    level: float
    resamples: int
    seed: int

    def rows(self) -> tuple[Row, ...]:
        """The report as a flat table, undefined terms included; ``Row._fields`` is its header."""
        single = tuple(part for part in (self.hull, self.joint) if part is not None)
        parts: tuple[_Tabular, ...] = (
            *self.risks,
            *self.margins,
            *self.divergences,
            *self.class_divergences,
            *self.posterior,
            *self.pointwise,
            *single,
            *self.complexity,
            *self.priors,
            *self.sides,
            *self.missing,
        )
        return tuple(line for part in parts for line in part.rows())
