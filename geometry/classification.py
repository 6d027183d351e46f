"""How well a classifier classifies: accuracies that know of imbalance, and calibration."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.margin import score_margin
from geometry.bound.risk import class_errors
from geometry.defined import mean_defined, ratio
from geometry.errors import DataError, UsageError
from geometry.intervals import Interval, percentile_interval, reflected_interval, stratified_resamples, undefined

Array = NDArray[np.float64]
Masks = Mapping[str, NDArray[np.bool_]]
BINS = 15


@dataclass(frozen=True)
class Evaluation:
    """What is reported of a classifier on one set of samples; NaN where it is undefined.

    Attributes:
        accuracy: share of the samples that are right, in [0, 1].
        balanced_accuracy: mean of the class accuracies over the classes present.
        many: the same over the many-shot classes present.
        medium: over the medium-shot classes.
        few: over the few-shot classes.
        worst_class: the lowest class accuracy among the classes present.
        ece: expected calibration error of the predicted class, in [0, 1].
        classwise_ece: calibration error of every class's probability, mean over the classes.
        n: samples.
    """

    accuracy: float
    balanced_accuracy: float
    many: float
    medium: float
    few: float
    worst_class: float
    ece: float
    classwise_ece: float
    n: int


METRICS = tuple(field.name for field in fields(Evaluation) if field.name != "n")


@dataclass(frozen=True, eq=False)
class Calibration:
    """A reliability diagram and its error.

    Attributes:
        error: ``sum_b W_b / W |accuracy_b - confidence_b|``; NaN without samples.
        edges: ``(B + 1,)`` of the bins; bin b is ``(edges[b], edges[b + 1]]``, the first one closed.
        confidence: ``(B,)`` mean confidence in each bin, NaN where it is empty.
        accuracy: ``(B,)`` share that is right in each bin, NaN where it is empty.
        count: ``(B,)`` samples in each bin.
    """

    error: float
    edges: Array
    confidence: Array
    accuracy: Array
    count: NDArray[np.int64]


def evaluate(logits: ArrayLike, labels: ArrayLike, groups: Masks, *, bins: int = BINS) -> Evaluation:
    """Accuracies and calibration of softmax predictions.

    A sample is right where its label's logit is the only largest one, so a tie is an error. Classes without a sample
    take no part in means over classes; a shot group without any is NaN.

    Args:
        logits: ``(N, K)`` finite, K >= 2.
        labels: ``(N,)`` integers in ``0..K-1``.
        groups: ``(K,)`` masks of the shot groups ``many``, ``medium`` and ``few``; those that occur.
        bins: equal-width bins of the calibration errors.

    Raises:
        DataError: shapes that do not fit, labels out of range, logits that are not finite.

    >>> found = evaluate([[2, 0], [1, 3], [1, 0]], [0, 0, 0], {"many": np.array([True, False])})
    >>> round(found.accuracy, 3), found.worst_class == found.many, found.few, found.n
    (0.667, True, nan, 3)
    """
    scores, codes = checked(logits, labels)
    return _evaluate(*_outcomes(scores, codes), codes, groups, bins)


def evaluate_intervals(
    logits: ArrayLike,
    labels: ArrayLike,
    groups: Masks,
    *,
    rng: np.random.Generator,
    bins: int = BINS,
    resamples: int = 200,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Each number of :func:`evaluate` with a bootstrap interval over the samples, redrawn inside each class.

    Accuracies get percentile intervals. Calibration errors are sums of absolute values, biased upwards by noise which
    a resample adds anew; theirs are reflected (:func:`geometry.intervals.reflected_interval`). The worst class is
    biased downwards for the same reason, and is reflected too.

    Args:
        logits: ``(N, K)``.
        labels: ``(N,)``.
        groups: masks of the shot groups.
        rng: source of randomness.
        bins: of the calibration errors.
        resamples: redraws.
        level: nominal coverage.

    Returns:
        An interval for each of ``METRICS``.
    """
    scores, codes = checked(logits, labels)
    if not codes.size:
        return {name: undefined(0, "no sample", level) for name in METRICS}
    right, probabilities = _outcomes(scores, codes)
    estimate = _evaluate(right, probabilities, codes, groups, bins)
    draws = [
        _evaluate(right[index], probabilities[index], codes[index], groups, bins)
        for index in stratified_resamples(codes, resamples, rng)
    ]
    found = {}
    for name in METRICS:
        value, values = getattr(estimate, name), [getattr(draw, name) for draw in draws]
        if name.endswith("ece") or name == "worst_class":
            found[name] = reflected_interval(value, values, n=codes.size, level=level, low=0.0, high=1.0)
        else:
            found[name] = percentile_interval(value, values, n=codes.size, level=level)
    return found


def class_accuracies(right: ArrayLike, labels: ArrayLike, num_classes: int) -> Array:
    """``(K,)`` share of each class that is right, NaN for a class without samples.

    Args:
        right: ``(N,)`` booleans or numbers in [0, 1].
        labels: ``(N,)`` integers in ``0..K-1``.
        num_classes: K.

    >>> class_accuracies([1, 0, 1], [0, 0, 2], 3).tolist()
    [0.5, nan, 1.0]
    """
    wrong = 1.0 - np.asarray(right, dtype=np.float64)
    return 1.0 - class_errors(wrong, np.asarray(labels, dtype=np.int64), num_classes)


