"""The target against the convex hull of the sources: gamma* and eps of Theorem A."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.divergence import SMALLEST_SIDE, Divergence
from geometry.bound.risk import Array
from geometry.bound.row import Row, row
from geometry.bound.subspace import FOLDS, deal_folds
from geometry.intervals import Interval, percentile_interval, undefined

MIXTURES = 100


@dataclass(frozen=True, eq=False)
class SourceHull:
    """Half proxy A-distances around the convex hull of the sources, each in [0, 1].

    Attributes:
        eps: largest half distance between two sources (raw weighting).
        gamma: smallest half distance of the target to a mixture of sources, gamma*.
        sources: names of the sources with enough samples.
        weights: the mixture nearest to the target, in their order; NaN where gamma is undefined.
        too_small: sources with too few samples to enter a mixture.
        note: conditions on the numbers.
    """

    eps: Interval
    gamma: Interval
    sources: tuple[str, ...]
    weights: Array
    too_small: tuple[str, ...]
    note: str

    def rows(self) -> Iterator[Row]:
        """Eps and gamma*."""
        yield row("hull of the sources", "eps, half A-distance", "all", "sources", self.eps)
        yield row("hull of the sources", "gamma*, half A-distance", "all", "target | sources", self.gamma, self.note)


def source_hull(
    features: ArrayLike,
    domains: ArrayLike,
    target: ArrayLike,
    names: dict[int, str],
    pairs: tuple[Divergence, ...],
    *,
    rng: np.random.Generator,
    resamples: int = 200,
    level: float = 0.95,
) -> SourceHull:
    """Estimate ``eps = max_ij 1/2 d(P_i, P_j)`` and ``gamma* = min_w 1/2 d(P_T, sum_i w_i P_i)``.

    For every mixture ``w`` of a lattice on the simplex the domain classifier (the ridge of
    :func:`~geometry.bound.divergence.proxy_a_distance`) is refitted with weights ``w_i / n_i``; its error is
    cross-fitted. The mixture of a fold is chosen on the other folds, so that taking the minimum does not bias gamma*
    downwards. The interval of eps takes the largest of the pairs' bounds at either end: simultaneous coverage is lower
    than that of one pair.

    Args:
        features: ``(N, D)`` of comparable scale.
        domains: ``(N,)`` domain codes of the samples.
        target: ``(N,)`` whether a sample is one of the target.
        names: name of each source code.
        pairs: the raw distances between sources.
        rng: source of randomness.
        resamples: bootstrap redraws.
        level: nominal coverage.
    """
    values, codes, is_target = np.asarray(features, np.float64), np.asarray(domains), np.asarray(target, dtype=bool)
    eps = _largest(pairs, level)
    sizes = {code: int(np.sum(~is_target & (codes == code))) for code in names}
    kept = [code for code, size in sizes.items() if size >= SMALLEST_SIDE]
    small = tuple(names[code] for code in names if code not in kept)
    sources, nothing = tuple(names[code] for code in kept), np.full(len(kept), np.nan)
    if not kept or is_target.sum() < SMALLEST_SIDE:
        reason = f"the target or every source has fewer than {SMALLEST_SIDE} samples"
        return SourceHull(eps, undefined(0, reason, level), sources, nothing, small, "")
    group = np.full(codes.size, -1, dtype=np.int64)
    group[is_target] = 0
    for position, code in enumerate(kept):
        group[~is_target & (codes == code)] = position + 1
    used = group >= 0
    values, group = values[used], group[used]
    folds = deal_folds(group, rng)
    lattice = simplex_lattice(len(kept))
    errors, counts = _mixture_errors(values, group, folds, lattice)

    shares = np.column_stack([np.full(len(lattice), 0.5), lattice / 2.0])
    table = np.einsum("wg,wfg->wf", shares, errors)
    chosen = np.array([np.argmax(np.delete(table, f, axis=1).mean(axis=1)) for f in range(FOLDS)])
    rates = errors[chosen, np.arange(FOLDS)]
    error = float(np.mean(table[chosen, np.arange(FOLDS)]))
    hits = rng.binomial(counts, np.clip(rates, 0, 1), size=(resamples, *counts.shape)) / counts
    draws = np.einsum("fg,rfg->r", shares[chosen], hits) / FOLDS
    gamma = percentile_interval(
        max(0.0, 1.0 - 2.0 * error), np.maximum(0.0, 1.0 - 2.0 * draws), n=int(group.size), level=level
    )
    weights = lattice[np.argmax(table.mean(axis=1))]
    mix = ", ".join(f"{name} {weight:.2f}" for name, weight in zip(sources, weights, strict=True))
    return SourceHull(eps, gamma, sources, weights, small, f"nearest of {len(lattice)} mixtures: {mix}")


def simplex_lattice(size: int, most: int = MIXTURES) -> Array:
    """``(L, size)`` mixtures with equally spaced weights, the finest spacing with at most ``most`` of them.

    Beyond as many sources as ``most`` allows vertices for, the vertices alone; the uniform mixture is always there.

    >>> simplex_lattice(2, 3).tolist()
    [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    """
    if size == 1:
        return np.ones((1, 1))
    steps = 1
    while comb(steps + size, size - 1) <= most:
        steps += 1
    bars = np.array(list(combinations(range(steps + size - 1), size - 1)), dtype=np.int64).reshape(-1, size - 1)
    ends = np.column_stack([np.full(len(bars), -1), bars, np.full(len(bars), steps + size - 1)])
    lattice = (np.diff(ends, axis=1) - 1) / steps
    uniform = np.full((1, size), 1.0 / size)
    return lattice if np.any(np.all(np.isclose(lattice, uniform), axis=1)) else np.concatenate([lattice, uniform])


def _mixture_errors(
    values: Array, group: NDArray[np.int64], folds: NDArray[np.int64], lattice: Array
) -> tuple[Array, NDArray[np.int64]]:
    """Cross-fitted errors ``(L, F, G)`` of every mixture's classifier on every fold and group, and counts ``(F, G)``.

    Group 0 is the target. Moments are linear in the mixture, so the samples are touched once and not once a mixture.
    """
    from scipy.linalg import cho_factor, cho_solve

    groups, width = lattice.shape[1] + 1, values.shape[1]
    counts = np.zeros((FOLDS, groups), dtype=np.int64)
    np.add.at(counts, (folds, group), 1)
    sums, moments = np.zeros((FOLDS, groups, width)), np.zeros((FOLDS, groups, width, width))
    for f in range(FOLDS):
        for g in range(groups):
            part = values[(folds == f) & (group == g)]
            sums[f, g], moments[f, g] = part.sum(axis=0), part.T @ part
    errors = np.zeros((len(lattice), FOLDS, groups))
    for f in range(FOLDS):
        size = (counts.sum(axis=0) - counts[f])[:, None]
        means = (sums.sum(axis=0) - sums[f]) / size
        second = (moments.sum(axis=0) - moments[f]) / size[:, :, None]
        out = folds == f
        held, held_group = values[out], group[out]
        for index, mixture in enumerate(lattice):
            source = mixture @ means[1:]
            centre = (means[0] + source) / 2.0
            spread = (second[0] + np.tensordot(mixture, second[1:], axes=1)) / 2.0 - np.outer(centre, centre)
            # Ridge of R / n mean variances, as in subspace.ridge_rule.
            strength = float(np.trace(spread)) / float(size.sum())
            spread[np.diag_indices(width)] += strength if strength > 0 else 1.0
            slope = cho_solve(cho_factor(spread), means[0] - source)
            as_target = (held - centre) @ slope > 0
            wrong = np.where(held_group == 0, ~as_target, as_target)
            errors[index, f] = np.bincount(held_group, weights=wrong, minlength=groups) / counts[f]
    return errors, counts


def _largest(pairs: tuple[Divergence, ...], level: float) -> Interval:
    found = [pair.distance for pair in pairs if np.isfinite(pair.distance.estimate)]
    if not found:
        return undefined(0, "no pair of sources has enough samples", level)
    parts = {end: max(getattr(part, end) for part in found) / 2.0 for end in ("estimate", "low", "high")}
    n = sum(part.n for part in found)
    return Interval(parts["estimate"], parts["low"], parts["high"], level, n, "largest of the pairs' intervals")
