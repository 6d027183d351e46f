"""Posterior discrepancy: how far apart the prediction prototypes of a class are between domains."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.prior import total_variation
from geometry.bound.risk import Array, Masks
from geometry.bound.row import Row, row
from geometry.intervals import Interval, stratified_resamples, undefined


def largest_gap(first: ArrayLike, second: ArrayLike) -> Array:
    """``max_k |p_k - q_k|`` along the last axis, in [0, 1]."""
    gap = np.abs(np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64))
    return np.asarray(gap.max(axis=-1))


def jensen_shannon(first: ArrayLike, second: ArrayLike) -> Array:
    """Jensen-Shannon divergence ``H((p+q)/2) - (H(p)+H(q))/2`` in bits along the last axis, in [0, 1].

    >>> float(jensen_shannon([1.0, 0.0], [0.0, 1.0]))
    1.0
    """
    p, q = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    return np.asarray(np.clip(_entropy((p + q) / 2.0) - (_entropy(p) + _entropy(q)) / 2.0, 0.0, 1.0))


def cosine_distance(first: ArrayLike, second: ArrayLike) -> Array:
    """``sqrt(1 - cos(p, q))`` along the last axis, in [0, 1] for vectors without negative entries."""
    p, q = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    norms = np.linalg.norm(p, axis=-1) * np.linalg.norm(q, axis=-1)
    cosine = (p * q).sum(axis=-1) / np.where(norms > 0, norms, 1.0)
    return np.asarray(np.sqrt(np.clip(1.0 - cosine, 0.0, 1.0)))


def _entropy(p: Array) -> Array:
    # NaN (an absent cell) fails p > 0 too and has to come out as NaN again.
    terms = np.where(p > 0, p * np.log2(np.where(p > 0, p, 1.0)), p * 0.0)
    return np.asarray(-terms.sum(axis=-1))


MEASURES: dict[str, Callable[[ArrayLike, ArrayLike], Array]] = {
    "L_inf": largest_gap,
    "TV": total_variation,
    "JS": jensen_shannon,
    "sqrt(1-cos)": cosine_distance,
}


@dataclass(frozen=True)
class Discrepancy:
    """A discrepancy against its permutation null.

    Attributes:
        raw: the plug-in value, biased upwards by the noise of small cells.
        null_mean: its mean when domains are shuffled inside each class: that noise alone.
        excess: ``raw - null_mean``; right about 0, far too small for a norm where domains differ.
        corrected: ``sqrt(max(0, raw^2 - mean(null^2)))``, the noise taken out in quadrature; for JS, itself
            quadratic near zero, ``max(0, raw - null_mean)``. The estimate to read.
        p_value: ``(1 + #{null >= raw}) / (1 + permutations)``, exact for "no difference between domains".
        classes: classes seen in two or more domains, over which the value is averaged.
    """

    raw: float
    null_mean: float
    excess: Interval
    corrected: Interval
    p_value: float
    classes: int


@dataclass(frozen=True, eq=False)
class PosteriorDiscrepancy:
    """Prototype discrepancy of one set of domains in one measure.

    Attributes:
        where: ``sources`` (largest over pairs of sources) or ``target | sources``.
        measure: ``L_inf``, ``TV``, ``JS`` or ``sqrt(1-cos)``.
        overall: mean over the classes seen in two or more domains.
        groups: the same inside each shot group.
        class_raw: ``(K,)`` raw value of each class, NaN where fewer than two domains hold it.
        class_excess: ``(K,)`` less the class's own null mean.
        note: conditions on the numbers.
    """

    where: str
    measure: str
    overall: Discrepancy
    groups: dict[str, Discrepancy]
    class_raw: Array
    class_excess: Array
    note: str

    def rows(self) -> Iterator[Row]:
        """The corrected value, with raw value, excess, null mean and p-value in the note."""
        for group, value in ({"all": self.overall} | self.groups).items():
            text = f"raw {value.raw:.4f}, null mean {value.null_mean:.4f}, p {value.p_value:.3f}"
            text += f", excess {value.excess.estimate:.4f}"
            note = f"{text}; {value.classes} classes; {self.note}" if value.classes else ""
            yield row("posterior discrepancy", self.measure, group, self.where, value.corrected, note)


def prototypes(probs: ArrayLike, labels: ArrayLike, domains: ArrayLike, num_domains: int) -> Array:
    """Prediction prototypes ``mu_d^k = mean of p over (domain d, class k)``, ``(M, K, K)``; NaN for empty cells.

    Args:
        probs: ``(N, K)`` softmax predictions.
        labels: ``(N,)`` integers in ``0..K-1``.
        domains: ``(N,)`` integers in ``0..M-1``.
        num_domains: M.
    """
    layout = _CellLayout(np.asarray(labels), np.asarray(domains), num_domains, np.asarray(probs).shape[1])
    return layout.prototypes(np.asarray(probs, dtype=np.float64)[layout.order])


def class_discrepancies(table: Array) -> Array:
    """``(measures, K)`` largest discrepancy over the domain pairs that hold the class; NaN without such a pair.

    Args:
        table: ``(M, K, K)`` prototypes, NaN for empty cells.
    """
    pairs = list(combinations(range(len(table)), 2))
    if not pairs:
        return np.full((len(MEASURES), table.shape[1]), np.nan)
    first, second = table[[a for a, _ in pairs]], table[[b for _, b in pairs]]
    return np.stack([np.fmax.reduce(measure(first, second), axis=0) for measure in MEASURES.values()])


def estimate_posterior(
    probs: ArrayLike,
    labels: ArrayLike,
    domains: ArrayLike,
    num_domains: int,
    *,
    where: str,
    rng: np.random.Generator,
    groups: Masks | None = None,
    permutations: int = 200,
    resamples: int = 200,
    level: float = 0.95,
) -> tuple[PosteriorDiscrepancy, ...]:
    """Mean over classes of the largest prototype discrepancy over domain pairs, and its permutation null.

    The raw value is biased upwards, by ``sqrt(tr Cov (1/n_i + 1/n_j))`` in order of magnitude where domains agree;
    shuffling domains inside each class shows how large it is from that noise alone. Noise adds to a difference in
    quadrature, so subtracting the null mean (``excess``) takes far too much away wherever domains do differ;
    ``corrected`` subtracts squares (ours). Intervals are bootstraps inside each (domain, class) cell, centred: redraws
    carry the noise of the cells twice, so their spread is used and their centre is not. At small cells and large
    differences they are still somewhat short.

    Args:
        probs: ``(N, K)`` softmax predictions.
        labels: ``(N,)`` integers in ``0..K-1``.
        domains: ``(N,)`` integers in ``0..M-1``.
        num_domains: M.
        where: name of the set of domains.
        rng: source of randomness.
        groups: ``(K,)`` masks of the shot groups.
        permutations: shuffles of the null.
        resamples: bootstrap redraws.
        level: nominal coverage.

    Returns:
        One result per measure.
    """
    values = np.asarray(probs, dtype=np.float64)
    layout = _CellLayout(np.asarray(labels), np.asarray(domains), num_domains, values.shape[1])
    values = values[layout.order]

    def draw(index: NDArray[np.intp]) -> Array:
        return class_discrepancies(layout.prototypes(values[index]))

    raw = class_discrepancies(layout.prototypes(values))
    shuffles = (np.lexsort((rng.random(layout.classes.size), layout.classes)) for _ in range(permutations))
    null = np.stack([draw(index) for index in shuffles])
    redrawn = np.stack([draw(index) for index in stratified_resamples(layout.cells, resamples, rng)])

    shared = np.isfinite(raw[0])
    masks = {"all": shared} | {name: np.asarray(mask) & shared for name, mask in (groups or {}).items()}
    class_counts = np.bincount(layout.classes, minlength=values.shape[1])
    alone = int(np.sum((layout.sizes == 1) & shared[layout.cell_class]))
    note = f"cells of one sample: {alone}"
    results = []
    for m, name in enumerate(MEASURES):
        parts = {
            group: against_null(
                raw[m], null[:, m], redrawn[:, m], mask, int(class_counts[mask].sum()), level, quadratic=name == "JS"
            )
            for group, mask in masks.items()
        }
        class_excess = np.where(shared, raw[m] - null[:, m].mean(axis=0), np.nan)
        results.append(PosteriorDiscrepancy(where, name, parts.pop("all"), parts, raw[m], class_excess, note))
    return tuple(results)


def against_null(
    raw: Array, null: Array, redrawn: Array, mask: NDArray[np.bool_], n: int, level: float, *, quadratic: bool
) -> Discrepancy:
    """A statistic against its permutation null, averaged over the classes of a mask.

    Args:
        raw: ``(K,)`` plug-in values.
        null: ``(permutations, K)`` the same under shuffled domains.
        redrawn: ``(resamples, K)`` the same on bootstrap redraws.
        mask: ``(K,)`` which classes are averaged.
        n: samples that carry the mean.
        level: nominal coverage.
        quadratic: whether the measure is itself quadratic near zero, so that noise is subtracted and not its square.
    """
    nan = float("nan")
    if not mask.any():
        nothing = undefined(0, "no class is seen in two domains", level)
        return Discrepancy(nan, nan, nothing, nothing, nan, 0)
    value, shuffled, draws = float(raw[mask].mean()), null[:, mask].mean(axis=1), redrawn[:, mask].mean(axis=1)
    centred, tail = value + draws - draws.mean(), 50.0 * (1.0 - level)

    def interval(estimate: float, values: Array) -> Interval:
        low, high = np.percentile(values, [tail, 100.0 - tail])
        method = f"centred bootstrap in each (domain, class) cell, {draws.size} resamples"
        return Interval(estimate, float(low), float(high), level, n, method)

    def without_noise(values: Array) -> Array:
        if quadratic:
            return np.asarray(np.maximum(values - shuffled.mean(), 0.0))
        return np.asarray(np.sqrt(np.maximum(np.maximum(values, 0.0) ** 2 - np.mean(shuffled**2), 0.0)))

    null_mean = float(shuffled.mean())
    return Discrepancy(
        raw=value,
        null_mean=null_mean,
        excess=interval(value - null_mean, centred - null_mean),
        corrected=interval(float(without_noise(np.array([value]))[0]), without_noise(centred)),
        p_value=float((1 + np.sum(shuffled >= value - 1e-12)) / (1 + shuffled.size)),
        classes=int(mask.sum()),
    )


class _CellLayout:
    """Samples sorted by (class, domain), so that the cell means of any redraw are one segmented sum."""

    def __init__(
        self, labels: NDArray[np.int64], domains: NDArray[np.int64], num_domains: int, num_classes: int
    ) -> None:
        self.order = np.lexsort((domains, labels))
        self.classes = labels[self.order]
        self.cells = self.classes * num_domains + domains[self.order]
        codes, self.starts, self.sizes = np.unique(self.cells, return_index=True, return_counts=True)
        self.cell_class, self.cell_domain = codes // num_domains, codes % num_domains
        self.shape = (num_domains, num_classes, num_classes)

    def prototypes(self, values: Array) -> Array:
        """``(M, K, K)`` means of the sorted predictions ``(N, K)``."""
        table = np.full(self.shape, np.nan)
        if self.starts.size:
            sums = np.add.reduceat(values, self.starts, axis=0)
            table[self.cell_domain, self.cell_class] = sums / self.sizes[:, None]
        return table
