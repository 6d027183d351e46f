"""The report: every bound term of one artifact, with its table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from geometry.bound.divergence import Divergence
from geometry.bound.margin import MarginDistribution
from geometry.bound.posterior import PosteriorDiscrepancy
from geometry.bound.prior import PriorShift
from geometry.bound.risk import Risk
from geometry.bound.row import Row
from geometry.bound.samples import SampleSet
from geometry.bound.theorems import LabelShiftBound


class _Tabular(Protocol):
    def rows(self) -> Iterator[Row]: ...


@dataclass(frozen=True)
class Missing:
    """A term that this artifact does not allow, and why."""

    term: str
    variant: str
    where: str
    reason: str

    def rows(self) -> Iterator[Row]:
        """One row without a number."""
        nan = float("nan")
        yield Row(self.term, self.variant, "all", self.where, nan, nan, nan, 0, self.reason)


@dataclass(frozen=True, eq=False)
class BoundReport:
    """Every term of the bounds that can be estimated from features, logits, labels and domains.

    Attributes:
        source: the samples that stand for the sources.
        target: the samples that stand for the target (none: ``n`` is 0).
        risks: risk and balanced risk of the sources (pooled, by domain, by split) and of the target.
        margins: margin distributions in three scales, of the sources and of the target.
        divergences: proxy A-distance of every source pair and of the target to the pooled sources.
        posterior: prototype discrepancies among the sources and of the target to the pooled sources.
        priors: label-histogram distances of the same pairs, with the cost of Theorem B for the target.
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
    posterior: tuple[PosteriorDiscrepancy, ...]
    priors: tuple[PriorShift, ...]
    label_shift: LabelShiftBound | None
    label_shift_note: str
    missing: tuple[Missing, ...]
    level: float
    resamples: int
    seed: int

    def rows(self) -> tuple[Row, ...]:
        """The report as a flat table, undefined terms included; ``Row._fields`` is its header."""
        parts: tuple[_Tabular, ...] = (*self.risks, *self.margins, *self.divergences, *self.posterior, *self.priors)
        lines = [line for part in (*parts, *self.missing) for line in part.rows()]
        if self.label_shift is not None:
            bound, nan = self.label_shift, float("nan")
            n = self.source.n + self.target.n
            for name, value in (("bound", bound.bound), ("target risk", bound.target_risk), ("slack", bound.slack)):
                lines.append(
                    Row("Theorem B", name, "all", "target | sources", value, nan, nan, n, self.label_shift_note)
                )
        return tuple(lines)
