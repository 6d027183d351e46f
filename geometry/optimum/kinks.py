"""Forces of a piecewise linear loss, which at its kinks are any of a set, chosen to prove the most (ours).

By :class:`~geometry.optimum.mean_loss.TailMeans`, ``E psi_y(t') >= sum_c p_yc (margin + t'_c)`` for every p that is a
sum over the tails i of ``0 <= q_ic <= weight_i w_c`` with ``sum_c q_ic <= weight_i level_i``. Such p give forces with
``F(G') >= F(G) + <Gamma, G' - G> - excess``, where ``excess = F(G) - sum_y pi_y p_y . (margin + t_y)`` is zero for
subgradients. Away from kinks q is settled: full above the end of the tail, zero below. At the optimum some t sit on a
kink; the q there that prove the most solve the dual semidefinite program.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.optimum.program import Program

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

NEAR = 1e-5  # distance to a kink in units of G within which a pair may have any force
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class _Choice:
    """What is settled of p, and what is free.

    Attributes:
        settled: ``(C, C)`` the part of p that is.
        settled_value: ``(C, C)`` the same, each part times its margin + t.
        place: ``(M,)`` flat index of the entry of p that each free q is a part of.
        cap: ``(M,)`` largest q.
        height: ``(M,)`` its margin + t.
        tail: ``(M,)`` which tail it is part of.
        room: ``(T,)`` largest sum of the free q of each tail.
    """

    settled: Array
    settled_value: Array
    place: Indices
    cap: Array
    height: Array
    tail: Indices
    room: Array


def kinked_forces(program: Program, gram: Array) -> tuple[Array, Array, float]:
    """Forces ``(C, C)`` and multipliers ``(C,)`` for the certificate at G, and what the bound loses at G itself."""
    choice = _choice(program, gram)
    size = program.num_classes
    slopes, heights, multipliers = choice.settled, choice.settled_value, np.zeros(size)
    if len(choice.place):
        unit = program.unit_at(gram) or 1.0
        chosen, multipliers = _dual(program, gram, choice, unit)
        chosen = np.clip(chosen, 0.0, choice.cap)
        sums = np.bincount(choice.tail, weights=chosen, minlength=len(choice.room))
        chosen = chosen * np.minimum(1.0, choice.room / np.maximum(sums, np.finfo(np.float64).tiny))[choice.tail]
        slopes = slopes + _placed(choice, chosen, size)
        heights = heights + _placed(choice, chosen * choice.height, size)
    forces = _forces(program, slopes)
    if not len(choice.place):
        multipliers = -np.einsum("ij,ij->i", forces, gram)
    proved = float(program.proportions @ heights.sum(axis=1))
    noise = EPS * size * float(program.proportions @ np.abs(heights).sum(axis=1))
    return forces, multipliers, max(0.0, program.value(gram) - proved) + noise


def _choice(program: Program, gram: Array) -> _Choice:
    exponents, near = program.exponents(gram), NEAR / program.tau
    settled, value = np.zeros_like(gram), np.zeros_like(gram)
    place, cap, height, tail, room = [], [], [], [], []
    tails = 0
    for y, (t, masses) in enumerate(zip(exponents, program.masses, strict=True)):
        parts = program.loss.tail_means(t, masses)
        heights = parts.margins[:, None] + t
        caps = parts.weights[:, None] * np.minimum(masses, parts.levels[:, None])
        totals = parts.weights * parts.levels
        order = np.argsort(-t, kind="stable")
        filled = caps[:, order].cumsum(axis=1) >= totals[:, None] * (1.0 - 1e-12)
        last = order[np.where(filled.any(axis=1), filled.argmax(axis=1), len(t) - 1)]
        # A tail ends where it is full, but not below the kink of the hinge; a tail never full ends there.
        ends = np.where(filled.any(axis=1), np.maximum(0.0, heights[np.arange(len(last)), last]), 0.0)
        free = (np.abs(heights - ends[:, None]) < near) & (caps > 0.0)
        full = np.where(heights >= ends[:, None] + near, caps, 0.0)
        left = np.maximum(0.0, totals - full.sum(axis=1))
        settled[y] = full.sum(axis=0)
        value[y] = (full * heights).sum(axis=0)
        which, c = np.nonzero(free)
        place.append(y * len(t) + c)
        cap.append(np.minimum(caps[which, c], left[which]))
        height.append(heights[which, c])
        tail.append(tails + which)
        room.append(left)
        tails += len(totals)
    joined = [np.concatenate(parts) for parts in (place, cap, height, tail, room)]
    return _Choice(settled, value, *joined)


def _placed(choice: _Choice, parts: Array, size: int) -> Array:
    placed = np.bincount(choice.place, weights=parts, minlength=size * size).reshape(size, size)
    return np.asarray(placed, dtype=np.float64)


def _forces(program: Program, slopes: Array) -> Array:
    pulls = program.proportions[:, None] * slopes / program.tau
    np.fill_diagonal(pulls, 0.0)  # a collision contributes a constant
    return np.asarray((pulls + pulls.T) / 2.0, dtype=np.float64)


def _dual(program: Program, gram: Array, choice: _Choice, unit: float) -> tuple[Array, Array]:
    """The free q, and the multipliers, by which the dual program proves the most."""
    import cvxpy
    from scipy.sparse import csr_array

    size, count = program.num_classes, len(choice.place)
    chosen, multipliers = cvxpy.Variable(count), cvxpy.Variable(size)  # in units of cap, and of the loss
    first, second = np.divmod(choice.place, size)
    push = np.where(first == second, 0.0, program.proportions[first] * choice.cap / (2.0 * program.tau * unit))
    entries = np.arange(count)
    spread = csr_array((push, (first * size + second, entries)), shape=(size * size, count))
    spread = spread + csr_array((push, (second * size + first, entries)), shape=spread.shape)
    settled = _forces(program, choice.settled) / unit
    forces = settled + cvxpy.reshape(spread @ chosen, (size, size), order="C")
    # F(G') >= sum_y pi_y p_y . (margin + t_y) + <Gamma, G' - G>, and <Gamma, G'> >= -sum(lambda) where the slack
    # is PSD; p . (margin + t) - <Gamma, G> is p . (margin - 1/tau), collisions aside.
    value = program.proportions[first] * choice.cap * choice.height / unit
    value = value - 2.0 * push * gram.ravel()[choice.place]
    tails = csr_array((choice.cap, (choice.tail, entries)), shape=(len(choice.room), count))
    used = np.unique(choice.tail)
    scale = np.maximum(choice.room[used], np.finfo(np.float64).tiny)
    limits = [
        forces + cvxpy.diag(multipliers) >> 0,
        chosen >= 0.0,
        chosen <= 1.0,
        csr_array(tails[used] / scale[:, None]) @ chosen <= 1.0,
    ]
    problem = cvxpy.Problem(cvxpy.Maximize(value @ chosen - cvxpy.sum(multipliers)), limits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # whatever it finds is a bound, and only its size matters
        try:
            problem.solve(solver=cvxpy.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
        except cvxpy.error.SolverError:
            return choice.cap, np.zeros(size)
    if chosen.value is None or multipliers.value is None:
        return choice.cap, np.zeros(size)
    return np.asarray(chosen.value, dtype=np.float64) * choice.cap, np.asarray(multipliers.value) * unit
