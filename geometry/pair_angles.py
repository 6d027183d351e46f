"""Angles between pairs of class vectors: the table that shows where a geometry deviates."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
        group: shot groups of the two, such as ``many-few``; empty when no thresholds are known.
    """

    first: str
    second: str
    learned: float
    optimal: float
    residual: float
    group: str


@dataclass(frozen=True)
class Block:
    """Angle residuals of the pairs of one kind, in degrees: their number, mean and root mean square."""

    group: str
    pairs: int
    mean: float
    rms: float


def pair_angles(
    learned: Array, optimal: Array, names: tuple[str, ...], shots: tuple[str, ...] | None = None
) -> tuple[PairAngle, ...]:
    """The angle table of two ``(P, P)`` matrices of cosines, largest absolute residual first.

    Args:
        learned: ``(P, P)`` learned cosines.
        optimal: ``(P, P)`` target cosines.
        names: P class names.
        shots: P shot groups, or None.
    """
    first, second = np.triu_indices(len(names), 1)
    angle, goal = (np.degrees(np.arccos(np.clip(g[first, second], -1.0, 1.0))) for g in (learned, optimal))
    residual = angle - goal

    def pair(n: int) -> PairAngle:
        i, j = int(first[n]), int(second[n])
        group = "" if shots is None else "-".join(sorted((shots[i], shots[j]), key=GROUPS.index))
        return PairAngle(names[i], names[j], float(angle[n]), float(goal[n]), float(residual[n]), group)

    return tuple(pair(n) for n in np.argsort(-np.abs(residual), kind="stable").tolist())


def angle_blocks(pairs: tuple[PairAngle, ...]) -> tuple[Block, ...]:
    """All pairs, then the pairs of each two shot groups that occur, from many-many to few-few."""
    kinds = [f"{a}-{b}" for n, a in enumerate(GROUPS) for b in GROUPS[n:]]
    blocks = []
    for kind in ("all", *kinds):
        residuals = np.asarray([pair.residual for pair in pairs if kind in ("all", pair.group)])
        if residuals.size:
            blocks.append(Block(kind, residuals.size, float(residuals.mean()), float(np.sqrt((residuals**2).mean()))))
    return tuple(blocks)
