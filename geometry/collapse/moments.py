"""From labelled features to class statistics: taken apart once, resampled at will."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.collapse.class_statistics import WEIGHTINGS, Array, ClassStatistics, Index, Weighting, class_weights
from geometry.errors import DataError, UsageError


def class_statistics(
    features: ArrayLike, labels: ArrayLike, num_classes: int | None = None, *, weighting: Weighting = "balanced"
) -> ClassStatistics:
    """Class statistics of labelled features, in float64.

    Args:
        features: ``(N, D)``; their dtype sets the rounding they are assumed to carry.
        labels: ``(N,)`` integers from 0; a class may be absent.
        num_classes: K; by default one more than the largest label.
        weighting: ``balanced`` or ``pooled``.

    Raises:
        DataError: shapes disagree, a number is not finite, or a label is out of range.
        UsageError: unknown weighting.

    >>> stats = class_statistics([[0.0, 1.0], [0.0, 3.0], [4.0, 0.0]], [0, 0, 2])
    >>> stats.means[0].tolist(), stats.counts.tolist(), stats.global_mean.tolist()
    ([0.0, 2.0], [2, 0, 1], [2.0, 1.0])
    >>> stats.within_traces.tolist()
    [1.0, nan, nan]
    """
    return LabelledFeatures.of(features, labels, num_classes).moments().statistics(weighting)


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Features sorted by class and taken apart into class means and residuals, once for all resamples.

    Attributes:
        residuals: ``(N, D)`` sample minus class mean, float64, sorted by class.
        labels: ``(N,)`` sorted labels.
        order: ``(N,)`` position in the input of each sorted sample.
        counts: ``(K,)`` samples per class.
        class_means: ``(K, D)`` class means relative to ``origin``; zero rows for absent classes.
        origin: ``(D,)`` mean of all samples; taking it off first keeps a large common offset out of every sum.
        rounding: bound on the length of a class mean's error from the rounding of stored features (see :meth:`of`).
    """

    residuals: Array
    labels: NDArray[np.int64]
    order: Index
    counts: NDArray[np.int64]
    class_means: Array
    origin: Array
    rounding: float

    @classmethod
    def of(cls, features: ArrayLike, labels: ArrayLike, num_classes: int | None = None) -> "LabelledFeatures":
        """Check, sort and centre.

        A feature vector stored with unit roundoff u (6e-8 in float32) is off by at most ``u ||h||``, so a class mean is
        off by at most ``u sqrt(mean ||h||^2)`` of its class; summing n of them in float64 adds about ``sqrt(n) eps64``
        to u. ``rounding`` is the largest of these over the classes. A model run in half precision and stored as float32
        carries more noise than its dtype tells; NC1's ``smallest_kept`` lets the reader judge.
        """
        given, codes, total = _checked(features, labels, num_classes)
        order = np.argsort(codes, kind="stable")
        sorted_labels = codes[order]
        residuals = np.asarray(given[order], dtype=np.float64)
        counts = np.bincount(codes, minlength=total)
        unit = float(np.finfo(given.dtype).eps) / 2 if np.issubdtype(given.dtype, np.floating) else 0.0
        energy = np.bincount(sorted_labels, weights=np.einsum("nd,nd->n", residuals, residuals), minlength=total)
        unit_of_mean = unit + np.sqrt(counts) * np.finfo(np.float64).eps
        rounding = float((unit_of_mean * np.sqrt(energy / np.maximum(counts, 1))).max())
        origin = residuals.mean(axis=0)
        residuals -= origin
        means = np.zeros((total, residuals.shape[1]))
        for k, rows in _blocks(counts):
            means[k] = residuals[rows].mean(axis=0)
            residuals[rows] -= means[k]
        return cls(residuals, sorted_labels, order, counts, means, origin, rounding)

    @cached_property
    def squares(self) -> Array:
        """``(N,)`` squared distance of each sample to its class mean."""
        return np.asarray(np.einsum("nd,nd->n", self.residuals, self.residuals), dtype=np.float64)

    @cached_property
    def projections(self) -> dict[Weighting, Array]:
        """``(C, N)`` residuals along the eigenvectors of the between-class scatter; 0 where the eigenvalue is not kept.

        With the centred means ``Mc`` (C, D) and ``Mc Mc^T / C = U diag(l) U^T`` the kept directions are
        ``v_r = Mc^T u_r / sqrt(C l_r)``; no D x D matrix is formed.
        """
        found: dict[Weighting, Array] = {}
        present = self.counts > 0
        means = self.class_means[present]
        for weighting in WEIGHTINGS:
            centred = means - class_weights(self.counts[present], weighting) @ means
            eigenvalues, vectors = _descending(centred @ centred.T / len(centred))
            kept = eigenvalues > self.tolerance(eigenvalues)
            scale = np.sqrt(len(centred) * np.where(kept, eigenvalues, np.inf))
            found[weighting] = ((vectors.T @ centred) / scale[:, None]) @ self.residuals.T
        return found

    def tolerance(self, spectrum: Array) -> Array:
        """Eigenvalues at or below ``max(max(C, D) eps64 l_max, rounding^2)`` are rounding; ``(...)`` for ``(..., C)``.

        The first is what a float64 Gram matrix and its eigenvalues can resolve; the second bounds the eigenvalue that
        rounding of the stored features alone can make (``||E||_2^2 / C <= ||E||_F^2 / C`` for errors E of the means).
        """
        resolved = max(spectrum.shape[-1], self.residuals.shape[1]) * float(np.finfo(np.float64).eps)
        return np.asarray(np.maximum(resolved * spectrum[..., 0], self.rounding**2), dtype=np.float64)

    def moments(self, multiplicity: Array | None = None) -> "ClassMoments":
        """Class means and within-class traces of the sample, or of resamples.

        The samples of a class of n scatter about their own mean with ``(n-1)/n`` of the class's variance, so resamples
        of few would scatter too little. In a resample every residual is therefore longer by ``sqrt(n/(n-1))`` (Rao and
        Wu 1988, n drawn of n): redrawn means have the unbiased variance ``s^2/n``, and unit multiplicities are the
        distribution that resamples are drawn from, not the sample.

        Args:
            multiplicity: ``(..., N)`` how often each sorted sample is drawn; class sizes must stay what they are.
        """
        widening = np.ones(self.counts.size)
        if multiplicity is not None:
            widening = np.where(self.counts >= 2, self.counts / np.maximum(self.counts - 1, 1), 1.0)
        drawn = np.ones(self.labels.size) if multiplicity is None else multiplicity
        leading, (total, dimension) = drawn.shape[:-1], self.class_means.shape
        means = np.full((*leading, total, dimension), np.nan)
        traces = np.full((*leading, total), np.nan)
        for k, rows in _blocks(self.counts):
            weights = drawn[..., rows] / self.counts[k]
            shift = np.sqrt(widening[k]) * (weights @ self.residuals[rows])
            means[..., k, :] = self.class_means[k] + shift
            if self.counts[k] >= 2:
                square = widening[k] * (weights @ self.squares[rows])
                traces[..., k] = np.maximum(square - (shift**2).sum(axis=-1), 0.0)
        return ClassMoments(self, drawn, means, traces, widening)


