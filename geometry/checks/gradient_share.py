"""Check: does a contrastive loss amplify the gradients of minority anchors?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from geometry.artifact import Artifact
from geometry.checks.gradient_amplification import (
    RATIOS,
    EqualCounts,
    GroupShare,
    amplification,
    at_equal_counts,
    batch_sums,
    class_share,
    follows_closed_form,
    group_share,
    redraw_batches,
    relative_to,
)
from geometry.checks.gradient_parameters import parameter_shares
from geometry.checks.gradient_records import (
    BALANCED,
    PREFIX,
    TRAJECTORY,
    Anchors,
    Array,
    Masks,
    minority_groups,
    read_anchors,
    recorded_losses,
)
from geometry.checks.verdict import Claim, Verdict, decide, undecided, verdict
from geometry.intervals import Interval

__all__ = ["OWN", "PREFIX", "Training", "claim_about", "gradient_share", "minority_groups"]

CLAIMED = "ndcl"  # the loss that the claim was made for is judged first
RIVALS = ("infonce", "supcon")  # with the same negatives, so that only the place of the negatives differs
OWN = "own"  # the contrast a run was trained with
THRESHOLD = 1.0
FEWEST_BATCHES = 20
FEWEST_ANCHORS = 20


@dataclass(frozen=True, eq=False)
class Training:
    """Amplification along training, one entry a recorded moment.

    Attributes:
        step: ``(T,)`` training steps.
        amplification: few over many at counts as they are, weights of the loss's average taken out.
        at_equal_counts: few over many at equal in-batch counts; undefined where the groups share none.
        few_zero: ``(T,)`` share of few anchors of exactly zero gradient.
        many_zero: ``(T,)`` the same of many.
    """

    step: Array
    amplification: tuple[Interval, ...]
    at_equal_counts: tuple[Interval, ...]
    few_zero: Array
    many_zero: Array


def gradient_share(
    artifact: Artifact, *, rng: np.random.Generator, resamples: int = 200, level: float = 0.95
) -> tuple[Verdict, ...]:
    """Judge recorded gradient norms of contrastive anchors, one verdict per loss.

    A probe writes, for each loss, ``anchor_gradient/<loss>/norm``, ``.../label`` and ``.../batch``, each ``(A,)``:
    the L2 norm of the derivative of the batch's loss by the logits of that anchor, the anchor's class, and the recorded
    batch. It may add ``.../weight``: the weight that the loss's own average gives the anchor. A loss that averages over
    the anchors of a class first, as NDCL's does, weighs each by ``1 / n_k``, which enlarges the gradients of rare
    classes whatever the pairs do; dividing by the weight takes that out.

    What is left still depends on how many positives and negatives the batch holds. The number that decides is
    therefore the amplification *at equal in-batch counts*
    (:func:`geometry.checks.gradient_amplification.at_equal_counts`): few anchors against many anchors whose classes
    have equally many samples in their batches. It is taken on batches that were drawn with equal counts where a probe
    recorded such (``anchor_gradient_balanced/<loss>/...``), else on the run's own. Anchors of one batch share their
    negatives, so batches are the unit of every interval.

    Args:
        artifact: with the probe arrays; shot groups from its thresholds, else the rarest and commonest third of the
            classes.
        rng: source of randomness.
        resamples: bootstrap redraws of the batches.
        level: nominal coverage.

    Returns:
        One verdict per recorded loss, NDCL's first; a single undecided one when none is recorded. ``details`` holds, on
        the run's own batches, ``groups`` and ``classes`` (shares of the recorded norm, zeros, closed-form factors),
        ``amplification`` (few over many, weights out, counts as they are), ``amplification_raw`` (weights left in),
        ``amplification_nonzero`` (weights out, anchors of exactly zero gradient left out), ``amplification_class``
        (recorded norm summed over a class in a batch, per class present), ``closed_form`` (Spearman correlation of the
        closed-form repulsion and the pull); where recorded ``balanced_groups`` (the groups on balanced batches),
        ``equal_counts``, ``equal_counts_own`` (on the run's own batches), ``equal_counts_predictions`` and
        ``equal_counts_features`` (the same of gradients by predictions and by features), ``relative_to`` (the
        number over that of InfoNCE and of SupCon on the same batches: what the form of the loss adds to what the
        model's state does to every loss), ``parameters`` (shares of
        the parameters' gradient) and ``training``; and ``class_names``.

    Raises:
        DataError: recorded arrays are incomplete, of unequal length, or hold impossible values.
    """
    losses = recorded_losses(artifact, first=CLAIMED)
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
        rule=f"Mean gradient norm of few anchors over that of many anchors whose classes have equally many samples in "
        f"their batches, each norm divided by the weight that the loss's own average gives its anchor where that is "
        f"recorded; on batches drawn with equal counts where recorded, else on the run's own: holds if its interval "
        f"lies above {THRESHOLD:g}, does not hold if it lies below, undecided otherwise or with fewer than "
        f"{FEWEST_BATCHES} batches or {FEWEST_ANCHORS} anchors of either group.",
    )


def _judge(artifact: Artifact, loss: str, rng: np.random.Generator, resamples: int, level: float) -> Verdict:
    claim = claim_about(loss)
    anchors = read_anchors(artifact, loss)
    masks, how = minority_groups(artifact)
    if not masks:
        return undecided(claim, how, n=anchors.norm.size, level=level)
    sums = batch_sums(anchors, artifact.num_classes)
    draws = redraw_batches(anchors.batches, resamples, rng)
    groups = {name: group_share(anchors, sums, draws, mask, level) for name, mask in masks.items()}
    ratios = {kind: amplification(sums, draws, masks, level, kind) for kind in RATIOS}
    details: dict[str, Any] = {
        "groups": groups,
        "classes": class_share(sums.sum(axis=0)),
        "amplification": ratios.pop("weightless"),
        **{f"amplification_{kind}": value for kind, value in ratios.items()},
        "closed_form": follows_closed_form(anchors, draws, level),
        "class_names": artifact.class_names,
    }
    own = at_equal_counts(anchors, anchors.pull, masks, level)
    equal, fair, where, prefix = own, anchors, "the run's own batches", PREFIX
    if loss in recorded_losses(artifact, BALANCED):
        fair, where, prefix = read_anchors(artifact, loss, BALANCED), "batches drawn with equal counts", BALANCED
        draws = redraw_batches(fair.batches, resamples, rng)
        equal = at_equal_counts(fair, fair.pull, masks, level)
        fair_sums = batch_sums(fair, artifact.num_classes)
        details["balanced_groups"] = {
            name: group_share(fair, fair_sums, draws, mask, level) for name, mask in masks.items()
        }
    details |= {"equal_counts": equal, "equal_counts_own": own, **_other_spaces(fair, masks, level)}
    details["relative_to"] = relative = {
        rival: relative_to(fair, read_anchors(artifact, rival, prefix), masks, level)
        for rival in RIVALS
        if rival != loss and rival in recorded_losses(artifact, prefix)
    }
    parameters = parameter_shares(artifact, loss, masks, rng=rng, resamples=resamples, level=level)
    if parameters:
        details["parameters"] = parameters
    if loss in recorded_losses(artifact, TRAJECTORY):
        details["training"] = _along_training(artifact, loss, masks, rng, resamples, level)
    enough = (
        min(equal.few_batches, equal.many_batches) >= FEWEST_BATCHES and min(equal.few, equal.many) >= FEWEST_ANCHORS
    )
    note = _note(how, where, groups, details["amplification"], equal, anchors, enough=enough)
    for rival, value in relative.items():
        if np.isfinite(value.low):
            note += f"; {value.estimate:.3g} [{value.low:.3g}, {value.high:.3g}] times the ratio of {rival}"
    return verdict(claim, decide(equal.ratio, THRESHOLD, enough=enough), equal.ratio, note, details)


def _other_spaces(anchors: Anchors, masks: Masks, level: float) -> dict[str, Any]:
    found = {}
    for part, name in (("prediction_norm", "equal_counts_predictions"), ("feature_norm", "equal_counts_features")):
        norm = anchors.more.get(part)
        if norm is not None and np.all(np.isfinite(norm)):
            pull = norm if anchors.weight is None else norm / anchors.weight
            found[name] = at_equal_counts(anchors, pull, masks, level)
    return found


def _along_training(
    artifact: Artifact, loss: str, masks: Masks, rng: np.random.Generator, resamples: int, level: float
) -> Training:
    every = read_anchors(artifact, loss, TRAJECTORY)
    moments = np.unique(every.moment) if every.moment is not None else np.zeros(1, dtype=np.int64)
    steps = artifact.probes.get("trajectory/step", np.arange(int(moments.max()) + 1))
    plain, equal, zeros = [], [], []
    for moment in moments:
        anchors = every if every.moment is None else every.at(int(moment))
        sums = batch_sums(anchors, artifact.num_classes)
        draws = redraw_batches(anchors.batches, resamples, rng)
        plain.append(amplification(sums, draws, masks, level, "weightless"))
        equal.append(at_equal_counts(anchors, anchors.pull, masks, level).ratio)
        shares = [group_share(anchors, sums, draws, masks[name], level) for name in ("few", "many")]
        zeros.append([share.zero_fraction.estimate for share in shares])
    few_zero, many_zero = np.asarray(zeros, dtype=np.float64).T
    step = np.asarray(steps, dtype=np.float64)[moments]
    return Training(step, tuple(plain), tuple(equal), few_zero, many_zero)


def _note(
    how: str,
    where: str,
    groups: Mapping[str, GroupShare],
    plain: Interval,
    equal: EqualCounts,
    anchors: Anchors,
    *,
    enough: bool,
) -> str:
    few, many = groups["few"], groups["many"]
    note = (
        f"{how}; {few.anchors} few and {many.anchors} many anchors in {anchors.batches} batches of the run; exactly "
        f"zero gradient: {_percent(few.zero_fraction.estimate)} of few, {_percent(many.zero_fraction.estimate)} of many"
    )
    if np.isfinite(few.zero_alone):
        note += f" (of the few, {_percent(few.zero_alone)} because alone in their class)"
    note += f"; with counts as they are the ratio is {plain.estimate:.3g} [{plain.low:.3g}, {plain.high:.3g}]"
    note += f"; counts made equal on {where}: {equal.few} few and {equal.many} many anchors"
    if anchors.weight is None:
        note += "; no anchor weights recorded, so a class average inside the loss counts as amplification"
    if not enough:
        note += "; too few at equal counts to decide"
    elif not np.isfinite(equal.ratio.estimate):
        note += "; the many anchors have no gradient"
    return note


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f}%" if np.isfinite(share) else "none recorded"
