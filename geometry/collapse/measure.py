"""Measure the neural collapse of an artifact: every metric, weighting, shot group and domain, with intervals."""

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.collapse.catalogue import DOMAIN_METRICS, METRICS
from geometry.collapse.class_statistics import WEIGHTINGS
from geometry.collapse.domains import cell_features, domain_geometry
from geometry.collapse.minority import MinorityClasses, minority_classes
from geometry.collapse.moments import ClassMoments, LabelledFeatures
from geometry.collapse.nearest_mean import head_decision, nearest_mean
from geometry.collapse.report import ALL, AcrossDomains, CollapseReport, ScopeMeasures
from geometry.collapse.scope import Plan, Values, draw, interval, measure_head, measure_scope
from geometry.errors import UsageError
from geometry.shots import group_masks

CONVENTIONS = (
    "statistics in float64; variances and standard deviations are population ones (divisor n)",
    "balanced: every class counts alike in the global mean, Sigma_W and NC4; pooled: every sample does",
    "Sigma_B = (1/K) sum_k (mu_k - mu_G)(mu_k - mu_G)^T in both weightings; K counts the classes present",
    "a group of classes restricts sums and pairs; the global mean, Sigma_B and K stay those of all classes present",
    "classes of one sample have a mean but no within-class variance; absent classes have neither",
    "classifier rows are used as they are, not centred; NC3 compares them with centred class means",
    "the rank of features is that of the chosen samples around their own weighted mean",
    "intervals: basic and percentile bootstrap, the wider end, samples redrawn inside classes (across domains: inside "
    "cells) with residuals longer by sqrt(n/(n-1)); NC4's means stay fixed",
    "intervals cover less than their level where classes have a handful of samples: of five classes of 60 to 6 samples "
    "95 % intervals of nc1 missed in 8 %, of the mean cosine of class means in 9 %, of the largest CDNV in 11 %, of "
    "the smallest angle in 12 % (python -m benchmarks.coverage)",
    "intervals over samples say nothing about other training runs; classes of one sample cannot scatter",
)


def measure(
    artifact: Artifact, *, split: str | None = None, resamples: int = 200, seed: int = 0, level: float = 0.95
) -> CollapseReport:
    """Neural-collapse metrics of an artifact.

    NC4's class means are those of the split ``train`` where there is one, whatever split is measured; else those of the
    measured samples. Minority classes: :func:`~geometry.collapse.minority.minority_classes`.

    Intervals are :func:`geometry.intervals.wider_interval` of resamples inside classes, residuals widened as
    :meth:`~geometry.collapse.moments.LabelledFeatures.moments` says. Means of few samples are long and far apart by
    noise alone, which no redrawing of them takes off whole. Of 1000 data sets (five normal classes in 8 dimensions,
    standard deviation 0.4, means of length 2 to 1, at right angles or in random directions) nominal 95 % intervals
    missed the population's value, in percent (ours, ``python -m benchmarks.coverage``; ``gram_error`` is
    :func:`~geometry.compare.compare`'s)::

        means      samples            nc1 cdnv cdnv_max norm_cov cosine cosine_std etf_error min_angle gram_error
        orthogonal 60 each            5.1  3.9      2.7      4.5    4.7        0.5       3.2       4.8        0.5
        orthogonal 60, 40, 20, 10, 6  7.1  5.5      7.7      3.0    8.5        2.2       6.2      11.6        3.3
        orthogonal 60, 40, 20, 5, 3   7.0  5.9     16.0      4.8   13.7        5.0       6.6      15.1        7.4
        random     60 each            5.7  3.8      5.1      4.4    5.1        3.8       4.0       4.9        4.6
        random     60, 40, 20, 10, 6  7.8  5.4     11.3      3.0    7.8        4.8       4.8       5.7        5.9
        random     60, 40, 20, 5, 3   13.5  6.0     18.5      5.0   11.6        8.0       5.9       8.9        7.8

    Args:
        artifact: features and labels; the head and the domains where known.
        split: split to measure; by default ``artifact.default_split()``. ``all`` takes every sample.
        resamples: bootstrap resamples; fewer than 20 give no interval.
        seed: seed of the bootstrap.
        level: nominal coverage in (0, 1).

    Raises:
        UsageError: unknown split, a level outside (0, 1), or a negative number of resamples.
        DataError: the split has no sample.

    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat([0, 1, 2], 30)
    >>> features = 3.0 * np.eye(4)[labels] + 0.1 * rng.normal(size=(90, 4))
    >>> report = measure(Artifact(features, labels, ("cat", "dog", "hen")), resamples=50)
    >>> nc1 = report.find("nc1")
    >>> nc1.low < nc1.estimate < nc1.high < 0.01, int(report.overall.balanced.nc1.rank)
    (True, 2)
    """
    if not 0 < level < 1:
        raise UsageError(f"Expected a level between 0 and 1, got {level}.")
    if resamples < 0:
        raise UsageError(f"Expected resamples of zero or more, got {resamples}.")
    name = artifact.default_split() if split is None else split
    part = artifact.select(name)
    minority = minority_classes(artifact.class_counts, artifact.shots)
    plan = _plan(artifact, minority, resamples, level)
    agrees, means_from = _agreement(artifact, part, name)

    here = np.unique(part.domains)
    overall, across, *streams = np.random.default_rng(seed).spawn(2 + part.num_domains)
    everyone = LabelledFeatures.of(part.features, part.labels, part.num_classes)
    whole = measure_scope(ALL, everyone, agrees, plan, overall, rank_groups=plan.groups)
    domains: dict[str, ScopeMeasures] = {}
    for m in here if here.size > 1 else ():
        rows = np.flatnonzero(part.domains == m)
        data = LabelledFeatures.of(part.features[rows], part.labels[rows], part.num_classes)
        mine = None if agrees is None else agrees[rows]
        domains[part.domain_names[m]] = measure_scope(part.domain_names[m], data, mine, plan, streams[m])
    return CollapseReport(
        split=name,
        class_names=part.class_names,
        domain_names=part.domain_names,
        dimension=int(part.features.shape[1]),
        dtype=str(part.features.dtype),
        minority=minority,
        nearest_means_from=means_from,
        conventions=CONVENTIONS,
        definitions={metric.name: metric.formula for metric in METRICS.values()},
        resamples=resamples,
        seed=seed,
        level=level,
        overall=whole,
        domains=domains,
        across=_across(part, plan, across) if here.size > 1 else {},
        head=measure_head(plan),
    )


