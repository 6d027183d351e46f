"""Where the free vectors of an experiment live, and which of them its geometry is read from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.free.spheres import Spheres
from geometry.alignment import coordinates
from geometry.errors import UsageError
from geometry.frames import simplex_etf

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


class Space(Protocol):
    """A product of spheres read as the vectors of samples, and of classes where the loss has some.

    Attributes:
        labels: ``(N,)`` classes of the samples.
        centred: whether the geometry is that of class means around their mean.
        bounded: whether vectors may lie inside their bound (a ball), not only on it.
    """

    labels: Labels
    centred: bool
    bounded: bool

    @property
    def spheres(self) -> Spheres:
        """The spheres."""
        ...

    @property
    def own(self) -> int:
        """Coordinates at the front of a point that belong to samples; the rest belongs to classes."""
        ...

    @property
    def simplex(self) -> Array:
        """``(P,)`` the point at which samples equal their class vectors and these are a simplex ETF."""
        ...

    def samples(self, point: Tensor) -> Tensor:
        """``(N, D)`` what the loss sees of the samples."""
        ...

    def classes(self, point: Tensor) -> Tensor:
        """``(C, D)`` what the loss sees of the classes: prototypes, or classifier rows."""
        ...

    def judged(self, point: Tensor) -> Tensor:
        """``(N, D)`` the representation whose geometry is reported."""
        ...

    def start(self, rng: np.random.Generator) -> Array:
        """``(P,)`` a random point to start from."""
        ...


@dataclass(frozen=True, eq=False)
class UnitVectors:
    """A unit vector of R^d a sample, and a unit prototype a class if the loss has prototypes.

    Attributes:
        labels: ``(N,)`` classes 0..C-1, each with a sample.
        dimension: d.
        prototypes: the loss has them; they are free as well.

    Raises:
        UsageError: a dimension below 1.
    """

    labels: Labels
    dimension: int
    prototypes: bool = False
    centred = False
    bounded = False

    def __post_init__(self) -> None:
        _check_dimension(self.dimension)

    @cached_property
    def spheres(self) -> Spheres:
        """One sphere a vector."""
        return Spheres((self.dimension,) * (len(self.labels) + self.prototypes * _num_classes(self.labels)))

    @property
    def own(self) -> int:
        """N d."""
        return len(self.labels) * self.dimension

    @property
    def simplex(self) -> Array:
        """Samples at the corners, prototypes too."""
        corners = _corners(_num_classes(self.labels), self.dimension)
        return np.concatenate([corners[self.labels], corners[: self.prototypes * len(corners)]]).ravel()

    def samples(self, point: Tensor) -> Tensor:
        """Unit rows."""
        return point[: self.own].view(-1, self.dimension)

    def classes(self, point: Tensor) -> Tensor:
        """Unit prototypes."""
        return point[self.own :].view(-1, self.dimension)

    def judged(self, point: Tensor) -> Tensor:
        """The samples' vectors."""
        return self.samples(point)

    def start(self, rng: np.random.Generator) -> Array:
        """Uniform on the spheres."""
        return self.spheres.random(rng)


@dataclass(frozen=True, eq=False)
class Logits:
    """A logit vector a sample in the ball of radius r of R^C; the loss sees its softmax, the prediction.

    The ball is the shadow of the unit sphere of R^(C+1), so that a point may rest inside it or on its boundary.
    Softmax ignores a common shift; at the boundary, logits waste no length on one.

    Attributes:
        labels: ``(N,)`` classes 0..C-1, each with a sample.
        radius: r > 0.

    Raises:
        UsageError: a radius that is not positive.
    """

    labels: Labels
    radius: float
    centred = True
    bounded = True

    def __post_init__(self) -> None:
        if not (np.isfinite(self.radius) and self.radius > 0):
            raise UsageError(f"Expected a positive radius of the logits' ball, got {self.radius}.")

    @property
    def _width(self) -> int:
        return _num_classes(self.labels) + 1

    @cached_property
    def spheres(self) -> Spheres:
        """One sphere of R^(C+1) a sample."""
        return Spheres((self._width,) * len(self.labels))

    @property
    def own(self) -> int:
        """All."""
        return self.spheres.size

    @property
    def simplex(self) -> Array:
        """Centred one-hot logits at the boundary."""
        size = _num_classes(self.labels)
        corners = np.eye(size) - 1.0 / size
        corners /= np.linalg.norm(corners, axis=1, keepdims=True)
        return np.pad(corners, ((0, 0), (0, 1)))[self.labels].ravel()

    def logits(self, point: Tensor) -> Tensor:
        """``(N, C)`` logits."""
        return self.radius * point.view(-1, self._width)[:, :-1]

    def samples(self, point: Tensor) -> Tensor:
        """Predictions."""
        return self.logits(point).softmax(dim=1)

    def classes(self, point: Tensor) -> Tensor:
        """None."""
        return point.new_zeros((0, self._width - 1))

    def judged(self, point: Tensor) -> Tensor:
        """The predictions."""
        return self.samples(point)

    def start(self, rng: np.random.Generator) -> Array:
        """Logits of length about 1, or a tenth of the radius if that is less: predictions still far from any corner.

        From random points of a large ball, samples sit at random corners of the simplex, where no loss of predictions
        has a gradient to move them.
        """
        inside = rng.standard_normal((len(self.labels), self._width))
        inside *= min(0.1, 1.0 / self.radius) / np.sqrt(self._width - 1)
        inside[:, -1] = 1.0
        return self.spheres.normalise(inside.ravel())


