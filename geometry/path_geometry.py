"""Geometry of class means along training, and the class proportions that a batch has."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.alignment import cosines, gram_error
from geometry.defined import ratio
from geometry.trajectory import Trajectory

Array = NDArray[np.float64]
STILL = 1e-6  # of class means' size; they are recorded in single precision, and movement or length below is rounding


@dataclass(frozen=True, eq=False)
class PathGeometry:
    """Class means of one representation at T moments, centred on their balanced mean.

    Attributes:
        cosine: ``(T, P, P)`` between the class means of the P trained classes.
        scatter_ratio: ``(T,)`` mean scatter within classes over scatter of their means, both balanced: NC1's trace
            ratio ``tr Sigma_W / tr Sigma_B``. Classes of one sample are left out of the numerator.
        distance: target -> ``(T,)`` Gram error in [0, sqrt(2)] of the cosines.
        angle: ``all``, ``minority`` or ``majority`` -> ``(T,)`` mean angle over pairs of those classes, degrees; NaN
            where there is no pair, or a class has no direction.
        moves: whether the class means change at all.
    """

    cosine: Array
    scatter_ratio: Array
    distance: Mapping[str, Array]
    angle: Mapping[str, Array]
    moves: bool


def path_geometry(
    path: Trajectory, of: str, trained: NDArray[np.intp], targets: Mapping[str, Array], minority: NDArray[np.bool_]
) -> PathGeometry:
    """Class means over all training samples, or the rows of the head, at every moment.

    Args:
        path: the trajectory.
        of: ``features``, ``predictions``, or ``head`` for the rows of the head, which have no samples to scatter.
        trained: P classes with training samples.
        targets: cosines ``(P, P)`` of the centred targets by name.
        minority: ``(P,)`` which of them are the minority.
    """
    means = (path.head_weight if of == "head" else path.class_means(of))[:, trained]
    centred = means - means.mean(axis=1, keepdims=True)  # before products are formed: an offset would drown them
    length = np.linalg.norm(centred, axis=2, keepdims=True)
    centred = np.where(length > STILL * np.abs(means).max(axis=(1, 2), keepdims=True), centred, 0.0)  # else rounding
    gram = centred @ centred.transpose(0, 2, 1)
    learned = cosines(gram)
    several = path.class_counts[trained] > 1
    between, inside = np.einsum("tkk->t", gram) / len(trained), np.full(len(gram), np.nan)
    if of != "head" and several.any():
        inside = path.class_scatter(of)[:, trained][:, several].mean(axis=1)
    groups = {"all": np.ones(len(trained), dtype=bool), "minority": minority, "majority": ~minority}
    return PathGeometry(
        cosine=learned,
        scatter_ratio=np.asarray(ratio(inside, between)),
        distance={name: np.array([gram_error(now, goal) for now in learned]) for name, goal in targets.items()},
        angle={name: np.array([mean_angle(now, mask) for now in learned]) for name, mask in groups.items()},
        moves=bool(np.abs(np.diff(means, axis=0)).max() > STILL * np.abs(means).max()),
    )


def mean_angle(cosine: Array, among: NDArray[np.bool_]) -> float:
    """Mean angle over pairs of the chosen classes, degrees; NaN where there is none, or one is undefined.

    >>> mean_angle(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([True, True]))
    90.0
    """
    chosen = cosine[np.ix_(among, among)]
    pairs = chosen[np.triu_indices(len(chosen), 1)]
    return float(np.degrees(np.arccos(pairs)).mean()) if pairs.size else float("nan")


def batch_proportions(path: Trajectory, sampling: str = "uniform") -> Array:
    """``(K,)`` expected class proportions of a batch, which takes equally many samples of every source domain.

    ``1/M_s sum_d n_dk / n_d``, or ``1/M_s sum_d [n_dk > 0] / K_d`` where sampling is ``class-aware``. Every class with
    a training sample has a share, though most batches may hold none of it (:func:`absent_share`).
    """
    counts = path.cell_counts[path.sources].astype(np.float64)
    shares = (counts > 0).astype(np.float64) if sampling == "class-aware" else counts
    return np.asarray((shares / shares.sum(axis=1, keepdims=True)).mean(axis=0), dtype=np.float64)


def absent_share(path: Trajectory) -> Array:
    """``(K,)`` share of the recorded batches that hold no sample of a class; NaN where none are recorded."""
    recorded, classes = path.batches, len(path.class_counts)
    batches = len(np.unique(recorded.batch))
    if batches == 0:
        return np.full(classes, np.nan)
    met = np.unique(recorded.batch * classes + recorded.label)
    return np.asarray(1.0 - np.bincount(met % classes, minlength=classes) / batches, dtype=np.float64)