def _plan(artifact: Artifact, minority: MinorityClasses, resamples: int, level: float) -> Plan:
    groups = {ALL: np.arange(artifact.num_classes)}
    if artifact.shots is not None:
        groups |= {group: np.flatnonzero(mask) for group, mask in group_masks(artifact.shots).items()}
    groups["minority"] = np.asarray(minority.classes, dtype=np.intp)
    return Plan(artifact.class_names, groups, artifact.head_weight, resamples, level)


def _agreement(artifact: Artifact, part: Artifact, name: str) -> tuple[NDArray[np.bool_] | None, str]:
    """Whether the nearest class mean and the head decide alike on each sample, and whose means were used."""
    trained = "train" in artifact.split_names and bool((artifact.split == artifact.split_names.index("train")).any())
    source = artifact.select("train") if trained else part
    origin = "the split train" if trained else f"the measured samples (split {name})"
    if artifact.head_weight is not None:
        decision = head_decision(part.features, artifact.head_weight, artifact.head_bias)
    elif part.logits is not None:
        decision = np.asarray(part.logits.argmax(axis=1), dtype=np.intp)
    else:
        return None, origin
    data = LabelledFeatures.of(source.features, source.labels, source.num_classes)
    return nearest_mean(part.features, data.moments().means + data.origin) == decision, origin


def _across(part: Artifact, plan: Plan, rng: np.random.Generator) -> dict[str, AcrossDomains]:
    """Geometry of the same class across domains, samples redrawn inside cells."""
    data = cell_features(part.features, part.labels, part.domains, part.num_classes, part.num_domains)
    counts = data.counts.reshape(part.num_classes, part.num_domains)

    def values(moments: ClassMoments) -> Values:
        found: Values = {}
        for weighting in WEIGHTINGS:
            for group, classes in plan.groups.items():
                result = domain_geometry(moments, part.num_domains, weighting=weighting, classes=classes)
                found[weighting, group, "domain_cosine"] = result.cosine
                found[weighting, group, "domain_spread_ratio"] = result.spread_ratio
        return found

    base = data.moments()
    estimates = values(base)
    numbers = 2 * counts.size * max(part.features.shape[1], part.num_domains) + data.labels.size
    draws = draw(lambda drawn: values(data.moments(drawn)), data.labels, plan.resamples, rng, numbers)
    sides: dict[str, AcrossDomains] = {}
    for weighting in WEIGHTINGS:
        whole = domain_geometry(base, part.num_domains, weighting=weighting)
        groups = {}
        for group, classes in plan.groups.items():
            shared = classes[(counts[classes] > 0).sum(axis=1) >= 2]
            varied = shared[(counts[shared] >= 2).any(axis=1)]
            metrics = {}
            for metric in DOMAIN_METRICS:
                reason = None if shared.size else "no class in two domains"
                if metric.needs == "variance" and not varied.size:
                    reason = "no class in two domains with two samples in one"
                key, n = (weighting, group, metric.name), int(counts[shared].sum())
                metrics[metric.name] = interval(metric, estimates[key], draws.get(key), n, plan.level, reason)
            groups[group] = plan.measures(group, counts.sum(axis=1), metrics)
        sides[weighting] = AcrossDomains(
            weighting, whole.cosines, whole.between, whole.within, whole.masked_cells, groups
        )
    return sides
