"""What a Gram matrix tells: its rank, its distinct vectors, and which of its angles are known at all."""

import numpy as np
from numpy.typing import NDArray

from geometry.optimum.certificate import dual_slack
from geometry.optimum.program import Program

Array = NDArray[np.float64]

RANK_TOLERANCE = 1e-6
ROUNDING = 4.0 * float(np.finfo(np.float64).eps)


def angle_errors(program: Program, gram: Array) -> Array:
    """``(C,)`` estimated error of the cosines of each class, from how far S G is from zero (ours; not rigorous).

    In units in which the multipliers lambda_i are all 1 a class is stationary up to
    ``max_k |(S G)_ik| / max(lambda_i, sqrt(lambda_i lambda_k))``, however rare it is; a class without any force, which
    may be anywhere, and two that coincide though nothing presses them together, have error 1. What the rounding of G
    does to the forces on a class, against lambda_i, is added.
    """
    unit = program.unit_at(gram) or 1.0
    forces = program.forces(gram) / unit
    slack, multipliers = dual_slack(forces, gram)
    pressed = np.maximum(multipliers, 0.0)
    scale = np.maximum(pressed[:, None], np.sqrt(np.outer(pressed, pressed)))
    off = np.abs(slack @ gram)
    tiny = np.finfo(np.float64).tiny
    blurred = np.abs(program.force_changes(gram, np.full_like(gram, ROUNDING))).sum(axis=1) / unit
    noise = np.divide(blurred, pressed, out=np.ones_like(pressed), where=pressed > tiny)
    errors = noise + np.divide(off, scale, out=np.ones_like(off), where=scale > tiny).max(axis=1)
    together = np.triu(gram > 1.0 - RANK_TOLERANCE, 1)
    loose = (pressed[:, None] + pressed - 2.0 * forces) <= RANK_TOLERANCE * (pressed[:, None] + pressed)
    doubtful = (together & loose) | (together & loose).T
    return np.where(doubtful.any(axis=1), 1.0, np.minimum(errors, 1.0))


def matrix_rank(gram: Array) -> int:
    """Eigenvalues of a Gram matrix of unit vectors above 1e-6."""
    return int((np.linalg.eigvalsh(gram) > RANK_TOLERANCE).sum())


def distinct_vectors(gram: Array) -> int:
    """Unit vectors whose cosine with every earlier one is at most 1 - 1e-6."""
    return int((~np.tril(gram > 1.0 - RANK_TOLERANCE, -1).any(axis=1)).sum())
