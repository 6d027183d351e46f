"""Proxy A-distance: how well a cross-fitted linear classifier tells two domains apart."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.risk import Array
from geometry.bound.row import Row, row
from geometry.bound.subspace import FOLDS, deal_folds, ridge_rule
from geometry.errors import DataError
from geometry.intervals import Interval, percentile_interval, undefined

WEIGHTINGS = ("raw", "class-balanced")
CAP = 5000
SMALLEST_SIDE = 2 * FOLDS


@dataclass(frozen=True)
class Divergence:
    """Proxy A-distance of one pair of domains.

    Attributes:
        where: the pair, ``a | b``.
        weighting: ``raw`` (samples of a domain weigh the same) or ``class-balanced`` (classes weigh the same).
        distance: ``max(0, 2 (1 - 2 err))`` in [0, 2]; half of it stands for ``1/2 d_H``, from below but for the cut.
        error: weighted cross-fitted error of the domain classifier before clipping, in [0, 1]; 0.5 is chance.
        first: samples of the first domain that were used.
        second: samples of the second.
        classes: classes that carry the number.
        note: conditions on the numbers.
        side_errors: error of the domain classifier on the first and on the second domain.
    """

    where: str
    weighting: str
    distance: Interval
    error: float
    first: int
    second: int
    classes: int
    note: str
    side_errors: tuple[float, float] = (float("nan"), float("nan"))

    def rows(self) -> Iterator[Row]:
        """The distance, with the raw error in its note."""
        yield row("proxy A-distance", self.weighting, "all", self.where, self.distance, self.note)


def proxy_a_distance(
    features: ArrayLike,
    side: ArrayLike,
    labels: ArrayLike,
    *,
    where: str,
    weighting: str,
    rng: np.random.Generator,
    cap: int = CAP,
    penalty: float | None = None,
    resamples: int = 200,
    level: float = 0.95,
) -> Divergence:
    """``2 (1 - 2 err)`` of a cross-fitted linear domain classifier (Ben-David et al. 2007).

    The classifier is ridge regression on the sign of the domain, which with two domains of equal weight is the
    discriminant of Fisher. On frozen ResNet-50 features of PACS, in the 256 directions of
    :func:`~geometry.bound.subspace.shared_scores`, its distances were within 0.023 of those of a logistic regression
    on all 2,048 features (mean difference -0.006) at a twentieth of the time (THEORY.md, Bounds).

    The two domains weigh the same. ``raw``: so do the samples of a domain; under label shift the classifier can then
    tell domains apart by reading the class. ``class-balanced``: a sample weighs ``1 / n_{d,k}`` over the classes of
    which both domains hold at least two, so the label histogram carries no information. Every prediction comes from a
    classifier that did not see the sample, so a weak classifier underestimates the distance before it is cut off at 0;
    after that, equal domains of few samples are apart by luck half of the time (the interval then starts at 0).
    The interval redraws the cross-fitted predictions inside each weight cell; it does not refit.

    Args:
        features: ``(N, D)`` of comparable scale, for instance shared scores.
        side: ``(N,)`` 0 for the first domain, 1 for the second.
        labels: ``(N,)`` integer classes.
        where: name of the pair.
        weighting: ``raw`` or ``class-balanced``.
        rng: source of randomness (subsample, folds, bootstrap).
        cap: at most this many samples of a domain are used: a random part, for ``class-balanced`` as even over the
            classes as their sizes allow.
        penalty: of the ridge, in units of the mean variance; by default D over the number of samples.
        resamples: bootstrap redraws.
        level: nominal coverage.

    Raises:
        DataError: an unknown weighting.
    """
    if weighting not in WEIGHTINGS:
        raise DataError(f"Expected a weighting among {', '.join(WEIGHTINGS)}, got {weighting!r}.")
    sides, codes = np.asarray(side, dtype=np.int64), np.asarray(labels, dtype=np.int64)
    balanced = weighting == "class-balanced"
    kept, dropped = _shared(sides, codes) if balanced else (np.arange(sides.size), 0)
    index = np.concatenate([_capped(kept[sides[kept] == s], codes, cap, balanced, rng) for s in (0, 1)])
    sides, codes = sides[index], codes[index]
    first, second = int(np.sum(sides == 0)), int(np.sum(sides == 1))
    classes = int(np.unique(codes).size)
    if min(first, second) < SMALLEST_SIDE:
        what = "of shared classes " if balanced else ""
        reason = f"a domain has fewer than {SMALLEST_SIDE} samples {what}({first} and {second})"
        nothing = undefined(first + second, reason, level)
        return Divergence(where, weighting, nothing, float("nan"), first, second, classes, "")

    cells = np.unique(sides * (codes.max() + 1) + codes, return_inverse=True)[1] if balanced else sides
    taken = np.asarray(features)[index].astype(np.float64)
    wrong = _cross_fitted_errors(taken, sides, codes, cells, penalty, rng)
    counts = np.bincount(cells)
    rates = np.bincount(cells, weights=wrong) / counts
    # Cells of one side weigh the same and both sides hold the same classes, so the weighted error is a plain mean.
    error = float(rates.mean())
    draws = (rng.binomial(counts, np.clip(rates, 0, 1), size=(resamples, counts.size)) / counts).mean(axis=1)
    distance = percentile_interval(_distance(error), _distance_draws(draws), n=index.size, level=level)
    note = f"domain error {error:.3f}; {first} + {second} samples"
    if balanced:
        note += f" of {classes} classes, smallest cell {int(counts.min())}, {dropped} classes not shared"
    # Cells of one side carry the same weight, and a cell is on one side alone.
    cell_side = np.zeros(counts.size, dtype=np.int64)
    cell_side[cells] = sides
    by_side = (float(rates[cell_side == 0].mean()), float(rates[cell_side == 1].mean()))
    return Divergence(where, weighting, distance, error, first, second, classes, note, by_side)


def _distance(error: float) -> float:
    return max(0.0, 2.0 * (1.0 - 2.0 * error))


def _distance_draws(errors: Array) -> Array:
    return np.asarray(np.maximum(0.0, 2.0 * (1.0 - 2.0 * errors)))


def _shared(sides: NDArray[np.int64], codes: NDArray[np.int64]) -> tuple[NDArray[np.intp], int]:
    """Positions of the samples whose class has two or more samples on both sides, and how many classes do not."""
    counts = np.zeros((2, int(codes.max(initial=0)) + 1), dtype=np.int64)
    np.add.at(counts, (sides, codes), 1)
    shared = counts.min(axis=0) >= 2
    return np.flatnonzero(shared[codes]), int(np.sum((counts.max(axis=0) > 0) & ~shared))


def _capped(
    index: NDArray[np.intp], codes: NDArray[np.int64], cap: int, balanced: bool, rng: np.random.Generator
) -> NDArray[np.intp]:
    """At most ``cap`` of the samples at ``index``: any, or first the first of every class, then the second, ..."""
    if index.size <= cap:
        return index
    shuffled = rng.permutation(index)
    if not balanced:
        return shuffled[:cap]
    order = np.argsort(codes[shuffled], kind="stable")
    _, starts, sizes = np.unique(codes[shuffled][order], return_index=True, return_counts=True)
    turn = np.arange(index.size) - np.repeat(starts, sizes)
    return np.asarray(shuffled[order][np.argsort(turn, kind="stable")[:cap]])


def _cross_fitted_errors(
    features: Array,
    sides: NDArray[np.int64],
    codes: NDArray[np.int64],
    cells: NDArray[np.int64],
    penalty: float | None,
    rng: np.random.Generator,
) -> Array:
    """``(N,)`` zero-one losses of the domain classifier, each from the fit that left the sample's fold out."""
    folds = deal_folds(sides * (codes.max() + 1) + codes, rng)
    signs, wrong = np.where(sides == 1, 1.0, -1.0)[:, None], np.empty(sides.size)
    for fold in range(FOLDS):
        out = folds == fold
        fit = ~out
        present = np.bincount(cells[fit], minlength=int(cells.max()) + 1)
        weights = 1.0 / present.clip(1)[cells[fit]]
        # A cell of two samples may be wholly in one fold; the two domains keep their equal weights all the same.
        for s in (0, 1):
            weights[sides[fit] == s] *= 0.5 / weights[sides[fit] == s].sum()
        slope, centre, _ = ridge_rule(features[fit], signs[fit], weights, penalty)
        wrong[out] = ((features[out] - centre) @ slope)[:, 0] * signs[out, 0] <= 0
    return wrong
