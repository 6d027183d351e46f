"""Both sides of Theorem D at the estimates of one artifact: how vacuous it is, and what would mend it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.class_conditional import ClassDivergence
from geometry.bound.risk import Array, class_errors, resample_class_errors
from geometry.bound.sides import Sides, spread
from geometry.bound.theorems import MarginForm, margin_form
from geometry.intervals import Interval, percentile_interval

THEOREM, MEDIAN = "Theorem D", "Theorem D (median margin)"
# One unit of the logits, fixed before any margin was seen: there the label is e times as likely as its best rival.
DELTA = 1.0
ETA = 0.05
USUAL = 0.95  # quantile of the feature norms beside their maximum
READ_OFF = "no interval: read off the head and the training features"


def margin_sides(
    margins: ArrayLike,
    labels: ArrayLike,
    norms: ArrayLike,
    weight_norm: float,
    target_losses: ArrayLike,
    target_labels: ArrayLike,
    divergence: ClassDivergence,
    class_names: tuple[str, ...],
    *,
    where: str,
    rng: np.random.Generator,
    resamples: int = 200,
    level: float = 0.95,
) -> tuple[Sides, ...]:
    """Theorem D with ``delta_k`` fixed at one logit, and with the class's median margin (a diagnostic).

    ``B`` is the largest norm of the training features with the bias coordinate, ``W`` the largest norm of a row of
    the head with its bias, ``eta`` 0.05, the last term half the mean proxy A-distance inside the classes (an estimate
    from below, cut off at 0 after the mean is taken). B and W are read off the data and the features were trained,
    which the theorem does not allow: the number is a diagnostic in any case, with a quantile of the margins for
    ``delta_k`` the more so. It says how far from 1 it is: ``samples needed`` is the median over classes of ``(4 K B W
    / delta_k)^2``, the ``n_k`` at which the capacity alone comes down to 1. K there counts all rivals of the head,
    also those of classes left out of the mean.

    A class is left out (and counted) where the training samples or the target lack it, where a side has too few samples
    for its divergence, and with the median where that is not positive. With delta fixed a class whose margins are all
    negative stays in with a margin risk of 1: to leave it out would lower the bound because the head fails.

    Args:
        margins: ``(N,)`` ``z_y - max_{j != y} z_j`` of the training samples, by the head.
        labels: ``(N,)`` their classes in ``0..K-1``.
        norms: ``(N,)`` norms of their features, with a coordinate 1 where the head has biases.
        weight_norm: largest norm of a row of the head, its bias included.
        target_losses: ``(T,)`` zeros and ones of the target's samples, ties being errors.
        target_labels: ``(T,)`` their classes.
        divergence: of the target and the sources inside every class.
        class_names: K names.
        where: split of the training samples.
        rng: source of randomness.
        resamples: bootstrap redraws of the margin risk and of the target's errors.
        level: nominal coverage.

    Returns:
        Those of the two that at least two classes carry.
    """
    sample = _Sample(
        margins=np.asarray(margins, dtype=np.float64),
        codes=np.asarray(labels, dtype=np.int64),
        norms=np.asarray(norms, dtype=np.float64),
        weight_norm=weight_norm,
        losses=np.asarray(target_losses, dtype=np.float64),
        goal=np.asarray(target_labels, dtype=np.int64),
        divergence=divergence,
        names=class_names,
        where=where,
    )
    held, medians = sample.held, sample.medians
    positive = np.nan_to_num(medians) > 0
    chosen = ((THEOREM, held, np.full(len(class_names), DELTA)), (MEDIAN, held & positive, medians))
    return tuple(
        _evaluated(sample, theorem, part, delta, rng, resamples, level)
        for theorem, part, delta in chosen
        if part.sum() >= 2
    )


@dataclass(frozen=True, eq=False)
class _Sample:
    """What the theorem reads: N margins of training samples, T losses of the target, and K class divergences."""

    margins: Array
    codes: NDArray[np.int64]
    norms: Array
    weight_norm: float
    losses: Array
    goal: NDArray[np.int64]
    divergence: ClassDivergence
    names: tuple[str, ...]
    where: str

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """``(K,)`` training samples."""
        return np.bincount(self.codes, minlength=len(self.names)).astype(np.int64)

    @cached_property
    def goal_counts(self) -> NDArray[np.int64]:
        """``(K,)`` samples of the target."""
        return np.bincount(self.goal, minlength=len(self.names)).astype(np.int64)

    @cached_property
    def held(self) -> NDArray[np.bool_]:
        """``(K,)`` classes that all sides hold enough of."""
        return (self.counts > 0) & (self.goal_counts > 0) & np.isfinite(self.divergence.signed)

    @cached_property
    def medians(self) -> Array:
        """``(K,)`` median margin, NaN without samples."""
        mine = (self.margins[self.codes == k] for k in range(len(self.names)))
        return np.array([np.median(margins) if margins.size else np.nan for margins in mine])

    @property
    def hopeless(self) -> int:
        """How many of the classes held have no positive margin."""
        return sum(bool(self.held[k]) and self.margins[self.codes == k].max() <= 0 for k in range(len(self.names)))


def _evaluated(
    sample: _Sample,
    theorem: str,
    part: NDArray[np.bool_],
    delta: Array,
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> Sides:
    """The theorem over the classes ``part`` ``(K,)`` at the margins ``delta`` ``(K,)``."""
    counts, classes, divergence = sample.counts[part], len(sample.names), sample.divergence
    share = class_errors((sample.margins <= delta[sample.codes]).astype(np.float64), sample.codes, classes)
    goal = class_errors(sample.losses, sample.goal, classes)
    risk = _mean_risk(share, sample.counts, part, rng, resamples, level)
    target = _mean_risk(goal, sample.goal_counts, part, rng, resamples, level)
    largest, usual = float(sample.norms.max()), float(np.quantile(sample.norms, USUAL))
    form, tamed = (
        margin_form(
            share[part],
            delta[part],
            counts,
            feature_norm=norm,
            weight_norm=sample.weight_norm,
            eta=ETA,
            divergence=max(0.0, float(divergence.signed[part].mean())) / 2.0,
            rivals=classes,
        )
        for norm in (largest, usual)
    )
    n, needed = int(counts.sum()), (form.capacity * np.sqrt(counts)) ** 2

    def fixed(value: float) -> Interval:
        return Interval(value, float("nan"), float("nan"), level, n, READ_OFF)

    shift = _mean_of_classes(divergence, part, level)
    bound = _sum(form.bound, {"margin risk": (risk, 1.0), "divergence": (shift, 1.0)}, n, level)
    terms = {
        "margin risk": risk,
        "capacity": fixed(float(form.capacity.mean())),
        "confidence": fixed(float(form.confidence.mean())),
        "half d inside classes": shift,
        "bound, 95% feature norm": fixed(tamed.bound),
        "samples needed": fixed(float(np.median(needed))),
        "LDAM sum": fixed(form.ldam_sum),
        "feature norm": fixed(largest),
        "weight norm": fixed(float(sample.weight_norm)),
    }
    parts = {
        "margin risk": form.margin_risk,
        "delta": delta[part],
        "capacity": form.capacity,
        "confidence": form.confidence,
        "divergence": divergence.signed[part] / 2.0,
        "samples needed": needed,
        "training samples": counts.astype(np.float64),
    }
    return Sides(
        theorem,
        target,
        bound,
        _sum(form.bound - target.estimate, {"bound": (bound, 1.0), "target": (target, -1.0)}, n, level),
        terms,
        {name: spread(numbers, part) for name, numbers in parts.items()},
        tuple(sample.names[k] for k in np.flatnonzero(~part)),
        form.vacuous,
        _note(sample, theorem, part, form, needed),
    )


def _mean_risk(
    errors: Array,
    counts: NDArray[np.int64],
    part: NDArray[np.bool_],
    rng: np.random.Generator,
    resamples: int,
    level: float,
) -> Interval:
    """The mean of class risks ``errors`` ``(K,)`` over the classes ``part``, redrawn inside classes."""
    draws = resample_class_errors(errors, counts, rng, resamples)[:, part].mean(axis=1)
    return percentile_interval(float(errors[part].mean()), draws, n=int(counts[part].sum()), level=level)


def _note(sample: _Sample, theorem: str, part: NDArray[np.bool_], form: MarginForm, needed: Array) -> str:
    """Which classes and margins the number is over, and how far from saying something it is."""
    counts = sample.counts[part]
    fixed = theorem == THEOREM
    said = [
        "balanced risk",
        f"delta {DELTA:g} logit" if fixed else "delta the class's median margin: a diagnostic",
        f"B and W read off {sample.where} and the head",
        f"{int(part.sum())} of {len(sample.names)} classes, those of which all sides hold enough",
        f"all margins <= 0 in {sample.hopeless}"
        if fixed
        else f"median not positive in {int(np.sum(sample.held & ~part))} others",
    ]
    if form.vacuous:
        wanted = f"wants n_k >> {np.median(needed):.2g} where classes have {counts.min()} to {counts.max()}"
        said.append(f"vacuous: {form.bound:.3g}, {wanted}")
    return "; ".join(said)


def head_norms(features: Array, head_weight: Array, head_bias: Array | None) -> tuple[Array, float]:
    """``(N,)`` norms of ``(phi, 1)`` and the largest norm of ``(w_j, b_j)``; without biases those of phi and w_j.

    >>> norms, weight = head_norms(np.array([[3.0, 0.0]]), np.array([[0.6], [0.0]]).T, np.array([0.8]))
    >>> round(float(norms[0]) ** 2, 9), weight
    (10.0, 1.0)
    """
    squares = np.einsum("nd,nd->n", features, features)
    rows = np.einsum("kd,kd->k", head_weight, head_weight)
    if head_bias is not None:
        squares, rows = squares + 1.0, rows + head_bias**2
    return np.sqrt(squares), float(np.sqrt(rows.max()))


def _mean_of_classes(divergence: ClassDivergence, part: NDArray[np.bool_], level: float) -> Interval:
    """Half the mean distance of the classes, which hold other samples, so that their deviations add in squares."""
    middle, count = divergence.signed[part], int(part.sum())
    below, above = (
        float(np.sqrt(np.sum(np.maximum(gaps, 0.0) ** 2))) / (2 * count)
        for gaps in (middle - divergence.low[part], divergence.high[part] - middle)
    )
    value = max(0.0, float(middle.mean())) / 2.0
    n = int(divergence.counts[:, part].sum())
    return Interval(value, max(0.0, value - below), min(1.0, value + above), level, n, "class intervals, in squares")


def _sum(value: float, summands: Mapping[str, tuple[Interval, float]], n: int, level: float) -> Interval:
    """An interval of a sum whose summands are taken as independent: deviations add in squares."""
    ends = []
    for part, sign in summands.values():
        below, above = part.estimate - part.low, part.high - part.estimate
        ends.append((below, above) if sign > 0 else (above, below))
    down, up = np.sqrt((np.maximum(ends, 0.0) ** 2).sum(axis=0))
    return Interval(value, float(value - down), float(value + up), level, n, "intervals of the summands, in squares")