@dataclass(frozen=True, eq=False)
class ClassMoments:
    """Class means and traces before a weighting is chosen; what both weightings share is computed once.

    Attributes:
        source: the samples.
        multiplicity: ``(..., N)`` how often each sample counts.
        means: ``(..., K, D)`` class means relative to ``source.origin``; NaN where absent.
        within_traces: ``(..., K)``; NaN where n < 2.
        widening: ``(K,)`` factor on the samples' variances: 1 for the sample, ``n/(n-1)`` for resamples.
    """

    source: LabelledFeatures
    multiplicity: Array
    means: Array
    within_traces: Array
    widening: Array

    def statistics(self, weighting: Weighting) -> ClassStatistics:
        """The statistics under one weighting.

        In a resample the class variances are those along the *sample's* eigenvectors. A resampled mean moves inside
        the span of the residuals it is drawn from, so along a resampled eigenvector they would be inflated by up to
        D/n: the draws of NC1 would be biased upwards where NC1 itself is biased downwards.

        Raises:
            UsageError: unknown weighting.
        """
        if weighting not in WEIGHTINGS:
            raise UsageError(f"Unknown weighting {weighting!r}; choose balanced or pooled.")
        counts, total = self.source.counts, self.source.counts.size
        here = np.flatnonzero(counts)
        means = self.means[..., here, :]
        centre = np.einsum("k,...kd->...d", class_weights(counts[here], weighting), means)
        centred = means - centre[..., None, :]
        gram = centred @ np.swapaxes(centred, -1, -2)
        spectrum, _ = _descending(gram / here.size)
        along = self._variances(self.source.projections[weighting])

        leading = centre.shape[:-1]
        full_means = np.full((*leading, total, centre.shape[-1]), np.nan)
        full_means[..., here, :] = centred
        full_gram = np.full((*leading, total, total), np.nan)
        full_gram[..., here[:, None], here] = gram
        full_along = np.full((*leading, total, here.size), np.nan)
        full_along[..., here, :] = np.where(counts[here, None] >= 2, along, np.nan)
        return ClassStatistics(
            weighting=weighting,
            counts=counts,
            global_mean=centre + self.source.origin,
            centred_means=full_means,
            within_traces=self.within_traces,
            gram=full_gram,
            spectrum=spectrum,
            within_along=full_along,
            tolerance=self.source.tolerance(spectrum),
        )

    def _variances(self, projected: Array) -> Array:
        """``(..., C, R)`` variance of each present class along each of R directions, from projections ``(R, N)``."""
        here = np.flatnonzero(self.source.counts)
        starts = np.concatenate(([0], np.cumsum(self.source.counts[here])[:-1]))
        weights = (self.multiplicity / self.source.counts[self.source.labels])[..., None, :]
        mean = np.add.reduceat(weights * projected, starts, axis=-1)
        square = np.add.reduceat(weights * projected**2, starts, axis=-1)
        variances = self.widening[here] * np.maximum(square - mean**2, 0.0)
        return np.asarray(np.swapaxes(variances, -1, -2), dtype=np.float64)


