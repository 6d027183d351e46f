"""Class statistics: means, within-class traces and the spectrum of the between-class scatter, under one weighting.

Every metric of this package reads a :class:`ClassStatistics`. Its arrays may carry leading axes (written ``...``): a
stack of bootstrap resamples is measured by the same code, in one call, as the sample itself.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.defined import Value

Array: TypeAlias = NDArray[np.float64]
Index: TypeAlias = NDArray[np.intp]
Weighting: TypeAlias = Literal["balanced", "pooled"]
WEIGHTINGS: tuple[Weighting, ...] = ("balanced", "pooled")


@dataclass(frozen=True, eq=False)
class ClassStatistics:
    """What neural-collapse metrics read from features and labels, under one weighting.

    ``balanced`` gives every class the same weight, ``pooled`` every sample: they set the global mean ``mu_G`` and the
    weights of the within-class scatter. The between-class scatter is ``(1/K) sum_k (mu_k - mu_G)(mu_k - mu_G)^T`` in
    both, K counting the classes present.

    Attributes:
        weighting: ``balanced`` or ``pooled``.
        counts: ``(K,)`` samples per class; 0 where a class is absent.
        global_mean: ``(..., D)``.
        centred_means: ``(..., K, D)`` class means minus the global mean; NaN for an absent class.
        within_traces: ``(..., K)`` mean squared distance to the class mean (divisor n); NaN where n < 2.
        gram: ``(..., K, K)`` inner products of the centred means.
        spectrum: ``(..., C)`` eigenvalues of the between-class scatter, largest first, C classes being present.
        within_along: ``(..., K, C)`` variance of each class along each eigenvector of the sample's between-class
            scatter; 0 where its eigenvalue is not kept, NaN where n < 2.
        tolerance: ``(...)`` eigenvalues at or below it are rounding, not geometry.
    """

    weighting: Weighting
    counts: NDArray[np.int64]
    global_mean: Array
    centred_means: Array
    within_traces: Array
    gram: Array
    spectrum: Array
    within_along: Array
    tolerance: Value

    @property
    def means(self) -> Array:
        """``(..., K, D)`` class means; NaN for an absent class."""
        return self.centred_means + self.global_mean[..., None, :]

    @property
    def dimension(self) -> int:
        """D, the dimension of the features."""
        return int(self.global_mean.shape[-1])

    @property
    def leading(self) -> tuple[int, ...]:
        """Shape of the leading axes: empty for one sample, ``(B,)`` for B resamples."""
        return self.global_mean.shape[:-1]

    @property
    def present(self) -> Index:
        """Indices of the classes that have a sample."""
        return np.flatnonzero(self.counts)

    def among(self, classes: ArrayLike | None, at_least: int = 1) -> Index:
        """Indices of the classes among ``classes`` (all by default) with ``at_least`` samples."""
        chosen = np.arange(self.counts.size) if classes is None else np.asarray(classes, dtype=np.intp)
        return chosen[self.counts[chosen] >= at_least]


def class_weights(counts: NDArray[np.int64], weighting: Weighting) -> Array:
    """Weights of classes that sum to one, ``(C,)``: equal (balanced) or by their samples (pooled).

    >>> class_weights(np.array([3, 1]), "pooled").tolist()
    [0.75, 0.25]
    """
    raw = np.ones(counts.size) if weighting == "balanced" else counts.astype(np.float64)
    return np.asarray(raw / raw.sum(), dtype=np.float64)
