"""How much more gradient a minority anchor gets than a majority anchor, counts left as they are or made equal."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geometry.checks.batch_jackknife import jackknife_interval, leave_one_out
from geometry.checks.gradient_records import Anchors, Array, Masks
from geometry.defined import Value, mean_defined, ratio
from geometry.intervals import Interval, percentile_interval, undefined
from geometry.rank_correlation import spearman

# Numerator and denominator of each amplification, as combinations of the sums of `batch_sums`.
RATIOS = {
    "weightless": ((0, 0, 0, 0, 1), (0, 1, 0, 0, 0)),
    "raw": ((1, 0, 0, 0, 0), (0, 1, 0, 0, 0)),
    "nonzero": ((0, 0, 0, 0, 1), (0, 1, -1, 0, 0)),
    "class": ((1, 0, 0, 0, 0), (0, 0, 0, 1, 0)),
}


@dataclass(frozen=True)
class GroupShare:
    """What one group of classes receives of the gradient.

    Attributes:
        anchors: anchors recorded in the group.
        batches: batches with at least one of them.
        anchor_share: their share of all anchors.
        norm_share: their share of the summed gradient norm, in [0, 1].
        mean_norm: mean gradient norm of an anchor.
        zero_fraction: share of the anchors whose gradient is exactly zero.
        zero_alone: of the anchors of exactly zero gradient, the share that is alone in its class; NaN without any.
        alone: share of the anchors that is alone in its class.
        alike: mean number n_k of the class's anchors in an anchor's batch, itself included.
        count_ratio: mean of positives over negatives, (n_k - 1) / |N_k|; NaN where not recorded.
        factor: mean of the amplification factor A = P / N; NaN where not recorded.
        repulsion: mean of the closed-form repulsion, for NDCL P / (P + N); NaN where not recorded.
    """

    anchors: int
    batches: int
    anchor_share: float
    norm_share: Interval
    mean_norm: Interval
    zero_fraction: Interval
    zero_alone: float
    alone: float
    alike: float
    count_ratio: float
    factor: float
    repulsion: float


@dataclass(frozen=True, eq=False)
class ClassShare:
    """The same by class, arrays ``(K,)``; NaN for a class without anchors."""

    anchors: NDArray[np.int64]
    anchor_share: Array
    norm_share: Array
    mean_norm: Array
    zero_fraction: Array


@dataclass(frozen=True)
class EqualCounts:
    """Few over many among anchors that stand in equal company.

    Attributes:
        ratio: of means, each in-batch count n_k weighed by its few anchors.
        few: few anchors at counts that occur in both groups.
        many: many anchors at those counts.
        few_batches: batches that hold such few anchors.
        many_batches: batches that hold such many anchors.
        shared: share of all few anchors that have such a count.
        counts: the counts.
    """

    ratio: Interval
    few: int
    many: int
    few_batches: int
    many_batches: int
    shared: float
    counts: tuple[int, ...]


def redraw_batches(batches: int, resamples: int, rng: np.random.Generator) -> Array:
    """``(resamples, B)`` how often each batch is drawn."""
    return rng.multinomial(batches, np.full(batches, 1.0 / batches), size=resamples).astype(np.float64)


def batch_sums(anchors: Anchors, num_classes: int) -> Array:
    """``(B, K, 5)`` per batch and class.

    Sum of norms, anchors, anchors of exactly zero gradient, presence (0 or 1), sum of norms over weights.
    """
    norm = anchors.norm
    sums = np.zeros((anchors.batches, num_classes, 5))
    columns = [norm, np.ones(norm.size), norm == 0, np.zeros(norm.size), anchors.pull]
    np.add.at(sums, (anchors.batch, anchors.label), np.column_stack(columns))
    sums[..., 3] = sums[..., 1] > 0
    return sums


def amplification(sums: Array, draws: Array, masks: Masks, level: float, kind: str) -> Interval:
    """Few over many of a quotient of two batch sums, as :data:`RATIOS` names them."""
    few, many = sums[:, masks["few"]].sum(axis=1), sums[:, masks["many"]].sum(axis=1)
    what, over = (np.asarray(part, dtype=np.float64) for part in RATIOS[kind])

    def of(times: Array) -> Value:
        totals = [times @ part for part in (few, many)]
        return ratio(*(ratio(total @ what, total @ over) for total in totals))

    n = int(few[:, 1].sum() + many[:, 1].sum())
    return percentile_interval(float(of(np.ones(len(sums)))), of(draws), n=n, level=level)


def at_equal_counts(anchors: Anchors, values: Array, masks: Masks, level: float) -> EqualCounts:
    r"""Few over many among anchors whose classes have equally many samples in their batches (direct standardisation).

    .. math:: \frac{\sum_n f_n \bar g^{few}_n}{\sum_n f_n \bar g^{many}_n}
        = \frac{\sum_n \sum_{i \in few(n)} g_i}{\sum_n f_n \bar g^{many}_n}

    over the in-batch counts n that occur in both groups, with :math:`f_n` few anchors at count n. With equal batches
    and equal n_k NDCL's allocation also makes equally many negatives. The interval leaves one batch out at a
    time, on the log scale (:func:`geometry.checks.batch_jackknife.jackknife_interval`). A count that is left to one
    group alone is left out.

    Args:
        anchors: of one loss.
        values: ``(A,)`` g.
        masks: with ``few`` and ``many``.
        level: nominal coverage.
    """
    counts, estimate, without = _ratios_at_equal_counts(anchors, values, masks)
    n = counts.few + counts.many
    if n == 0:
        interval = undefined(0, "few and many anchors never stand at the same in-batch count", level)
    elif estimate > 0:
        carrying = min(counts.few_batches, counts.many_batches)
        interval = jackknife_interval(estimate, without, carrying=carrying, n=n, level=level, log=True)
    else:  # no gradient at all of the few, or of the many
        interval = percentile_interval(estimate, without, n=n, level=level)
    return replace(counts, ratio=interval)


def _ratios_at_equal_counts(anchors: Anchors, values: Array, masks: Masks) -> tuple[EqualCounts, float, Array]:
    """What is compared, the ratio on all batches, and ``(B,)`` the ratio without each."""
    groups = np.stack([masks["few"][anchors.label], masks["many"][anchors.label]])
    counts, code = np.unique(anchors.alike, return_inverse=True)
    cube = np.zeros((anchors.batches, 2, counts.size, 2))
    for g, inside in enumerate(groups):
        add = np.column_stack([values[inside], np.ones(int(inside.sum()))])
        np.add.at(cube[:, g], (anchors.batch[inside], code[inside]), add)
    shared = np.all(cube[..., 1].sum(axis=0) > 0, axis=0)
    kept = cube[:, :, shared]
    few, many = (kept[:, g, :, 1] for g in (0, 1))

    def of(times: Array) -> Array:
        total = np.tensordot(times, kept, axes=(-1, 0))  # (..., 2, S, 2)
        both = np.all(total[..., 1] > 0, axis=-2)
        mean_many = np.where(both, ratio(total[..., 1, :, 0], total[..., 1, :, 1]), 0.0)
        numerator = np.where(both, total[..., 0, :, 0], 0.0).sum(axis=-1)
        return np.asarray(ratio(numerator, (total[..., 0, :, 1] * mean_many).sum(axis=-1)))

    every = cube[:, 0, :, 1].sum()
    compared = EqualCounts(
        ratio=undefined(0, "not computed"),
        few=int(few.sum()),
        many=int(many.sum()),
        few_batches=int(np.sum(few.sum(axis=1) > 0)),
        many_batches=int(np.sum(many.sum(axis=1) > 0)),
        shared=float(few.sum() / every) if every else float("nan"),
        counts=tuple(int(count) for count in counts[shared]),
    )
    return compared, float(of(np.ones(anchors.batches))), of(leave_one_out(anchors.batches))


def relative_to(first: Anchors, second: Anchors, masks: Masks, level: float) -> Interval:
    """One loss's ratio at equal counts over another's on the same batches, paired by batch.

    What a model's state does to every loss alike, such as minority samples that it already fits, cancels; what is left
    is the form of the loss.

    Args:
        first: anchors of the one loss.
        second: anchors of the other, on the same samples in the same batches.
        masks: with ``few`` and ``many``.
        level: nominal coverage.
    """
    counts, above, without = _ratios_at_equal_counts(first, first.pull, masks)
    _, below, without_below = _ratios_at_equal_counts(second, second.pull, masks)
    if not np.array_equal(first.batch, second.batch) or not np.array_equal(first.label, second.label):
        return undefined(0, "the two losses were not recorded on the same batches", level)
    if not (above > 0 and below > 0):
        return undefined(counts.few + counts.many, "one of the two has no gradient", level)
    carrying = min(counts.few_batches, counts.many_batches)
    n = counts.few + counts.many
    return jackknife_interval(
        above / below, np.asarray(ratio(without, without_below)), carrying=carrying, n=n, level=level, log=True
    )


def follows_closed_form(anchors: Anchors, draws: Array, level: float) -> Interval:
    """Spearman's correlation of the closed-form repulsion and the measured pull (norm over weight) of every anchor.

    NaN where no repulsion is recorded. Intervals redraw whole batches, at most 100 times.
    """
    repulsion = anchors.more.get("repulsion")
    if repulsion is None or not np.all(np.isfinite(repulsion)):
        return undefined(anchors.norm.size, "the closed form of this loss is not recorded", level)
    pull = anchors.pull
    redrawn = [spearman(repulsion, pull, times[anchors.batch]) for times in draws[:100]]
    return percentile_interval(spearman(repulsion, pull), redrawn, n=pull.size, level=level)


def group_share(anchors: Anchors, sums: Array, draws: Array, mask: NDArray[np.bool_], level: float) -> GroupShare:
    """:class:`GroupShare` of the classes of a mask ``(K,)``."""
    inside, every = sums[:, mask].sum(axis=1), sums.sum(axis=1)
    total, whole = inside.sum(axis=0), every.sum(axis=0)
    drawn, drawn_whole = draws @ inside, draws @ every
    mine = mask[anchors.label]
    alone, zero = anchors.alike == 1, anchors.norm == 0
    more = {name: values[mine] for name, values in anchors.more.items()}

    def interval(estimate: Value, redrawn: Value) -> Interval:
        return percentile_interval(float(estimate), np.asarray(redrawn), n=int(total[1]), level=level)

    return GroupShare(
        anchors=int(total[1]),
        batches=int(np.sum(inside[:, 1] > 0)),
        anchor_share=float(total[1] / whole[1]),
        norm_share=interval(ratio(total[0], whole[0]), ratio(drawn[:, 0], drawn_whole[:, 0])),
        mean_norm=interval(ratio(total[0], total[1]), ratio(drawn[:, 0], drawn[:, 1])),
        zero_fraction=interval(ratio(total[2], total[1]), ratio(drawn[:, 2], drawn[:, 1])),
        zero_alone=float(ratio(np.sum(alone & zero & mine), np.sum(zero & mine))),
        alone=float(ratio(np.sum(alone & mine), np.sum(mine))),
        alike=float(mean_defined(anchors.alike[mine])),
        count_ratio=_mean_ratio(more, "positive_count", "negative_count"),
        factor=_mean_ratio(more, "positives", "negatives"),
        repulsion=float(mean_defined(more.get("repulsion", np.zeros(0)))),
    )


def class_share(total: Array) -> ClassShare:
    """:class:`ClassShare` of the sums ``(K, 5)`` over all batches."""
    return ClassShare(
        anchors=total[:, 1].astype(np.int64),
        anchor_share=total[:, 1] / total[:, 1].sum(),
        norm_share=np.where(total[:, 1] > 0, ratio(total[:, 0], total[:, 0].sum()), np.nan),
        mean_norm=np.asarray(ratio(total[:, 0], total[:, 1])),
        zero_fraction=np.asarray(ratio(total[:, 2], total[:, 1])),
    )


def _mean_ratio(more: Mapping[str, Array], numerator: str, denominator: str) -> float:
    if numerator not in more or denominator not in more:
        return float("nan")
    return float(mean_defined(ratio(more[numerator], more[denominator])))
