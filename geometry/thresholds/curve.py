"""Thresholds over temperature and number of negatives, as rows of a table."""

from collections.abc import Iterable
from dataclasses import dataclass

from geometry.optimum.mean_loss import Loss
from geometry.thresholds.contrastive import threshold
from geometry.thresholds.roots import Interval


@dataclass(frozen=True)
class CurvePoint:
    """One row of a threshold curve.

    Attributes:
        tau: temperature.
        negatives: k; None is the limit of many.
        r_star: the imbalance ratio from which on minorities collapse; None for never.
        limit_cosine: cosine between minority vectors as R grows without bound.
        windows: the intervals of R on which minorities coincide; without ``r_star`` they are bounded.
    """

    tau: float
    negatives: int | None
    r_star: float | None
    limit_cosine: float
    windows: tuple[Interval, ...] = ()


def threshold_curve(
    majority: int,
    minority: int,
    *,
    taus: Iterable[float],
    ks: Iterable[int | None] = (None,),
    loss: str | Loss = "infonce",
    q: float | str = 1.0,
    collisions: bool = False,
    margin: float = 1.0,
) -> list[CurvePoint]:
    """R* for every k in ``ks`` and, within it, every temperature in ``taus``.

    Raises:
        UsageError: as :func:`threshold`.

    >>> [round(point.r_star, 2) for point in threshold_curve(1, 9, taus=[0.5, 1.0], ks=[1, None])]
    [59.14, 18.92, 82.5, 24.93]
    """
    settings = {"loss": loss, "q": q, "collisions": collisions, "margin": margin}
    temperatures = list(taus)
    rows = []
    for k in ks:
        for tau in temperatures:
            found = threshold(majority, minority, tau=tau, negatives=k, **settings)  # type: ignore[arg-type]
            rows.append(CurvePoint(tau, k, found.r_star, found.limit_cosine, found.windows))
    return rows
