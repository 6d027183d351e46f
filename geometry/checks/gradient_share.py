"""Check: does a contrastive loss amplify the gradients of minority anchors?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.checks.verdict import Claim, Verdict, decide, undecided, verdict
from geometry.errors import DataError
from geometry.intervals import Interval, percentile_interval
from geometry.shots import group_masks

Array = NDArray[np.float64]
Masks = Mapping[str, NDArray[np.bool_]]

PREFIX = "anchor_gradient/"
CLAIMED = "ndcl"  # the loss that the claim was made for is judged first
OWN = "own"  # the contrast a run was trained with
THRESHOLD = 1.0
FEWEST_BATCHES = 20
FEWEST_ANCHORS = 20
# Numerator and denominator of each amplification, as combinations of the sums of `_batch_sums`.
RATIOS = {
    "decides": ((0, 0, 0, 0, 1), (0, 1, 0, 0, 0)),
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
    """

    anchors: int
    batches: int
    anchor_share: float
    norm_share: Interval
    mean_norm: Interval
    zero_fraction: Interval


@dataclass(frozen=True, eq=False)
class ClassShare:
    """The same by class, arrays ``(K,)``; NaN for a class without anchors."""

    anchors: NDArray[np.int64]
    anchor_share: Array
    norm_share: Array
    mean_norm: Array
    zero_fraction: Array


def gradient_share(
    artifact: Artifact, *, rng: np.random.Generator, resamples: int = 200, level: float = 0.95
) -> tuple[Verdict, ...]:
    """Judge recorded gradient norms of contrastive anchors, one verdict per loss.

    A probe writes, for each loss, ``anchor_gradient/<loss>/norm``, ``.../label`` and ``.../batch``, each ``(A,)``:
    the L2 norm of the derivative of the batch's loss by the logits of that anchor, the anchor's class, and the recorded
    batch. It may add ``.../weight``: the weight that the loss's own average gives the anchor. A loss that averages over
    the anchors of a class first, as NDCL's does, weighs each by ``1 / n_k``, which enlarges the gradients of rare
    classes whatever the pairs do; dividing by the weight takes that out.

    The number that decides is the amplification: the mean over few anchors of ``norm / weight`` by that over many
    anchors (of ``norm`` where no weight is recorded; the note then says so). It is a ratio of means over anchors, so
    the number of anchors cancels. Anchors of one batch share their negatives, so intervals redraw whole batches.

    Args:
        artifact: with the probe arrays; shot groups from its thresholds, else the rarest and commonest third of the
            classes.
        rng: source of randomness.
        resamples: bootstrap redraws of the batches.
        level: nominal coverage.

    Returns:
        One verdict per recorded loss, NDCL's first; a single undecided one when none is recorded. ``details`` holds
        ``groups`` and ``classes`` (shares of the recorded norm), ``amplification_raw`` (weights left in),
        ``amplification_nonzero`` (weights out, anchors of exactly zero gradient left out), ``amplification_class``
        (recorded norm summed over a class in a batch, per class present) and ``class_names``.

    Raises:
        DataError: recorded arrays are incomplete, of unequal length, or hold impossible values.
    """
    recorded = {name.split("/")[1] for name in artifact.probes if name.startswith(PREFIX) and name.count("/") > 1}
    losses = sorted(recorded, key=lambda loss: (loss != CLAIMED, loss))
    if not losses:
        reason = f"no probe arrays named {PREFIX}<loss>/norm are recorded"
        return (undecided(claim_about("a contrastive loss"), reason, level=level),)
    return tuple(_judge(artifact, loss, rng, resamples, level) for loss in losses)


def claim_about(loss: str) -> Claim:
    """The claim for one loss."""
    return Claim(
        check="gradient_share",
        subject=loss,
        sentence=f"{'The loss trained with' if loss == OWN else loss} amplifies the gradients of minority anchors.",
        source="claim of NDCL (arXiv 2601.21999) for its contrastive term; the test is ours",
        rule=f"Mean gradient norm of few anchors over that of many anchors, each norm divided by the weight that the "
        f"loss's own average gives its anchor where that is recorded: holds if its interval lies above "
        f"{THRESHOLD:g}, does not hold if it lies below, undecided otherwise or with fewer than {FEWEST_BATCHES} "
        f"batches or {FEWEST_ANCHORS} anchors of either group.",
    )


