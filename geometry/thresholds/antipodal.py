"""One majority class and minorities of any frequencies: when all minorities opposite to it are optimal (ours)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import UsageError
from geometry.optimum.hardest_negative import HardestNegative
from geometry.optimum.loss_family import named_loss
from geometry.optimum.mean_loss import Loss
from geometry.optimum.program import Program
from geometry.optimum.proportions import class_proportions


@dataclass(frozen=True, eq=False)
class AntipodalCollapse:
    """Whether the most frequent class opposite to all others, at one vector, is an optimal geometry.

    Attributes:
        optimal: it is.
        slack: least eigenvalue of ``diag(Gamma_0i) - L`` over its largest in modulus; not negative when optimal.
        majority_class: position of the most frequent class, 0 in the formula.
        pair_forces: ``(C, C)`` forces Gamma at that geometry, over the largest.
    """

    optimal: bool
    slack: float
    majority_class: int
    pair_forces: NDArray[np.float64]


def antipodal_collapse(
    proportions: ArrayLike,
    *,
    loss: str | Loss = "infonce",
    tau: float = 1.0,
    q: float | str = 1.0,
    negatives: int | None = None,
    collisions: bool = False,
    margin: float = 1.0,
) -> AntipodalCollapse:
    """Whether all minorities collapse onto the vector opposite to the most frequent class.

    That geometry is optimal exactly when ``diag(Gamma_0i) - L`` is positive semidefinite, L the Laplacian of the forces
    Gamma_ij among the minorities: the pull of the majority class holds each of them against the others' repulsion.

    Args:
        proportions: ``(C,)`` positive class counts or proportions, C >= 3, in any order.
        loss: as for :func:`geometry.optimum.solve`, except ``hardest`` with two or more negatives.
        tau: temperature.
        q: weight of the negatives in infonce, or ``"plain"``.
        negatives: k; None is the limit of many.
        collisions: negatives may be of the anchor's own class.
        margin: of the hinge.

    Raises:
        UsageError: fewer than three classes, no single most frequent class, or a bad setting of the loss.

    >>> antipodal_collapse([90, 10, 3]).optimal, antipodal_collapse([30, 10, 3]).optimal
    (True, False)
    """
    shares = class_proportions(proportions)
    psi = named_loss(loss, q=q, negatives=negatives, margin=margin) if isinstance(loss, str) else loss
    if isinstance(psi, HardestNegative) and psi.negatives != 1:
        raise UsageError(
            "Among minorities at one vector each can be the hardest negative, so that the forces of the loss 'hardest' "
            "are not determined; take threshold for equal minorities, or optimum."
        )
    top = int(shares.argmax())
    if len(shares) < 3 or (shares == shares[top]).sum() > 1:
        raise UsageError("Expected one most frequent class and at least two others.")
    program = Program(shares, psi, tau, collisions or loss == "supcon")
    side = np.ones(len(shares))
    side[top] = -1.0
    forces = program.forces(np.outer(side, side))
    forces /= forces.max() or 1.0
    rest = np.delete(np.arange(len(shares)), top)
    among = forces[np.ix_(rest, rest)]
    slack = np.diag(forces[top, rest] - among.sum(axis=1)) + among
    values = np.linalg.eigvalsh(slack)
    relative = float(values[0] / (np.abs(values).max() or 1.0))
    return AntipodalCollapse(relative >= 0.0, relative, top, forces)
