"""All metrics on one set of samples, with intervals: the sample and its resamples go through the same code."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.alignment import cosines
from geometry.collapse.angles import etf_error, gnc2, nc2
from geometry.collapse.catalogue import HEAD_METRICS, MEANS_METRICS, METRICS, NC4_METRIC, RANK_METRICS, Metric
from geometry.collapse.class_statistics import WEIGHTINGS, Array, ClassStatistics, Index, Weighting
from geometry.collapse.duality import nc3
from geometry.collapse.equilibrium import SAME_AS
from geometry.collapse.minority import pair_cosines
from geometry.collapse.moments import ClassMoments, LabelledFeatures
from geometry.collapse.ranks import centred_singular_values, effective_rank, gram_ranks, stable_rank
from geometry.collapse.report import ALL, GroupMeasures, ScopeMeasures, WeightedMeasures
from geometry.collapse.resampling import multiplicities
from geometry.collapse.variability import cdnv, nc1
from geometry.defined import Value
from geometry.intervals import Interval, undefined, wider_interval

Key: TypeAlias = tuple[Weighting, str, str]
"""Weighting, group of classes, metric."""
Values: TypeAlias = dict[Key, Value]

NO_HEAD = "the artifact has no linear head"
NO_RANK_INTERVAL = "no interval: a resample repeats samples, which lowers the rank by itself"


@dataclass(frozen=True, eq=False)
class Draws:
    """A metric on resamples.

    Attributes:
        values: ``(B,)``.
        drawn_from: its value on the distribution they are drawn from (:meth:`LabelledFeatures.moments`).
    """

    values: Array
    drawn_from: float


@dataclass(frozen=True, eq=False)
class Plan:
    """What is common to every scope of a report.

    Attributes:
        class_names: K names.
        groups: class indices of each group; ``all`` first.
        head_weight: ``(K, D)`` or None.
        resamples: bootstrap resamples.
        level: nominal coverage.
    """

    class_names: tuple[str, ...]
    groups: Mapping[str, Index]
    head_weight: NDArray[np.floating] | None
    resamples: int
    level: float

    def measures(self, group: str, counts: NDArray[np.int64], metrics: Mapping[str, Interval]) -> GroupMeasures:
        """The metrics of a group with the classes they stand on; ``counts`` ``(K,)``."""
        classes = self.groups[group]
        present = classes[counts[classes] > 0]
        return GroupMeasures(
            group=group,
            classes=tuple(self.class_names[k] for k in present),
            absent=int(classes.size - present.size),
            single=int((counts[classes] == 1).sum()),
            metrics=metrics,
        )


def vector_values(prefix: str, gram: Array, classes: ArrayLike | None) -> dict[str, Value]:
    """Lengths, angles and ranks of the vectors with this Gram matrix, under the catalogue's names."""
    equal, energy, pairs = nc2(gram, classes), gnc2(gram, classes), pair_cosines(gram, classes)
    effective, stable = gram_ranks(gram, classes)
    values = {
        "norm_cov": equal.norm_cov,
        "cosine_std": equal.cosine_std,
        "max_equiangularity": equal.max_equiangularity,
        "etf_error": etf_error(gram, classes),
        "gnc2": energy.mean,
        "gnc2_variance": energy.variance,
        "cosine": pairs.mean,
        "min_angle": pairs.min_angle,
        "merged_share": pairs.merged,
        "effective_rank": effective,
        "stable_rank": stable,
    }
    return {f"{prefix}_{name}": value for name, value in values.items()}


def class_values(stats: ClassStatistics, classes: Index, head_weight: NDArray[np.floating] | None) -> dict[str, Value]:
    """Every metric of class means and scatter over ``classes``, under the catalogue's names."""
    variability, distances = nc1(stats, classes), cdnv(stats, classes)
    values = {
        "nc1": variability.value,
        "trace_ratio": variability.trace_ratio,
        "cdnv": distances.mean,
        "cdnv_max": distances.maximum,
        **vector_values("means", stats.gram, classes),
    }
    if head_weight is not None:
        duality = nc3(stats, head_weight, classes)
        values |= {"nc3_frobenius": duality.frobenius, "nc3_cosine": duality.one_minus_cosine}
    return values | {name: values[same] for name, same in SAME_AS.items() if same in values}