def _judge(artifact: Artifact, loss: str, rng: np.random.Generator, resamples: int, level: float) -> Verdict:
    claim = claim_about(loss)
    norms, labels, batches, weights = _recorded(artifact, loss)
    masks, how = minority_groups(artifact)
    if not masks:
        return undecided(claim, how, n=norms.size, level=level)
    sums = _batch_sums(norms, labels, batches, weights, artifact.num_classes)
    draws = _redraw_batches(len(sums), resamples, rng)
    groups = {name: _group_share(sums, draws, mask, level) for name, mask in masks.items()}
    few, many = groups["few"], groups["many"]
    enough = len(sums) >= FEWEST_BATCHES and min(few.anchors, many.anchors) >= FEWEST_ANCHORS
    ratios = {kind: _amplification(sums, draws, masks, level, kind) for kind in RATIOS}
    amplification, by_class = ratios["decides"], ratios["class"]
    details = {
        "groups": groups,
        "classes": _class_share(sums.sum(axis=0)),
        **{f"amplification_{kind}": value for kind, value in ratios.items() if kind != "decides"},
        "class_names": artifact.class_names,
    }
    note = (
        f"{how}; {few.anchors} few and {many.anchors} many anchors in {len(sums)} batches; exactly zero gradient: "
        f"{_percent(few.zero_fraction.estimate)} of few, {_percent(many.zero_fraction.estimate)} of many"
    )
    if weights is None and np.isfinite(by_class.estimate):
        note += "; no anchor weights recorded, so a class average inside the loss counts as amplification: summed over "
        note += f"a class in a batch the ratio is {by_class.estimate:.3g} [{by_class.low:.3g}, {by_class.high:.3g}]"
    if not enough:
        note += "; too few to decide"
    elif not np.isfinite(amplification.estimate):
        note += "; the many anchors have no gradient"
    return verdict(claim, decide(amplification, THRESHOLD, enough=enough), amplification, note, details)