def calibration(
    confidence: ArrayLike, right: ArrayLike, *, bins: int = BINS, weights: ArrayLike | None = None
) -> Calibration:
    """Expected calibration error over equal-width bins (Guo et al. 2017, eqs. 2-3), with its reliability diagram.

    Args:
        confidence: ``(N,)`` probabilities of what was predicted, in [0, 1].
        right: ``(N,)`` whether it came true.
        bins: B.
        weights: ``(N,)`` non-negative; ``1 / n_{y_i}`` gives every class the same say. Equal without them.

    Raises:
        DataError: confidences outside [0, 1].
        UsageError: fewer than one bin.

    >>> round(calibration([0.9, 0.9, 0.6], [1, 0, 1], bins=10).error, 12)
    0.4
    """
    if bins < 1:
        raise UsageError(f"Expected 1 bin or more, got {bins}.")
    sure, true = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if sure.size and not (sure.min() >= 0.0 and sure.max() <= 1.0 + 1e-9):
        raise DataError(f"Expected confidences in [0, 1], got {sure.min():.4g} to {sure.max():.4g}.")
    share = np.ones(sure.size) if weights is None else np.asarray(weights, dtype=np.float64)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = _bins(sure, edges)
    count = np.bincount(place, minlength=bins)
    total, sums, hits = (
        np.bincount(place, weights=share * part, minlength=bins) for part in (np.ones_like(sure), sure, true)
    )
    mean, rate = (np.asarray(ratio(part, total)) for part in (sums, hits))
    error = float(np.abs(hits - sums).sum() / total.sum()) if total.sum() > 0 else float("nan")
    return Calibration(error, edges, mean, rate, count.astype(np.int64))


def classwise_calibration_errors(probabilities: ArrayLike, labels: ArrayLike, *, bins: int = BINS) -> Array:
    """``(K,)`` calibration error of the probability of each class (Kull et al. 2019, classwise-ECE before its mean).

    For class k the confidence is ``p_k`` over all samples and the outcome ``y = k``. A class that is absent has the
    outcome 0 throughout: the probability it was given is its error, which is defined.

    Args:
        probabilities: ``(N, K)`` rows that sum to one.
        labels: ``(N,)`` integers in ``0..K-1``.
        bins: equal-width bins.

    >>> classwise_calibration_errors([[0.5, 0.5], [0.5, 0.5]], [0, 1]).tolist()
    [0.0, 0.0]
    """
    values, codes = np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    size, classes = values.shape
    if size == 0:
        return np.full(classes, np.nan)
    place = _bins(values, np.linspace(0.0, 1.0, bins + 1)) + bins * np.arange(classes)
    surplus = values.copy()
    surplus[np.arange(size), codes] -= 1.0
    sums = np.bincount(place.ravel(), weights=surplus.ravel(), minlength=bins * classes)
    return np.asarray(np.abs(sums).reshape(classes, bins).sum(axis=1) / size)


def checked(logits: ArrayLike, labels: ArrayLike) -> tuple[Array, NDArray[np.int64]]:
    """Logits ``(N, K)`` in float64 and labels ``(N,)``, known to fit each other.

    Raises:
        DataError: they do not, or a logit is not finite.
    """
    scores, codes = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)
    if scores.ndim != 2 or scores.shape[1] < 2 or codes.shape != scores.shape[:1]:
        raise DataError(
            f"Expected logits (N, K) of two classes or more with N labels, got {scores.shape}, {codes.shape}."
        )
    if codes.size and not 0 <= codes.min() <= codes.max() < scores.shape[1]:
        raise DataError(f"Expected labels in 0..{scores.shape[1] - 1}, got {codes.min()} to {codes.max()}.")
    if not np.isfinite(scores).all():
        raise DataError(
            f"Expected finite logits, got {int((~np.isfinite(scores)).any(axis=1).sum())} rows with others."
        )
    return scores, codes


def _outcomes(scores: Array, codes: NDArray[np.int64]) -> tuple[NDArray[np.bool_], Array]:
    """Per sample: whether it is right, ``(N,)``, and its probabilities, ``(N, K)``."""
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return score_margin(scores, codes) > 0, shifted / shifted.sum(axis=1, keepdims=True)


def _evaluate(
    right: NDArray[np.bool_], probabilities: Array, codes: NDArray[np.int64], groups: Masks, bins: int
) -> Evaluation:
    accuracies = class_accuracies(right, codes, probabilities.shape[1])
    present = np.isfinite(accuracies)

    def mean(mask: NDArray[np.bool_]) -> float:
        return float(mean_defined(accuracies[mask]))

    nobody = np.zeros_like(present)
    return Evaluation(
        accuracy=float(right.mean()) if right.size else float("nan"),
        balanced_accuracy=mean(present),
        many=mean(groups.get("many", nobody)),
        medium=mean(groups.get("medium", nobody)),
        few=mean(groups.get("few", nobody)),
        worst_class=float(accuracies[present].min()) if present.any() else float("nan"),
        ece=calibration(probabilities.max(axis=1), right, bins=bins).error,
        classwise_ece=float(classwise_calibration_errors(probabilities, codes, bins=bins).mean()),
        n=codes.size,
    )


def _bins(values: Array, edges: Array) -> NDArray[np.intp]:
    """Bin ``(edges[b], edges[b + 1]]`` of each value; 0 falls into the first, rounding above 1 into the last."""
    return np.clip(np.searchsorted(edges, values, side="left") - 1, 0, edges.size - 2)
