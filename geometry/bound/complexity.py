"""The complexity term: small classes with small margins."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.risk import Array
from geometry.bound.row import Row, row
from geometry.intervals import Interval, percentile_interval, undefined

QUANTILES = (0.05, 0.5)


@dataclass(frozen=True, eq=False)
class Complexity:
    """``1/K sum_k 1 / (delta_k sqrt(n_k))`` with delta_k a quantile of the class's margins.

    Attributes:
        where: split on which the margins were taken.
        scale: scale of the margins.
        quantile: which quantile delta_k is.
        value: the term; undefined as soon as one class has no positive delta_k.
        among_positive: the same mean over the classes with a positive delta_k alone: too small wherever others exist.
        delta: ``(K,)`` the quantiles, NaN for a class without margins.
        counts: ``(K,)`` training samples n_k whose label was known.
        not_positive: classes whose delta_k is zero or negative.
        absent: classes without margins or without training samples.
    """

    where: str
    scale: str
    quantile: float
    value: Interval
    among_positive: Interval
    delta: Array
    counts: NDArray[np.int64]
    not_positive: tuple[str, ...]
    absent: tuple[str, ...]

    def rows(self) -> Iterator[Row]:
        """The term, and its mean over the classes with a positive margin."""
        variant = f"{self.scale}, {self.quantile:.0%} margin"
        note = f"delta <= 0 in {len(self.not_positive)} of {self.delta.size} classes, {len(self.absent)} absent"
        yield row("complexity", variant, "all", self.where, self.value, note)
        yield row("complexity", f"{variant}, positive alone", "all", self.where, self.among_positive, note)


def estimate_complexity(
    margins: ArrayLike,
    labels: ArrayLike,
    counts: ArrayLike,
    class_names: tuple[str, ...],
    *,
    scale: str,
    where: str,
    quantile: float,
    rng: np.random.Generator,
    resamples: int = 200,
    level: float = 0.95,
) -> Complexity:
    """The sum of Theorem D and of Cao et al. (2019) without its constants.

    ``1 / delta_k`` only means something for ``delta_k > 0``: a class whose quantile is not positive makes the term
    undefined, and is named. The constants left out (``4 K B W`` in Theorem D) make the term vacuous for networks; what
    remains is its order over runs. A quantile of the data is not a ``delta_k`` fixed beforehand, so this is a
    diagnostic and no bound.

    Args:
        margins: ``(N,)``.
        labels: ``(N,)`` integers in ``0..K-1``.
        counts: ``(K,)`` labelled training samples of each class.
        class_names: K names.
        scale: name of the scale.
        where: split of the margins.
        quantile: in (0, 1).
        rng: source of randomness.
        resamples: bootstrap redraws.
        level: nominal coverage.

    >>> c = estimate_complexity([0.5, 0.5, 0.25], [0, 0, 1], [4, 16], ("a", "b"), scale="probability", where="train",
    ...                         quantile=0.5, rng=np.random.default_rng(0))
    >>> c.value.estimate
    1.0
    """
    values, codes = np.asarray(margins, np.float64), np.asarray(labels, np.int64)
    sizes, classes = np.asarray(counts, np.int64), len(class_names)
    delta, redrawn = np.full(classes, np.nan), np.full((resamples, classes), np.nan)
    for k in np.unique(codes):
        own = values[codes == k]
        delta[k] = np.quantile(own, quantile, method="lower")
        index = rng.integers(0, own.size, size=(resamples, own.size))
        redrawn[:, k] = np.quantile(own[index], quantile, axis=1, method="lower")
    held = np.isfinite(delta) & (sizes > 0)
    positive = held & (delta > 0)
    flat = tuple(class_names[k] for k in np.flatnonzero(held & ~positive))
    absent = tuple(class_names[k] for k in np.flatnonzero(~held))
    n = int(np.isin(codes, np.flatnonzero(held)).sum())

    def mean(part: NDArray[np.bool_]) -> Interval:
        roots = np.sqrt(sizes[part])
        draws = redrawn[:, part]
        inverse = np.where(draws > 0, 1.0 / np.where(draws > 0, draws, 1.0), np.nan) / roots
        estimate = float(np.mean(1.0 / (delta[part] * roots)))
        return percentile_interval(estimate, inverse.mean(axis=1), n=n, level=level)

    some = mean(positive) if positive.any() else undefined(n, "no class has a positive margin quantile", level)
    if held.any() and not flat:
        value = some
    else:
        shown = f"{', '.join(flat[:6])}{', ...' if len(flat) > 6 else ''}"
        value = undefined(n, f"delta is not positive for {shown}" if flat else "no class has margins", level)
    return Complexity(where, scale, quantile, value, some, delta, sizes, flat, absent)
