"""Risk and balanced risk from zero-one losses, with shot groups."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.row import Row, row
from geometry.intervals import Interval, percentile_interval, undefined

Array = NDArray[np.float64]
Masks = Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Risk:
    """Errors of a classifier on one set of samples.

    Attributes:
        where: name of the set.
        risk: mean zero-one loss, in [0, 1]; sensitive to the label histogram.
        balanced: mean of the class errors over the classes present, in [0, 1].
        groups: balanced risk inside each shot group.
        class_errors: ``(K,)`` error of each class, NaN where it has no sample.
        class_counts: ``(K,)`` samples of each class.
        note: conditions on the numbers.
    """

    where: str
    risk: Interval
    balanced: Interval
    groups: dict[str, Interval]
    class_errors: Array
    class_counts: NDArray[np.int64]
    note: str

    def rows(self) -> Iterator[Row]:
        """The risk, the balanced risk, and the latter by shot group."""
        yield row("risk", "zero-one", "all", self.where, self.risk)
        yield row("balanced risk", "zero-one", "all", self.where, self.balanced, self.note)
        for group, value in self.groups.items():
            yield row("balanced risk", "zero-one", group, self.where, value)


def estimate_risk(
    losses: ArrayLike,
    labels: ArrayLike,
    num_classes: int,
    *,
    where: str,
    rng: np.random.Generator,
    groups: Masks | None = None,
    resamples: int = 200,
    level: float = 0.95,
) -> Risk:
    """Risk ``mean_i l_i`` and balanced risk ``mean_k mean_{i: y_i = k} l_i`` over the classes present.

    Intervals redraw the samples of each class with replacement, so class counts are held fixed. A class whose errors
    are all zero or all one adds no width, so the interval of a risk at 0 or 1 is too short (the note counts them).

    Args:
        losses: ``(N,)`` zeros and ones.
        labels: ``(N,)`` integers in ``0..K-1``.
        num_classes: K.
        where: name of the sample set.
        rng: source of randomness.
        groups: ``(K,)`` masks of the shot groups.
        resamples: bootstrap redraws.
        level: nominal coverage.

    >>> r = estimate_risk([0, 0, 0, 1], [0, 0, 0, 1], 3, where="all", rng=np.random.default_rng(0))
    >>> r.risk.estimate, r.balanced.estimate, r.class_counts.tolist()
    (0.25, 0.5, [3, 1, 0])
    """
    codes, wrong = np.asarray(labels, dtype=np.int64), np.asarray(losses, dtype=np.float64)
    counts = np.bincount(codes, minlength=num_classes).astype(np.int64)
    errors = class_errors(wrong, codes, num_classes)
    draws = resample_class_errors(errors, counts, rng, resamples)
    present = counts > 0
    masks = {name: np.asarray(mask) & present for name, mask in (groups or {}).items()}
    sure = int(np.sum(present & ((errors == 0) | (errors == 1))))
    note = f"classes present: {int(present.sum())} of {num_classes}; errors all 0 or all 1 in {sure}"
    return Risk(
        where=where,
        risk=_mean(errors, draws, present, counts, counts.astype(np.float64), level),
        balanced=_mean(errors, draws, present, counts, np.ones(num_classes), level),
        groups={name: _mean(errors, draws, mask, counts, np.ones(num_classes), level) for name, mask in masks.items()},
        class_errors=errors,
        class_counts=counts,
        note=note,
    )


def class_errors(losses: Array, labels: NDArray[np.int64], num_classes: int) -> Array:
    """``(K,)`` mean loss of each class, NaN for a class without samples."""
    counts = np.bincount(labels, minlength=num_classes)
    sums = np.bincount(labels, weights=losses, minlength=num_classes)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def resample_class_errors(errors: Array, counts: NDArray[np.int64], rng: np.random.Generator, resamples: int) -> Array:
    """``(resamples, K)`` bootstrap redraws of the class errors; NaN for a class without samples.

    Redrawing ``n_k`` zero-one losses of mean ``e_k`` with replacement is a ``Binomial(n_k, e_k)`` draw, so no sample
    has to be touched.
    """
    rates = np.where(counts > 0, errors, 0.0)
    hits = rng.binomial(counts, np.clip(rates, 0.0, 1.0), size=(resamples, counts.size))
    return np.where(counts > 0, hits / np.maximum(counts, 1), np.nan)


def _mean(
    errors: Array, draws: Array, mask: NDArray[np.bool_], counts: NDArray[np.int64], weights: Array, level: float
) -> Interval:
    n = int(counts[mask].sum())
    if n == 0:
        return undefined(0, "no sample", level)
    share = weights[mask] / weights[mask].sum()
    return percentile_interval(float(errors[mask] @ share), draws[:, mask] @ share, n=n, level=level)
