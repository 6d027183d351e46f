"""The probability that a sample of one kind has a smaller value than one of another, class by class."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Nearer:
    """Mann-Whitney comparisons inside each class, for any multiplicities of the batches; values are sorted once.

    Args:
        values: ``(S,)`` to compare, infinities included.
        labels: ``(S,)`` classes.
        batches: ``(S,)`` batch of each sample.
        first: ``(S,)`` mask of the first kind.
        second: ``(S,)`` mask of the second kind.

    Attributes:
        classes: ``(C,)`` classes with a sample of both kinds.

    >>> here = np.array([True, True, False, False])
    >>> compare = Nearer(np.array([1.0, 3.0, 2.0, 4.0]), np.zeros(4, int), np.zeros(4, int), here, ~here)
    >>> compare.by_class(np.ones(1)).tolist()  # 1 < 2, 1 < 4, 3 < 4: 1.5 of 2 samples win
    [[1.5], [2.0]]
    """

    def __init__(
        self,
        values: Array,
        labels: NDArray[np.int64],
        batches: NDArray[np.int64],
        first: NDArray[np.bool_],
        second: NDArray[np.bool_],
    ) -> None:
        self.classes = np.intersect1d(labels[first], labels[second])
        self._parts = []
        for k in self.classes:
            mine, other = np.flatnonzero(first & (labels == k)), np.flatnonzero(second & (labels == k))
            order = np.argsort(values[other], kind="stable")
            sorted_values = values[other][order]
            below = np.searchsorted(sorted_values, values[mine], side="left")
            upto = np.searchsorted(sorted_values, values[mine], side="right")
            self._parts.append((batches[mine], batches[other][order], below, upto))

    def by_class(self, times: Array) -> Array:
        """``(..., 2, C)``: for each class the sum over the first kind of ``Pr[x < Y] + Pr[x = Y] / 2``, and its size.

        Args:
            times: ``(..., B)`` how often each batch counts; a class that is left with one kind alone gets zeros.
        """
        result = np.zeros((*times.shape[:-1], 2, len(self._parts)))
        for position, (mine, other, below, upto) in enumerate(self._parts):
            mass = times[..., mine]
            rivals = np.cumsum(times[..., other], axis=-1)
            rivals = np.concatenate([np.zeros((*times.shape[:-1], 1)), rivals], axis=-1)
            total = rivals[..., -1]
            larger = total[..., None] - 0.5 * (rivals[..., below] + rivals[..., upto])
            some = total > 0
            result[..., 0, position] = np.where(some, (mass * larger).sum(axis=-1) / np.where(some, total, 1.0), 0.0)
            result[..., 1, position] = np.where(some, mass.sum(axis=-1), 0.0)
        return result