def _descending(gram: Array) -> tuple[Array, Array]:
    """Eigenvalues, largest first and never below zero, and their eigenvectors in columns."""
    eigenvalues, vectors = np.linalg.eigh(gram)
    return np.maximum(eigenvalues[..., ::-1], 0.0), vectors[..., ::-1]


def _blocks(counts: NDArray[np.int64]) -> Iterator[tuple[int, slice]]:
    """The present classes and where their samples lie once sorted."""
    ends = np.cumsum(counts)
    for k in np.flatnonzero(counts):
        yield int(k), slice(int(ends[k] - counts[k]), int(ends[k]))


def _checked(
    features: ArrayLike, labels: ArrayLike, num_classes: int | None
) -> tuple[NDArray[Any], NDArray[np.int64], int]:
    given, codes = np.asarray(features), np.asarray(labels)
    if given.ndim != 2 or codes.shape != given.shape[:1] or len(codes) == 0:
        raise DataError(
            f"Expected features (N, D) and labels (N,) with N >= 1, got shapes {given.shape} and {codes.shape}."
        )
    if not np.issubdtype(codes.dtype, np.integer):
        raise DataError(f"Expected integer labels, got {codes.dtype}; number the classes from 0.")
    if not np.all(np.isfinite(given)):
        raise DataError("Expected finite features, got NaN or infinity; drop those samples or mend the model.")
    total = int(codes.max()) + 1 if num_classes is None else num_classes
    if codes.min() < 0 or codes.max() >= total:
        raise DataError(f"Expected labels in 0..{total - 1}, got values from {codes.min()} to {codes.max()}.")
    return given, codes.astype(np.int64), total