def measure_scope(
    domain: str,
    data: LabelledFeatures,
    agrees: NDArray[np.bool_] | None,
    plan: Plan,
    rng: np.random.Generator,
    rank_groups: Iterable[str] = (ALL,),
) -> ScopeMeasures:
    """Measure one set of samples.

    Args:
        domain: name of the scope.
        data: its samples.
        agrees: ``(N,)`` NC4's agreement of each sample in input order, or None without a head.
        plan: groups, head and bootstrap settings.
        rng: source of randomness; samples are redrawn inside classes.
        rank_groups: groups whose feature rank is measured (an eigendecomposition of size min(N, D) each).
    """
    hits = None if agrees is None else agrees[data.order].astype(np.float64)

    def values(moments: ClassMoments) -> Values:
        found: Values = {}
        for weighting in WEIGHTINGS:
            stats = moments.statistics(weighting)
            for group, classes in plan.groups.items():
                for metric, value in class_values(stats, classes, plan.head_weight).items():
                    found[weighting, group, metric] = value
                if hits is not None:
                    found[weighting, group, "nc4"] = _agreement(moments, hits, stats.among(classes), weighting)
        return found

    base = data.moments()
    estimates = values(base)
    present = int((data.counts > 0).sum())
    numbers = 2 * max(present * max(data.residuals.shape), data.counts.size**2)
    draws = draw(lambda drawn: values(data.moments(drawn)), data.labels, plan.resamples, rng, numbers)
    ranked = set(rank_groups)
    sides = {}
    for weighting in WEIGHTINGS:
        stats = base.statistics(weighting)
        groups = {}
        for group, classes in plan.groups.items():
            metrics = {}
            for metric in (*MEANS_METRICS, NC4_METRIC):
                key = (weighting, group, metric.name)
                reason = unavailable(metric, stats.counts, classes, plan.head_weight is not None or hits is not None)
                if metric.needs == "classes and head" and plan.head_weight is None:
                    reason = NO_HEAD
                n = _carriers(metric, stats.counts, classes)
                metrics[metric.name] = interval(metric, estimates.get(key), draws.get(key), n, plan.level, reason)
            if group in ranked:
                metrics |= _feature_ranks(data, classes, weighting, plan.level)
            groups[group] = plan.measures(group, data.counts, metrics)
        sides[weighting] = WeightedMeasures(weighting, nc1(stats), cosines(stats.gram), groups)
    stats = base.statistics("balanced")
    return ScopeMeasures(
        domain=domain,
        samples=int(data.labels.size),
        counts=data.counts,
        cdnv=cdnv(stats).matrix,
        etf_possible=present - 1 <= stats.dimension,
        balanced=sides["balanced"],
        pooled=sides["pooled"],
    )


def measure_head(plan: Plan) -> dict[str, GroupMeasures]:
    """Geometry of the classifier rows by group; empty without a head. The head is fixed, so there are no intervals."""
    if plan.head_weight is None:
        return {}
    weight = np.asarray(plan.head_weight, dtype=np.float64)
    gram = weight @ weight.T
    groups = {}
    for group, classes in plan.groups.items():
        values = vector_values("head", gram, classes)
        reason = "fewer than two rows" if classes.size < 2 else None
        metrics = {
            metric.name: interval(metric, values[metric.name], None, 0, plan.level, reason, "the head is fixed")
            for metric in HEAD_METRICS
        }
        groups[group] = GroupMeasures(group, tuple(plan.class_names[k] for k in classes), 0, 0, metrics)
    return groups


