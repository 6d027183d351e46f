"""The boundary of the collapsed phase along one column of a diagram: a ratio R*, or critical temperatures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from geometry.errors import UsageError
from geometry.phase.force_balance import two_groups
from geometry.thresholds import threshold

PER_DECADE = 12  # temperatures tried


@dataclass(frozen=True)
class BoundaryPoint:
    """Where minority collapse begins or ends.

    Attributes:
        ratio: imbalance ratio R; infinity for the limit; NaN for never.
        tau: temperature; NaN where there is no critical one.
        negatives: k; None is the limit of many.
        majority: C1.
        minority: C2.
        collapsed_above: the side of larger R (or larger tau) is the collapsed one; without a boundary, whether all is
            collapsed.
        reason: in words.
    """

    ratio: float
    tau: float
    negatives: int | None
    majority: int
    minority: int
    collapsed_above: bool
    reason: str


def phase_curve(
    majority: int,
    minority: int,
    *,
    ratio: float | None = None,
    temperatures: Sequence[float] = (),
    loss: str = "infonce",
    tau: float = 1.0,
    q: float | str = 1.0,
    negatives: int | None = None,
    collisions: bool = False,
) -> tuple[BoundaryPoint, ...]:
    """The collapse ratio R* at temperature ``tau`` or, given a ratio, the critical temperatures within a range.

    Args:
        majority: C1 >= 1.
        minority: C2 >= 2.
        ratio: R at which to look for critical temperatures; infinity is the limit; None for the collapse ratio.
        temperatures: lowest and highest temperature to look at; needed with ``ratio``, which replaces ``tau``.
        loss: as for :func:`geometry.thresholds.threshold`, without the losses that have kinks.
        tau: temperature.
        q: weight of the negatives in infonce, or ``"plain"``.
        negatives: k; None is the limit of many.
        collisions: negatives may be of the anchor's own class.

    Returns:
        A point for each end of each interval of R with collapse, or for each critical temperature; one with NaN and
        the reason where there is none.

    Raises:
        UsageError: see :func:`geometry.phase.two_groups`; bad ``temperatures``.

    >>> phase_curve(1, 9)[0].ratio
    24.927...
    >>> [round(point.tau, 3) for point in phase_curve(3, 9, ratio=float("inf"), temperatures=(1, 100))]
    [11.063]
    """
    if ratio is None:
        found = threshold(majority, minority, loss=loss, tau=tau, q=q, negatives=negatives, collisions=collisions)
        ends = [(r, above) for window in found.windows for r, above in ((window.low, True), (window.high, False))]
        return tuple(
            BoundaryPoint(float(r), float(tau), negatives, majority, minority, above, found.reason)
            for r, above in ends or [(np.nan, False)]
            if not np.isinf(r)
        )
    if len(temperatures) != 2 or not 0.0 < temperatures[0] <= temperatures[1]:
        raise UsageError("Expected a lowest and a highest temperature, both positive.")
    at_ratio, (lowest, highest) = float(ratio), temperatures

    def collapse_excess(log_tau: float) -> float:
        here = float(np.exp(log_tau))
        return two_groups(
            at_ratio, majority, minority, loss=loss, tau=here, q=q, negatives=negatives, collisions=collisions
        ).excess()

    crossings = _crossings(collapse_excess, float(np.log(lowest)), float(np.log(highest)))
    if not crossings:
        collapsed = collapse_excess(float(np.log(lowest))) >= 0.0
        text = f"{'collapsed' if collapsed else 'not collapsed'} at every temperature from {lowest:g} to {highest:g}"
        return (BoundaryPoint(at_ratio, float("nan"), negatives, majority, minority, collapsed, text),)
    points = []
    for critical, rising in crossings:
        text = f"the minorities are collapsed {'above' if rising else 'below'} tau = {critical:.6g}"
        points.append(BoundaryPoint(at_ratio, critical, negatives, majority, minority, rising, text))
    return tuple(points)


def _crossings(excess: Callable[[float], float], low: float, high: float) -> list[tuple[float, bool]]:
    """Temperatures at which the sign of ``excess`` (of log tau) changes, and whether to a collapse above."""
    from scipy.optimize import brentq

    logs = np.linspace(low, high, 2 + int(PER_DECADE * (high - low) / np.log(10.0)))
    collapsed = np.array([excess(float(x)) >= 0.0 for x in logs])
    changes = np.flatnonzero(collapsed[1:] != collapsed[:-1])
    return [(float(np.exp(brentq(excess, logs[i], logs[i + 1], xtol=1e-14))), bool(collapsed[i + 1])) for i in changes]
