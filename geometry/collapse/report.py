"""The collapse report: everything measured on one artifact, nested, and the same numbers as flat rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from geometry.collapse.class_statistics import WEIGHTINGS, Array, Weighting
from geometry.collapse.minority import MinorityClasses
from geometry.collapse.variability import NC1
from geometry.errors import UsageError
from geometry.intervals import Interval

ALL = "all"
ACROSS = "across"
"""Name of the domain under which geometry across domains is listed."""


class MetricRow(NamedTuple):
    """One number of a report; weighting is ``none`` for the classifier's own geometry."""

    metric: str
    weighting: str
    group: str
    domain: str
    estimate: float
    low: float
    high: float
    n: int
    note: str


@dataclass(frozen=True)
class GroupMeasures:
    """The metrics of one group of classes.

    Attributes:
        group: ``all``, a shot group, or ``minority``.
        classes: names of the classes present.
        absent: classes of the group without a sample.
        single: classes of the group with one sample: a mean but no variance, and no bootstrap scatter.
        metrics: interval of each metric by name.
    """

    group: str
    classes: tuple[str, ...]
    absent: int
    single: int
    metrics: Mapping[str, Interval]


@dataclass(frozen=True, eq=False)
class WeightedMeasures:
    """The metrics under one weighting.

    Attributes:
        weighting: ``balanced`` or ``pooled``.
        nc1: NC1 of all classes with its rank, smallest kept eigenvalue and trace ratio.
        cosines: ``(K, K)`` cosines of the centred class means; NaN where a class is absent.
        groups: measures by group; ``all`` first.
    """

    weighting: Weighting
    nc1: NC1
    cosines: Array
    groups: Mapping[str, GroupMeasures]


@dataclass(frozen=True, eq=False)
class ScopeMeasures:
    """The metrics on the samples of one domain, or of all.

    Attributes:
        domain: name of the domain, or ``all``.
        samples: N.
        counts: ``(K,)`` samples per class.
        cdnv: ``(K, K)`` class-distance normalised variance of each pair (the same in both weightings).
        etf_possible: whether K - 1 <= D, K counting classes present; else no simplex exists: read GNC2.
        balanced: every class counts alike.
        pooled: every sample counts alike.
    """

    domain: str
    samples: int
    counts: NDArray[Any]
    cdnv: Array
    etf_possible: bool
    balanced: WeightedMeasures
    pooled: WeightedMeasures

    def weighted(self, weighting: Weighting) -> WeightedMeasures:
        """The measures under a weighting by name."""
        return self.balanced if weighting == "balanced" else self.pooled


@dataclass(frozen=True, eq=False)
class AcrossDomains:
    """Geometry of class means across domains, under one weighting.

    Attributes:
        weighting: ``balanced`` or ``pooled``.
        cosines: ``(K, M, M)`` cosines of centred cell means; NaN where a cell is empty.
        between: ``(K,)`` spread of the class's cell means over domains.
        within: ``(K,)`` mean variance of the class's cells.
        masked_cells: cells with fewer than two samples.
        groups: measures by group of classes.
    """

    weighting: Weighting
    cosines: Array
    between: Array
    within: Array
    masked_cells: int
    groups: Mapping[str, GroupMeasures]


@dataclass(frozen=True, eq=False)
class CollapseReport:
    """Neural-collapse metrics of one artifact.

    Attributes:
        split: split whose samples were measured.
        class_names: K names.
        domain_names: M names, the axes of ``across``.
        dimension: D.
        dtype: dtype the features were stored in; it sets NC1's rank tolerance.
        minority: which classes are the group ``minority``, and why.
        nearest_means_from: which samples NC4's class means are of.
        conventions: choices that change a number, in words.
        definitions: formula of each metric by name.
        resamples: bootstrap resamples.
        seed: seed of the bootstrap.
        level: nominal coverage of the intervals.
        overall: all samples.
        domains: samples of each domain present, by name (empty when there is one domain).
        across: geometry across domains by weighting (empty when there is one domain).
        head: measures of the classifier rows by group (empty without a head).
    """

    split: str
    class_names: tuple[str, ...]
    domain_names: tuple[str, ...]
    dimension: int
    dtype: str
    minority: MinorityClasses
    nearest_means_from: str
    conventions: tuple[str, ...]
    definitions: Mapping[str, str]
    resamples: int
    seed: int
    level: float
    overall: ScopeMeasures
    domains: Mapping[str, ScopeMeasures]
    across: Mapping[str, AcrossDomains]
    head: Mapping[str, GroupMeasures]

    def rows(self) -> Iterator[MetricRow]:
        """Every number as a flat row, for CSV files and tables."""
        for scope in (self.overall, *self.domains.values()):
            for weighting in WEIGHTINGS:
                for measures in scope.weighted(weighting).groups.values():
                    yield from _rows(measures, weighting, scope.domain)
        for across in self.across.values():
            for measures in across.groups.values():
                yield from _rows(measures, across.weighting, ACROSS)
        for measures in self.head.values():
            yield from _rows(measures, "none", ALL)

    def find(self, metric: str, weighting: str = "balanced", group: str = ALL, domain: str = ALL) -> Interval:
        """One number by name; ``head_...`` metrics have weighting ``none``, ``domain_...`` ones domain ``across``.

        Raises:
            UsageError: the report holds no such number.
        """
        if metric.startswith("head_"):
            groups = self.head
        elif domain == ACROSS or metric.startswith("domain_"):
            groups = self.across[weighting].groups if weighting in self.across else {}
        else:
            scope = self.overall if domain == ALL else self.domains.get(domain)
            groups = scope.weighted(weighting).groups if scope and weighting in WEIGHTINGS else {}
        if group not in groups or metric not in groups[group].metrics:
            raise UsageError(f"The report has no {metric!r} for weighting {weighting}, group {group}, domain {domain}.")
        return groups[group].metrics[metric]


def _rows(measures: GroupMeasures, weighting: str, domain: str) -> Iterator[MetricRow]:
    for metric, interval in measures.metrics.items():
        remarks = [interval.method]
        remarks += [f"{measures.absent} classes absent"] * (measures.absent > 0)
        remarks += [f"{measures.single} classes of one sample"] * (measures.single > 0)
        yield MetricRow(
            metric, weighting, measures.group, domain, interval.estimate, interval.low, interval.high, interval.n,
            "; ".join(remarks),
        )  # fmt: skip
