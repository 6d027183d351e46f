"""Prior shift: how far apart label histograms are, and what that costs in Theorem B."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.risk import Array, resample_class_errors
from geometry.bound.row import Row, row
from geometry.defined import ratio
from geometry.errors import DataError
from geometry.intervals import Interval, percentile_interval, undefined


@dataclass(frozen=True)
class PriorShift:
    """Distance between two label histograms.

    Attributes:
        where: the pair, ``target | sources`` or ``a | b``.
        basis: ``training counts`` or ``evaluated samples``.
        total_variation: ``1/2 sum_k |p_k - q_k|``, in [0, 1].
        kl: ``sum_k p_k log(p_k / q_k)`` in nats; infinite where q lacks a class of p.
        cost: ``TV * (max_k e_k - min_k e_k)``, the prior term of Theorem B, for the pair target | sources; both
            factors over the classes with a source error, the histograms renormalised on them.
        note: conditions on the numbers.
    """

    where: str
    basis: str
    total_variation: Interval
    kl: Interval
    cost: Interval | None
    note: str

    def rows(self) -> Iterator[Row]:
        """Total variation, divergence and, for the target, the cost."""
        yield row("prior shift", f"TV, {self.basis}", "all", self.where, self.total_variation, self.note)
        yield row("prior shift", f"KL, {self.basis}", "all", self.where, self.kl, self.note)
        if self.cost is not None:
            yield row("prior cost (Theorem B)", f"TV x range, {self.basis}", "all", self.where, self.cost, self.note)


def total_variation(first: ArrayLike, second: ArrayLike) -> Array:
    """``1/2 sum_k |p_k - q_k|`` along the last axis, in [0, 1].

    >>> float(total_variation([1.0, 0.0], [0.25, 0.75]))
    0.75
    """
    gap = np.abs(np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64))
    return np.asarray(0.5 * gap.sum(axis=-1))


def kl_divergence(first: ArrayLike, second: ArrayLike) -> Array:
    """``sum_k p_k log(p_k / q_k)`` in nats along the last axis; infinite where q lacks a class of p.

    >>> float(kl_divergence([0.5, 0.5], [1.0, 0.0]))
    inf
    """
    p, q = np.broadcast_arrays(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
    both = (p > 0) & (q > 0)
    terms = np.where(both, p * np.log(np.where(both, p, 1.0) / np.where(both, q, 1.0)), 0.0)
    return np.asarray(np.where(np.any((p > 0) & (q <= 0), axis=-1), np.inf, terms.sum(axis=-1)))


def estimate_prior_shift(
    first: ArrayLike,
    second: ArrayLike,
    *,
    where: str,
    basis: str,
    rng: np.random.Generator,
    redraw: tuple[bool, bool] = (True, True),
    errors: tuple[Array, NDArray[np.int64]] | None = None,
    resamples: int = 200,
    level: float = 0.95,
) -> PriorShift:
    """Prior shift between two label histograms given as counts ``(K,)``.

    A redraw of n labels is a multinomial draw; a histogram that was designed (training counts of an imbalance
    setting) is not redrawn. The plug-in total variation of two small samples of one histogram is positive, and so
    is the range of noisy class errors: read both against their ``n``.

    Args:
        first: ``(K,)`` counts of p (the target).
        second: ``(K,)`` counts of q (the sources).
        where: name of the pair.
        basis: what the counts count.
        rng: source of randomness.
        redraw: whether each histogram is a sample.
        errors: class errors ``(K,)`` under q and their sample counts ``(K,)``, to price the shift. A class without an
            error is left out of the price, of the total variation in it as well.
        resamples: bootstrap redraws.
        level: nominal coverage.

    Raises:
        DataError: the two histograms differ in length.
    """
    counts = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    if counts[0].shape != counts[1].shape or counts[0].ndim != 1:
        raise DataError(f"Expected two histograms of one length, got {counts[0].shape} and {counts[1].shape}.")
    n = int(counts[0].sum() + counts[1].sum())
    if min(part.sum() for part in counts) == 0:
        nothing = undefined(n, "one of the two histograms is empty", level)
        return PriorShift(where, basis, nothing, nothing, None if errors is None else nothing, "")
    p, q = (part / part.sum() for part in counts)
    p_draws, q_draws = (
        rng.multinomial(part.sum(), part / part.sum(), size=resamples) / part.sum()
        if drawn
        else np.broadcast_to(part / part.sum(), (resamples, part.size))
        for part, drawn in zip(counts, redraw, strict=True)
    )
    shift, shift_draws = float(total_variation(p, q)), total_variation(p_draws, q_draws)
    divergence, divergence_draws = float(kl_divergence(p, q)), kl_divergence(p_draws, q_draws)
    endless = int(np.isinf(divergence_draws).sum())
    notes = []
    if np.isinf(divergence):
        notes.append("infinite KL: a class of the first has no sample in the second")
    elif endless:
        notes.append(f"infinite KL in {endless} of {resamples} redraws, left out of its interval")

    def interval(estimate: float, draws: Array) -> Interval:
        if not any(redraw):
            nan = float("nan")
            return Interval(estimate, nan, nan, level, n, "exact: designed counts, not a sample")
        return _centred(estimate, draws, n, level)

    cost = None
    if errors is not None:
        rates, sizes = errors
        priced = sizes > 0
        omitted = int(np.sum(~priced & ((counts[0] > 0) | (counts[1] > 0))))
        if omitted:
            notes.append(f"cost on the {int(priced.sum())} classes with a source error, {omitted} classes left out")
        if min(float(part[priced].sum()) for part in (p, q)) > 0:
            spread = float(rates[priced].max() - rates[priced].min())
            drawn = resample_class_errors(rates, sizes, rng, resamples)[:, priced]
            ranges = drawn.max(axis=1) - drawn.min(axis=1)
            among = float(total_variation(_restricted(p, priced), _restricted(q, priced)))
            among_draws = total_variation(_restricted(p_draws, priced), _restricted(q_draws, priced))
            cost = _centred(among * spread, among_draws * ranges, int(sizes.sum()), level)
        else:
            cost = undefined(int(sizes.sum()), "no class of one of the histograms has a source error", level)
    kl = interval(divergence, divergence_draws) if np.isfinite(divergence) else _infinite(n, level)
    return PriorShift(where, basis, interval(shift, shift_draws), kl, cost, "; ".join(notes))


def _restricted(histograms: Array, mask: NDArray[np.bool_]) -> Array:
    """Histograms ``(..., K)`` on the classes of the mask alone, sum 1; NaN where those hold nothing."""
    kept = histograms[..., mask]
    return np.asarray(ratio(kept, kept.sum(axis=-1, keepdims=True)))


def _centred(estimate: float, draws: Array, n: int, level: float) -> Interval:
    """Percentile interval of the draws moved onto the estimate and cut at 0.

    A distance or a range of redrawn histograms exceeds the one it was redrawn from, so the plain interval of two
    nearly equal histograms would lie wholly above its own estimate. Draws that are not finite are dropped.
    """
    finite = draws[np.isfinite(draws)]
    centre = float(finite.mean()) if finite.size else 0.0
    interval = percentile_interval(estimate, np.maximum(finite - centre + estimate, 0.0), n=n, level=level)
    return replace(interval, method=f"centred {interval.method}") if np.isfinite(interval.low) else interval


def _infinite(n: int, level: float) -> Interval:
    nan = float("nan")
    return Interval(float("inf"), nan, nan, level, n, "no interval: infinite")
