"""One cell of a phase diagram: the certified optimum at one ratio, temperature, number of negatives and of classes."""

from dataclasses import dataclass

import numpy as np

from geometry.optimum.certificate import certify
from geometry.phase.force_balance import NotUniqueError, two_groups

TOLERANCE = 1e-9
NAN = float("nan")


@dataclass(frozen=True)
class PhaseCell:
    """The optimal geometry of C1 majority and C2 minority classes.

    Attributes:
        ratio: imbalance ratio R; infinity for the limit.
        tau: temperature.
        negatives: k; None is the limit of many.
        majority: C1.
        minority: C2.
        minority_cosine: cosine between two minority classes, in [-1/(C2 - 1), 1]; 1 exactly where they collapse (and,
            at R = infinity, where it tends to 1); NaN where the cell is not certified, like what follows.
        majority_cosine: cosine between two majority classes; NaN for one alone.
        cross_cosine: cosine between a majority and a minority class.
        rank: of the Gram matrix, C1 + C2 - 1 before any collapse; from which vectors coincide, not from eigenvalues.
            None where the cell is not certified.
        distinct: distinct class vectors; None where the cell is not certified.
        excess: see :class:`geometry.phase.StepOptimum`.
        collapsed: the minorities' vectors coincide: decided by the sign of ``excess``, an exact condition on forces,
            never by a cosine close to 1. None where the cell is not certified.
        relative_gap: rigorous bound on (F(G) - F*) / F*.
        certified: ``relative_gap`` is within the tolerance.
        reason: why the cell is not certified; empty where it is.
    """

    ratio: float
    tau: float
    negatives: int | None
    majority: int
    minority: int
    minority_cosine: float
    majority_cosine: float
    cross_cosine: float
    rank: int | None
    distinct: int | None
    excess: float
    collapsed: bool | None
    relative_gap: float
    certified: bool
    reason: str


def phase_cell(
    ratio: float,
    majority: int,
    minority: int,
    *,
    loss: str = "infonce",
    tau: float = 1.0,
    q: float | str = 1.0,
    negatives: int | None = None,
    collisions: bool = False,
    tolerance: float = TOLERANCE,
) -> PhaseCell:
    """Solve one cell through the two groups' force equations and certify it against the whole program.

    Args:
        ratio: R >= 1; infinity is the limit.
        majority: C1 >= 1.
        minority: C2 >= 2.
        loss: as for :func:`geometry.thresholds.threshold`.
        tau: temperature.
        q: weight of the negatives in infonce, or ``"plain"``.
        negatives: k; None is the limit of many.
        collisions: negatives may be of the anchor's own class.
        tolerance: relative gap at which the cell is certified.

    Raises:
        UsageError: see :func:`geometry.phase.two_groups`.

    >>> cell = phase_cell(10, 1, 9)
    >>> cell.collapsed, cell.rank, round(cell.minority_cosine, 6)
    (False, 9, 0.358173)
    >>> phase_cell(25, 1, 9).minority_cosine
    1.0
    """
    groups = two_groups(ratio, majority, minority, loss=loss, tau=tau, q=q, negatives=negatives, collisions=collisions)
    where = (float(ratio), float(tau), negatives, majority, minority)
    try:
        found = groups.solve()
    except NotUniqueError as error:
        return PhaseCell(*where, NAN, NAN, NAN, None, None, NAN, None, NAN, False, f"not unique: {error}")
    x, y = found.majority_length, found.minority_length
    certificate = certify(groups.program, groups.gram(x, y))
    gap = certificate.relative_gap
    if not certificate.certifies(tolerance):
        reason = f"the relative gap is above {tolerance:.0e}"
        return PhaseCell(*where, NAN, NAN, NAN, None, None, NAN, None, gap, False, reason)
    alpha, beta, gamma = groups.cosines(x, y)
    below = 1.0 if found.collapsed or np.isinf(ratio) else float(np.nextafter(1.0, 0.0))
    apart = (1 if x == 1.0 else majority), (1 if found.collapsed else minority)
    return PhaseCell(
        *where,
        minority_cosine=min(beta, below),
        majority_cosine=alpha if majority > 1 else NAN,
        cross_cosine=gamma,
        rank=sum(apart) - 1,
        distinct=sum(apart),
        excess=found.excess,
        collapsed=found.collapsed,
        relative_gap=gap,
        certified=True,
        reason="",
    )
