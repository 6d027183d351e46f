"""Angles between pairs of class vectors: the table that shows where a geometry deviates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.intervals import Interval, undefined, wider_interval
from geometry.shots import GROUPS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PairAngle:
    """The angle between two class vectors, in degrees.

    Attributes:
        first: name of a class.
        second: name of a later class.
        learned: learned angle in [0, 180].
        optimal: the target's angle.
        residual: ``learned - optimal``.
        group: groups of the two, such as ``many-few``; empty when the classes have none.
    """

    first: str
    second: str
    learned: float
    optimal: float
    residual: float
    group: str


@dataclass(frozen=True)
class Block:
    """The pairs of one kind: majority with majority, majority with minority, and so on.

    Attributes:
        group: groups of the two classes; ``all`` for every pair.
        pairs: their number.
        mean: mean angle residual, learned minus optimal, in degrees.
        rms: root mean square of the angle residuals, in degrees.
        relative_error: ``||G - G*|| / ||G*||`` over the cosines of these pairs, off the diagonal; undefined where the
            target's are all zero. Its interval is as that of ``gram_error``.
    """

    group: str
    pairs: int
    mean: float
    rms: float
    relative_error: Interval


@dataclass(frozen=True, eq=False)
class AngleTable:
    """Two sets of cosines, pair by pair.

    Attributes:
        names: P class names.
        groups: P group names, or None.
        learned: ``(P (P-1) / 2,)`` learned cosines, in the order of ``numpy.triu_indices(P, 1)``.
        optimal: the target's.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...] | None
    learned: Array
    optimal: Array

    @property
    def angles(self) -> tuple[Array, Array]:
        """Learned and optimal angles in degrees."""
        learned, optimal = (np.degrees(np.arccos(np.clip(c, -1.0, 1.0))) for c in (self.learned, self.optimal))
        return learned, optimal

    @property
    def kinds(self) -> tuple[NDArray[np.intp], tuple[str, ...]]:
        """Kind of each pair, as a position in the kinds from many-many to few-few; -1 without groups."""
        kinds = tuple(f"{a}-{b}" for n, a in enumerate(GROUPS) for b in GROUPS[n:])
        first, second = np.triu_indices(len(self.names), 1)
        if self.groups is None:
            return np.full(len(first), -1), kinds
        codes = np.asarray([GROUPS.index(group) for group in self.groups])
        low, high = np.minimum(codes[first], codes[second]), np.maximum(codes[first], codes[second])
        table = np.zeros((len(GROUPS), len(GROUPS)), dtype=np.intp)
        table[np.triu_indices(len(GROUPS))] = np.arange(len(kinds))
        return table[low, high], kinds

    def pairs(self, most: int | None = None) -> tuple[PairAngle, ...]:
        """The angle table, largest absolute residual first; all of it, or the first ``most`` rows."""
        first, second = np.triu_indices(len(self.names), 1)
        learned, optimal = self.angles
        residual = learned - optimal
        order = np.argsort(-np.abs(residual), kind="stable")[:most]
        kind, kinds = self.kinds
        words = [*kinds, ""]  # the last one is position -1
        names = self.names
        columns = (values[order].tolist() for values in (first, second, learned, optimal, residual, kind))
        return tuple(
            PairAngle(names[i], names[j], angle, goal, rest, words[k])
            for i, j, angle, goal, rest, k in zip(*columns, strict=True)
        )

    def blocks(self, draws: Array | None = None, *, samples: int = 0, level: float = 0.95) -> tuple[Block, ...]:
        """All pairs, then the pairs of each kind that occurs, from many-many to few-few.

        Args:
            draws: ``(B, P (P-1) / 2)`` learned cosines on resamples; without any there are no intervals.
            samples: behind the learned cosines.
            level: nominal coverage of the intervals.
        """
        kind, kinds = self.kinds
        present = np.unique(kind[kind >= 0])
        masks = np.column_stack([np.ones(len(kind)), *(kind == k for k in present)]).astype(np.float64)
        learned, optimal = self.angles
        residual, counts = learned - optimal, masks.sum(axis=0)
        means, squares = residual @ masks / counts, residual**2 @ masks / counts
        errors = _relative_errors(self.learned[None], self.optimal, masks)[0]
        drawn = None if draws is None or not len(draws) else _relative_errors(draws, self.optimal, masks)
        return tuple(
            Block(
                group=name,
                pairs=int(counts[b]),
                mean=float(means[b]),
                rms=float(np.sqrt(squares[b])),
                relative_error=_interval(float(errors[b]), None if drawn is None else drawn[:, b], samples, level),
            )
            for b, name in enumerate(("all", *(kinds[k] for k in present)))
        )


def angle_table(
    learned: Array, optimal: Array, names: tuple[str, ...], groups: tuple[str, ...] | None = None
) -> AngleTable:
    """The table of two ``(P, P)`` matrices of cosines.

    Args:
        learned: ``(P, P)`` learned cosines.
        optimal: ``(P, P)`` target cosines.
        names: P class names.
        groups: P groups out of many, medium, few, or None.
    """
    pairs = np.triu_indices(len(names), 1)
    return AngleTable(names, groups, learned[pairs], optimal[pairs])


def _relative_errors(learned: Array, optimal: Array, masks: Array) -> Array:
    """``(B, M)`` relative errors of rows of cosines over the pairs of each mask; NaN where the target's are zero."""
    length = optimal**2 @ masks
    # Expanded, so that no matrix as large as the draws is made; exact enough where the error is above 1e-7.
    squared = learned**2 @ masks - 2.0 * (learned @ (optimal[:, None] * masks)) + length
    if len(learned) == 1:
        squared = (learned - optimal) ** 2 @ masks
    defined = length > 0.0
    ratio = np.maximum(squared, 0.0) / np.where(defined, length, 1.0)
    return np.asarray(np.where(defined, np.sqrt(ratio), np.nan), dtype=np.float64)


def _interval(estimate: float, draws: Array | None, samples: int, level: float) -> Interval:
    if np.isnan(estimate):
        return undefined(samples, "the target's cosines are all zero", level)
    if draws is None:
        return Interval(estimate, float("nan"), float("nan"), level, samples, "no interval: no resamples")
    return wider_interval(estimate, draws, n=samples, level=level, low=0.0, scale="square")
