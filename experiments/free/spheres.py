"""Products of unit spheres: where free vectors live."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Spheres:
    """Vectors ``(P,)`` made of consecutive segments of length one each: a point on every sphere.

    Everything optimised here is such a point: unit feature vectors (a segment a sample), a ball of R^K (its points are
    the first K coordinates of a segment of length K + 1), a budget on a sum of squares (one segment for all vectors).

    Attributes:
        lengths: coordinates in each segment.
    """

    lengths: tuple[int, ...]

    @property
    def size(self) -> int:
        """P."""
        return sum(self.lengths)

    @cached_property
    def _starts(self) -> NDArray[np.intp]:
        return np.concatenate([[0], np.cumsum(self.lengths)[:-1]]).astype(np.intp)

    @cached_property
    def _segment(self) -> NDArray[np.intp]:
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def inner(self, first: Array, second: Array) -> Array:
        """``(P,)`` inner product of the two vectors' segments, written over each segment.

        >>> Spheres((2, 1)).inner(np.array([3.0, 4.0, 2.0]), np.array([1.0, 1.0, 5.0])).tolist()
        [7.0, 7.0, 10.0]
        """
        return np.asarray(np.add.reduceat(first * second, self._starts)[self._segment], dtype=np.float64)

    def normalise(self, vector: Array) -> Array:
        """Each segment divided by its length."""
        return np.asarray(vector / np.sqrt(self.inner(vector, vector)), dtype=np.float64)

    def tangent(self, point: Array, vector: Array) -> Array:
        """The part of ``vector`` along the spheres at ``point``."""
        return np.asarray(vector - self.inner(point, vector) * point, dtype=np.float64)

    def random(self, rng: np.random.Generator) -> Array:
        """A uniformly random point."""
        return self.normalise(rng.standard_normal(self.size))
