"""Class-conditional proxy A-distances: how far apart the features of one class are between two domains."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.divergence import SMALLEST_SIDE, proxy_a_distance
from geometry.bound.risk import Array
from geometry.bound.row import Row, row
from geometry.intervals import Interval, percentile_interval, undefined


@dataclass(frozen=True, eq=False)
class ClassDivergence:
    """Proxy A-distances of one pair of domains, one a class.

    Attributes:
        where: the pair, ``a | b``.
        mean: ``max(0, .)`` of the mean of ``signed`` over the classes with enough samples, in [0, 2].
        signed: ``(K,)`` ``2 (1 - 2 err_k)`` in [-2, 2], below 0 where the domain classifier errs more than by chance;
            NaN where a side holds too few.
        low: ``(K,)`` lower ends of their intervals.
        high: ``(K,)`` upper ends.
        counts: ``(2, K)`` samples of each class on either side.
        too_small: classes present on both sides with too few samples on one.
        absent: classes that one side lacks.
        note: conditions on the numbers.
    """

    where: str
    mean: Interval
    signed: Array
    low: Array
    high: Array
    counts: NDArray[np.int64]
    too_small: tuple[str, ...]
    absent: tuple[str, ...]
    note: str

    @property
    def distances(self) -> Array:
        """``(K,)`` distance of each class, ``max(0, signed)``."""
        return np.asarray(np.maximum(0.0, self.signed))

    def rows(self) -> Iterator[Row]:
        """The mean over the classes; the classes themselves are in the JSON."""
        yield row("proxy A-distance", "class-conditional", "all", self.where, self.mean, self.note)


def class_divergence(
    features: ArrayLike,
    side: ArrayLike,
    labels: ArrayLike,
    class_names: tuple[str, ...],
    *,
    where: str,
    rng: np.random.Generator,
    resamples: int = 200,
    level: float = 0.95,
) -> ClassDivergence:
    """Proxy A-distance between the two domains inside every class, ``d(P_a(x | k), P_b(x | k))``, and the mean.

    Half of it estimates, from below in the mean, what Theorem B's conditional term and Theorem D's last term ask for:
    a linear cross-fitted classifier never sees the whole supremum. The mean is taken before it is cut off at 0: of many
    classes of few samples some classifiers are better than chance by luck, and distances cut off one by one would add
    that luck up to a shift that is not there. Classes with fewer than ten samples on a side are left out and named.

    Args:
        features: ``(N, D)`` of comparable scale.
        side: ``(N,)`` 0 for the first domain, 1 for the second.
        labels: ``(N,)`` integers in ``0..K-1``.
        class_names: K names.
        where: name of the pair.
        rng: source of randomness.
        resamples: bootstrap redraws.
        level: nominal coverage.
    """
    values, sides, codes = np.asarray(features), np.asarray(side, dtype=np.int64), np.asarray(labels, dtype=np.int64)
    classes = len(class_names)
    counts = np.zeros((2, classes), dtype=np.int64)
    np.add.at(counts, (sides, codes), 1)
    signed, low, high = np.full((3, classes), np.nan)
    draws = np.zeros((classes, resamples))
    kept = counts.min(axis=0) >= SMALLEST_SIDE
    for k in np.flatnonzero(kept):
        index = np.flatnonzero(codes == k)
        stream = np.random.default_rng(rng.integers(2**63))
        found = proxy_a_distance(
            values[index],
            sides[index],
            codes[index],
            where=where,
            weighting="raw",
            rng=stream,
            resamples=0,
        )
        signed[k] = 2.0 * (1.0 - 2.0 * found.error)
        hits = rng.binomial(counts[:, k], np.clip(found.side_errors, 0, 1), size=(resamples, 2)) / counts[:, k]
        draws[k] = 2.0 * (1.0 - 2.0 * hits.mean(axis=1))
        one = percentile_interval(signed[k], draws[k], n=int(counts[:, k].sum()), level=level)
        low[k], high[k] = one.low, one.high
    n = int(counts[:, kept].sum())
    mean = (
        percentile_interval(
            max(0.0, float(signed[kept].mean())), np.maximum(0.0, draws[kept].mean(axis=0)), n=n, level=level
        )
        if kept.any()
        else undefined(0, f"no class has {SMALLEST_SIDE} samples on both sides", level)
    )
    present = counts.min(axis=0) > 0
    small = tuple(class_names[k] for k in np.flatnonzero(present & ~kept))
    absent = tuple(class_names[k] for k in np.flatnonzero(~present & (counts.max(axis=0) > 0)))
    note = f"{int(kept.sum())} of {classes} classes; {len(small)} with fewer than {SMALLEST_SIDE} samples on a side"
    note += f", {len(absent)} on one side alone"
    if small:
        note += f"; too small: {', '.join(small[:8])}{', ...' if len(small) > 8 else ''}"
    return ClassDivergence(where, mean, signed, low, high, counts, small, absent, note)
