"""Where a function that says whether minorities collapse changes its sign."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

STEP = 0.25  # decades between the points tried
MOST_POINTS = 240


@dataclass(frozen=True)
class Interval:
    """An interval of a positive quantity on which there is collapse.

    Attributes:
        low: lower end; the lowest value looked at if there is collapse there already.
        high: upper end; infinity if there is collapse at the largest value looked at.
    """

    low: float
    high: float


def collapse_intervals(excess: Callable[[float], float], lowest: float, largest: float) -> tuple[Interval, ...]:
    """The intervals on which ``excess`` is not negative, between two powers of ten, by bisection from a grid.

    Args:
        excess: of the ratio or of the temperature.
        lowest: log10 of the least value.
        largest: log10 of the largest value; what holds there is taken to hold beyond.
    """
    from scipy.optimize import brentq

    points = min(MOST_POINTS, int((largest - lowest) / STEP) + 2)
    logs = np.linspace(lowest, largest, points).tolist()
    inside = [excess(10.0**x) >= 0.0 for x in logs]
    ends = [10.0**lowest] if inside[0] else []
    for (low, before), (high, after) in pairwise(zip(logs, inside, strict=True)):
        if before != after:
            ends.append(10.0 ** float(brentq(lambda x: excess(10.0**x), low, high, xtol=1e-14)))
    if inside[-1]:
        ends.append(np.inf)
    return tuple(Interval(low, high) for low, high in zip(ends[::2], ends[1::2], strict=True))