def draw(
    values: Callable[[Array], Mapping[Key, Value]],
    strata: NDArray[np.int64],
    resamples: int,
    rng: np.random.Generator,
    numbers_each: int,
) -> dict[Key, Draws]:
    """Values of every metric on every resample."""
    batches: dict[Key, list[Array]] = {}
    for drawn in multiplicities(strata, resamples, rng, numbers_each):
        for key, value in values(drawn).items():
            batches.setdefault(key, []).append(np.broadcast_to(value, len(drawn)))
    source = values(np.ones((1, strata.size))) if batches else {}
    return {
        key: Draws(np.concatenate(parts), float(np.broadcast_to(source[key], 1)[0])) for key, parts in batches.items()
    }


def unavailable(metric: Metric, counts: NDArray[np.int64], classes: Index, head: bool) -> str | None:
    """Why a metric has no value on these counts, or None."""
    here, twice = int((counts[classes] > 0).sum()), int((counts[classes] >= 2).sum())
    few = "fewer than two classes present"
    if metric.needs.endswith("head") and not head:
        return NO_HEAD
    if metric.needs.startswith("samples"):
        return None if here else "no sample"
    if (counts > 0).sum() < 2:
        return few
    if metric.needs == "variance":
        return None if twice else "no class with two samples"
    if metric.needs == "pairs of variances":
        return None if twice >= 2 else "fewer than two classes with two samples"
    if metric.needs == "classes and head":
        return None if here else "no class of the group is present"
    return None if here >= 2 else few


def interval(
    metric: Metric,
    estimate: Value | None,
    draws: Draws | None,
    n: int,
    level: float,
    reason: str | None,
    fixed: str = "not resampled",
) -> Interval:
    """A metric's interval, or the reason why it has none."""
    if reason is not None or estimate is None:
        return undefined(n, reason or "not measured", level)
    value, nan = float(estimate), float("nan")
    if np.isnan(value):
        return undefined(n, "every mean, direction or distance it needs vanishes", level)
    if np.isinf(value):
        return Interval(value, nan, nan, level, n, "infinite: two class means coincide")
    if draws is None:
        return Interval(value, nan, nan, level, n, f"no interval: {fixed}")
    return wider_interval(
        value,
        draws.values,
        n=n,
        level=level,
        low=metric.low,
        high=metric.high,
        scale=metric.scale,
        drawn_from=draws.drawn_from,
    )


def _carriers(metric: Metric, counts: NDArray[np.int64], classes: Index) -> int:
    size = counts[classes]
    return int(size[size >= 2].sum() if "variance" in metric.needs else size.sum())


def _agreement(moments: ClassMoments, hits: Array, classes: Index, weighting: Weighting) -> Value:
    counts = moments.source.counts
    if classes.size == 0:
        return np.full(moments.multiplicity.shape[:-1], np.nan)[()]
    share = np.zeros(counts.size)
    share[classes] = 1 / (classes.size * counts[classes]) if weighting == "balanced" else 1 / counts[classes].sum()
    return np.asarray(moments.multiplicity @ (hits * share[moments.source.labels]))[()]


def _feature_ranks(data: LabelledFeatures, classes: Index, weighting: Weighting, level: float) -> dict[str, Interval]:
    """Ranks of the features of ``classes``, around their own mean, classes or samples of equal weight."""
    chosen = classes[data.counts[classes] > 0]
    rows = np.isin(data.labels, chosen)
    n = int(rows.sum())
    if n < 2:
        return {metric.name: undefined(n, "fewer than two samples", level) for metric in RANK_METRICS}
    labels = data.labels[rows]
    weights = np.full(n, 1 / n) if weighting == "pooled" else 1 / (chosen.size * data.counts[labels])
    features = data.residuals[rows] + data.class_means[labels]
    values = centred_singular_values(features, weights, weights @ features)
    ranks = {"features_effective_rank": effective_rank(values), "features_stable_rank": stable_rank(values)}
    return {
        name: interval(METRICS[name], value, None, n, level, None, NO_RANK_INTERVAL.removeprefix("no interval: "))
        for name, value in ranks.items()
    }