@dataclass(frozen=True, eq=False)
class LayerPeeled:
    """Features of samples and classifier rows under budgets on their mean squared lengths (Fang et al. 2021).

    ``(1/C) sum_k (1/n_k) sum_i ||h_ki||^2 = E_H`` and ``(1/C) sum_k ||w_k||^2 = E_W``: one sphere each.

    Attributes:
        labels: ``(N,)`` classes 0..C-1, each with a sample.
        dimension: d.
        feature_energy: E_H.
        classifier_energy: E_W.

    Raises:
        UsageError: a dimension below 1 or an energy that is not positive.
    """

    labels: Labels
    dimension: int
    feature_energy: float = 5.0
    classifier_energy: float = 1.0
    centred = True
    bounded = False

    def __post_init__(self) -> None:
        _check_dimension(self.dimension)
        if not (self.feature_energy > 0 and self.classifier_energy > 0):
            raise UsageError("Expected positive energies of features and classifiers.")

    @cached_property
    def spheres(self) -> Spheres:
        """One sphere for all features, one for the classifier."""
        return Spheres((self.own, _num_classes(self.labels) * self.dimension))

    @property
    def own(self) -> int:
        """N d."""
        return len(self.labels) * self.dimension

    @cached_property
    def _scale(self) -> Tensor:
        counts = np.bincount(self.labels)[self.labels]
        return torch.from_numpy(np.sqrt(_num_classes(self.labels) * self.feature_energy * counts))[:, None]

    @property
    def simplex(self) -> Array:
        """Features and classifier rows at the corners, of equal lengths."""
        corners = _corners(_num_classes(self.labels), self.dimension)
        features = corners[self.labels] / self._scale.numpy()
        return self.spheres.normalise(np.concatenate([features, corners]).ravel())

    def samples(self, point: Tensor) -> Tensor:
        """Logits ``(N, C)``, features times classifier rows."""
        return self.judged(point) @ self.classes(point).T

    def classes(self, point: Tensor) -> Tensor:
        """Classifier rows."""
        size = _num_classes(self.labels)
        return point[self.own :].view(size, -1) * float(np.sqrt(size * self.classifier_energy))

    def judged(self, point: Tensor) -> Tensor:
        """The features."""
        return point[: self.own].view(-1, self.dimension) * self._scale

    def start(self, rng: np.random.Generator) -> Array:
        """Uniform on the spheres."""
        return self.spheres.random(rng)


def _num_classes(labels: Labels) -> int:
    return int(labels.max()) + 1


def _check_dimension(dimension: int) -> None:
    if dimension < 1:
        raise UsageError(f"Expected a dimension of at least 1, got {dimension}.")


def _corners(num_classes: int, dimension: int) -> Array:
    """``(C, d)`` unit vectors of a simplex; NaN where d < C - 1 leaves it no room."""
    if dimension < num_classes - 1:
        return np.full((num_classes, dimension), np.nan)
    found = coordinates(simplex_etf(num_classes))[:, : min(dimension, num_classes)]
    padded = np.pad(found, ((0, 0), (0, dimension - found.shape[1])))
    return np.asarray(padded / np.linalg.norm(padded, axis=1, keepdims=True), dtype=np.float64)
