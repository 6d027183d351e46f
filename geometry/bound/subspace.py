"""One principal subspace of the features, shared by every probe of an artifact, and the folds of cross-fitting."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.risk import Array

RANK = 256
FIT = 12_000
FOLDS = 5


def shared_scores(features: ArrayLike, rng: np.random.Generator, *, rank: int = RANK, fit: int = FIT) -> Array:
    """Scores of the standardised features on their leading principal directions, ``(N, r)``, in float64.

    ``r = min(rank, D, n - 1)``. The decomposition reads no label and no domain, so cross-fitted errors of classifiers
    on the scores stay honest, and one decomposition serves them all. What is lost is what the discarded directions
    tell; a linear classifier on the scores is one on the features.

    Args:
        features: ``(N, D)``.
        rng: picks the samples that determine the directions where there are more than ``fit``.
        rank: largest number of directions.
        fit: at most so many samples determine the directions.

    >>> shared_scores(np.diag([1.0, 2.0, 3.0]), np.random.default_rng(0)).shape
    (3, 2)
    """
    from scipy.linalg import eigh

    values = np.asarray(features)
    count, width = values.shape
    if count < 2:
        return np.zeros((count, 0))
    part = values if count <= fit else values[np.sort(rng.choice(count, fit, replace=False))]
    # Single precision in, single precision out: the directions are a choice, and any choice is honest.
    exact = np.float32 if values.dtype == np.float32 else np.float64
    part = part.astype(exact)
    mean, scale = part.mean(axis=0, dtype=np.float64), part.std(axis=0, dtype=np.float64)
    # A constant column has a standard deviation of rounding errors, which must not be blown up to size one.
    scale = np.where(scale > 1e-6 * (np.abs(mean) + 1.0), scale, np.inf)
    mean, scale = mean.astype(exact), scale.astype(exact)
    part = (part - mean) / scale
    kept = min(rank, width, len(part) - 1)
    tall = len(part) >= width
    gram = part.T @ part if tall else part @ part.T
    _, vectors = eigh(gram.astype(np.float64), subset_by_index=[len(gram) - kept, len(gram) - 1])
    if not tall:
        vectors = part.T @ vectors
        lengths = np.linalg.norm(vectors, axis=0)
        vectors = vectors / np.where(lengths > 0, lengths, 1.0)
    directions = vectors[:, ::-1].astype(exact)
    # Products of chunks: float64 copies of all features would double the memory of a large artifact.
    scores = [((values[i : i + 4096].astype(exact) - mean) / scale) @ directions for i in range(0, count, 4096)]
    return np.concatenate(scores).astype(np.float64)


def deal_folds(strata: ArrayLike, rng: np.random.Generator, folds: int = FOLDS) -> NDArray[np.int64]:
    """Fold of each sample, ``(N,)``: dealt out like cards, stratum after stratum, so any stratum size is spread.

    A stratum of ``m`` samples has ``m // folds`` or one more in every fold.

    Args:
        strata: ``(N,)`` integers.
        rng: shuffles inside the strata.
        folds: number of folds.

    >>> np.bincount(deal_folds(np.zeros(10), np.random.default_rng(0))).tolist()
    [2, 2, 2, 2, 2]
    """
    codes = np.asarray(strata)
    result = np.empty(codes.size, dtype=np.int64)
    result[np.lexsort((rng.random(codes.size), codes))] = np.arange(codes.size) % folds
    return result


def ridge_rule(
    features: Array, targets: Array, weights: Array, penalty: float | None = None
) -> tuple[Array, Array, Array]:
    """Weighted ridge regression of ``targets`` on ``features``: slope ``(R, C)``, centre ``(R,)``, level ``(C,)``.

    Minimises ``sum_i w_i |t_i - level - B'(x_i - centre)|^2 + penalty * mean variance * |B|^2``. By default the
    penalty is ``R / n``, the noise of a covariance of n samples in R dimensions relative to its mean eigenvalue.

    Args:
        features: ``(n, R)``.
        targets: ``(n, C)``.
        weights: ``(n,)`` non-negative, sum 1.
        penalty: in units of the mean variance.
    """
    from scipy.linalg import solve

    centre, level = weights @ features, weights @ targets
    apart = features - centre
    moment = (apart * weights[:, None]).T @ apart
    width = max(1, features.shape[1])
    strength = (width / max(1, len(features)) if penalty is None else penalty) * float(np.trace(moment)) / width
    moment[np.diag_indices_from(moment)] += strength if strength > 0 else 1.0
    slope = solve(moment, apart.T @ (weights[:, None] * (targets - level)), assume_a="pos")
    return np.asarray(slope), np.asarray(centre), np.asarray(level)