def minority_groups(artifact: Artifact) -> tuple[dict[str, NDArray[np.bool_]], str]:
    """``(K,)`` masks that include ``few`` and ``many``, and how they were made; no masks where no class is rarer.

    Shot groups where thresholds are known and both groups occur; else the third of the classes (at least one) with
    the smallest and with the largest training count.
    """
    if artifact.shots is not None:
        masks = group_masks(artifact.shots)
        if "few" in masks and "many" in masks:
            return masks, "shot groups of the artifact"
    counts = artifact.class_counts
    trained = np.flatnonzero(counts > 0)
    third = max(1, trained.size // 3)
    order = trained[np.argsort(counts[trained], kind="stable")]
    if trained.size < 2 or counts[order[third - 1]] >= counts[order[-third]]:
        return {}, "no class is rarer than another, so there is no minority"
    few, many = np.zeros(counts.size, dtype=bool), np.zeros(counts.size, dtype=bool)
    few[order[:third]], many[order[-third:]] = True, True
    medium = ~(few | many) & (counts > 0)
    masks = {"many": many, "medium": medium, "few": few}
    return {name: mask for name, mask in masks.items() if mask.any()}, f"few and many are {third} classes each by count"


def _recorded(artifact: Artifact, loss: str) -> tuple[Array, NDArray[np.int64], NDArray[np.int64], Array | None]:
    arrays = []
    for part in ("norm", "label", "batch"):
        name = f"{PREFIX}{loss}/{part}"
        if name not in artifact.probes:
            raise DataError(f"Expected a probe array {name!r} beside the others of {loss!r}; record it and try again.")
        arrays.append(np.asarray(artifact.probes[name]))
    norms, labels, batches = arrays
    if norms.ndim != 1 or not norms.size or norms.shape != labels.shape or norms.shape != batches.shape:
        raise DataError(
            f"Expected non-empty arrays (A,) under {PREFIX}{loss}, got {norms.shape}, {labels.shape}, {batches.shape}."
        )
    values = norms.astype(np.float64)
    if not np.all(np.isfinite(values)) or values.min() < 0:
        raise DataError(f"Expected finite gradient norms of zero or more under {PREFIX}{loss}/norm.")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= artifact.num_classes:
        raise DataError(f"Expected integer labels in 0..{artifact.num_classes - 1} under {PREFIX}{loss}/label.")
    weights = artifact.probes.get(f"{PREFIX}{loss}/weight")
    if weights is not None and (weights.shape != norms.shape or not np.all(np.isfinite(weights) & (weights > 0))):
        raise DataError(f"Expected one finite positive weight per anchor under {PREFIX}{loss}/weight.")
    numbers = np.unique(batches, return_inverse=True)[1].astype(np.int64)
    return values, labels.astype(np.int64), numbers, None if weights is None else weights.astype(np.float64)


def _batch_sums(
    norms: Array, labels: NDArray[np.int64], batches: NDArray[np.int64], weights: Array | None, num_classes: int
) -> Array:
    """``(B, K, 5)`` per batch and class.

    Sum of norms, anchors, anchors of exactly zero gradient, presence (0 or 1), sum of norms over weights.
    """
    weightless = norms if weights is None else norms / weights
    sums = np.zeros((int(batches.max()) + 1, num_classes, 5))
    present = np.zeros(norms.size)
    np.add.at(sums, (batches, labels), np.column_stack([norms, np.ones(norms.size), norms == 0, present, weightless]))
    sums[..., 3] = sums[..., 1] > 0
    return sums


def _redraw_batches(batches: int, resamples: int, rng: np.random.Generator) -> Array:
    """``(resamples, B)`` how often each batch is drawn."""
    return rng.multinomial(batches, np.full(batches, 1.0 / batches), size=resamples).astype(np.float64)


def _ratio(numerator: Any, denominator: Any) -> Any:
    """Elementwise quotient, NaN over zero."""
    over = np.asarray(denominator, dtype=np.float64)
    return np.where(over > 0, np.asarray(numerator) / np.where(over > 0, over, 1.0), np.nan)


def _group_share(sums: Array, draws: Array, mask: NDArray[np.bool_], level: float) -> GroupShare:
    inside, every = sums[:, mask].sum(axis=1), sums.sum(axis=1)
    total, whole = inside.sum(axis=0), every.sum(axis=0)
    drawn, drawn_whole = draws @ inside, draws @ every

    def interval(estimate: Any, redrawn: Array) -> Interval:
        return percentile_interval(float(estimate), redrawn, n=int(total[1]), level=level)

    return GroupShare(
        anchors=int(total[1]),
        batches=int(np.sum(inside[:, 1] > 0)),
        anchor_share=float(total[1] / whole[1]),
        norm_share=interval(_ratio(total[0], whole[0]), _ratio(drawn[:, 0], drawn_whole[:, 0])),
        mean_norm=interval(_ratio(total[0], total[1]), _ratio(drawn[:, 0], drawn[:, 1])),
        zero_fraction=interval(_ratio(total[2], total[1]), _ratio(drawn[:, 2], drawn[:, 1])),
    )


def _amplification(sums: Array, draws: Array, masks: Masks, level: float, kind: str) -> Interval:
    """Few over many of a quotient of two batch sums, as :data:`RATIOS` names them."""
    few, many = sums[:, masks["few"]].sum(axis=1), sums[:, masks["many"]].sum(axis=1)
    what, over = (np.asarray(part, dtype=np.float64) for part in RATIOS[kind])

    def ratio(times: Array) -> Any:
        totals = [times @ part for part in (few, many)]
        return _ratio(*(_ratio(total @ what, total @ over) for total in totals))

    n = int(few[:, 1].sum() + many[:, 1].sum())
    return percentile_interval(float(ratio(np.ones(len(sums)))), ratio(draws), n=n, level=level)


def _class_share(total: Array) -> ClassShare:
    return ClassShare(
        anchors=total[:, 1].astype(np.int64),
        anchor_share=total[:, 1] / total[:, 1].sum(),
        norm_share=np.where(total[:, 1] > 0, _ratio(total[:, 0], total[:, 0].sum()), np.nan),
        mean_norm=_ratio(total[:, 0], total[:, 1]),
        zero_fraction=_ratio(total[:, 2], total[:, 1]),
    )


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f}%" if np.isfinite(share) else "none recorded"
