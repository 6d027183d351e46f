r"""Uncollapsed optima by force factorisation: C (or 2C) scalar equations in place of the semidefinite program (ours).

If psi is strictly increasing and rank G* = C - 1, the dual slack has rank one, so pair forces factorise and the class
vectors balance: ``Gamma_ij = g_i g_j`` (i != j) and ``sum_j G_ij g_j = 0`` with ``g_i = sqrt(lambda_i)``. Conversely
any g > 0 and feasible G with these equations are globally optimal. With ``p_i w_ij`` the weight of a pair,

    kappa'(t_ij) = tau g_i g_j / W_ij ,  W_ij = (Q/2) (p_i w_ij / D_i + p_j w_ji / D_j) ,  G_ij = 1 + tau t_ij

where D_i = 1 for separable losses, and ``D_i = a + Q sum_j w_ij e^{t_ij}`` are C more unknowns for the log losses.
Newton's method follows the proportions ``p(s) ~ p^s`` from s = 0, where G is the simplex ETF, to s = 1. Classes of
equal proportion share their unknowns. Every quantity is a product, so rare classes keep their digits at any ratio.

* Where the cosine within a group of equal proportion reaches 1 the group becomes one vector, whose g is the sum of its
  members'; the equations then go on for the vectors that are left. Collapse stays optimal while the members are
  pressed together at least as hard as they repel, ``g^2 >= n^2 Gamma`` for n members and the force Gamma on two.
* Where the second smallest eigenvalue of G reaches zero otherwise, the factorisation ends.
* For k negatives of a log loss, W is the one of the limit of many times a factor, corrected until the forces are exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.errors import TailgeomError, UsageError
from geometry.optimum.force_equations import ForceEquations
from geometry.optimum.groups import GroupProgram
from geometry.optimum.loss_family import LogLoss
from geometry.optimum.mean_loss import MeanLoss
from geometry.optimum.program import Program

Array = NDArray[np.float64]

TOUCHING = 1e-14  # 1 minus the cosine within a group that counts as zero
STRICT = 1e-8  # relative excess of the pressure on collapsed classes over their repulsion below which it may be none
CORRECTIONS = 100  # of the forces of k negatives, at the end of the path
RATE = 0.8  # a correction shrinks the next one by at least this, or the limit of many negatives is no guide
NOISE = 1e-11  # relative size of a correction that rounding makes
FLAT = 1e-11  # second smallest eigenvalue of G, relative to the largest, that counts as zero
LEAST_STEP = 1e-3
LEAST_FLAT_STEP = 0.05  # a path whose G(s) is indefinite after a longer step is tried again with a shorter one
CONVERGED = 1e-12  # relative change of the unknowns
ROUGH = 1e-3  # the same on the way, where only the next start is at stake; Newton's error is then its square


class CollapseError(TailgeomError):
    """Forces do not factorise: the optimal class vectors are of lower rank (exit code 1)."""


@dataclass(frozen=True, eq=False)
class ForceAnswer:
    """A stationary point whose forces factorise, to be certified.

    Attributes:
        gram: ``(C, C)`` G, positive semidefinite up to rounding.
        forces: ``(C,)`` g, in no particular unit; a collapsed group's is shared equally among its members.
        steps: Newton steps.
        distinct: number of distinct class vectors, known from the equations and not from rounded cosines; G has one
            rank less.
        unresolved: ``(C,)`` classes whose cosine with their like is 1 to double precision, though nothing presses them
            together for good: they may be apart by less than can be told.
        angle_error: the last relative change of the unknowns, times 2 tau: about the error of the cosines.
    """

    gram: Array
    forces: Array
    steps: int
    distinct: int
    unresolved: NDArray[np.bool_]
    angle_error: float


def solve_forces(program: GroupProgram, *, max_steps: int = 400) -> ForceAnswer:
    """Follow the force factorisation from equal proportions to those of the program.

    Raises:
        UsageError: the loss has no such equations (linear, hinge, one of your own without ``inverse_slope``).
        CollapseError: the class vectors lose a dimension on the way in which no group of equal classes collapses, or
            Newton's method does not get through.
    """
    loss = program.full.loss
    if not isinstance(loss, MeanLoss) or not (loss.separable or isinstance(loss, LogLoss)):
        raise UsageError(
            f"Forces factorise in closed form for separable and log losses, not for {loss!r}; take the method reduced "
            "or burer-monteiro."
        )
    loss.inverse_slope(np.ones(1))  # refuses a loss that has none
    path = _Path(program, loss)
    while path.done < 1.0:
        path.advance(max_steps)
    return path.answer()


class _Path:
    """Where on the path of proportions p^s the unknowns are known, and how they got there."""

    def __init__(self, program: GroupProgram, loss: MeanLoss) -> None:
        self.program, self.loss = program, loss
        self.logs = np.log(program.shares / program.sizes)
        self.merged = np.zeros(program.num_groups, dtype=np.bool_)
        self.factors = np.zeros((program.num_groups, program.num_groups))
        self.done, self.step, self.steps, self.change = 0.0, 0.25, 0, np.inf
        self.equations = self._at(0.0)
        self.unknowns = self.equations.start()
        if not np.isfinite(self.unknowns).all():
            raise CollapseError("At the simplex ETF no forces act on the class vectors, so they do not factorise.")
        self.slope = np.zeros_like(self.unknowns)
        self.exact = loss.separable or loss.negatives is None
        if not self.exact:
            self._correct(self.equations, self.unknowns)

    def advance(self, max_steps: int) -> None:
        """One step ahead, one collapse, or a shorter step to try."""
        if self.steps >= max_steps or self.step < LEAST_STEP:
            raise CollapseError(f"Newton's method on the force factorisation stops at p^s, s = {self.done:.3f}.")
        target = min(1.0, self.done + self.step)
        last = target == 1.0
        ahead = self.unknowns + (target - self.done) * self.slope
        before = self.factors
        equations, found, used = self._solve(target, ahead, last=last)
        self.steps += used
        if found is None:
            self.factors, self.step = before, (target - self.done) / 2.0
            return
        cosines = equations.cosines(found)
        tight = (1.0 - np.diag(cosines) <= (TOUCHING if last else 0.0)) & (self.program.sizes > 1) & ~self.merged
        if tight.any() or _is_flat(equations.vectors, cosines, FLAT if last else -(ROUGH**2)):
            self.factors = before
            if target - self.done > LEAST_FLAT_STEP:
                self.step = (target - self.done) / 2.0
            elif tight.any():
                self._merge(tight)
            else:
                raise CollapseError(
                    f"The class vectors lose a dimension at about proportions p^{target:.2f}, so forces do not "
                    "factorise; take the method reduced or burer-monteiro."
                )
            return
        self.slope = (found - self.unknowns) / (target - self.done)
        self.unknowns, self.done, self.equations = found, target, equations
        self.step *= 2.0 if used <= 5 else 1.0

    def answer(self) -> ForceAnswer:
        """The answer at the end of the path.

        Raises:
            CollapseError: a group that collapsed on the way would come apart again.
        """
        program, equations = self.program, self.equations
        g = np.exp(self.unknowns[: program.num_groups])
        pressure = equations.pressure(self.unknowns)
        if (pressure[self.merged] < -STRICT).any():
            raise CollapseError("Classes that collapse along the path of proportions do not stay collapsed.")
        doubtful = self.merged & (np.abs(pressure) <= STRICT)
        return ForceAnswer(
            gram=program.gram(self._means(equations.cosines(self.unknowns))),
            forces=(g / np.where(self.merged, program.sizes, 1.0))[program.members],
            steps=self.steps,
            distinct=int(equations.vectors.sum()),
            unresolved=doubtful[program.members],
            angle_error=2.0 * program.tau * self.change,
        )

    def _solve(self, target: float, ahead: Array, *, last: bool) -> tuple[ForceEquations, Array | None, int]:
        """Newton's method at p^target; for k negatives again after each correction of the forces."""
        equations = self._at(target)
        tolerance = CONVERGED if last else ROUGH
        found, used, self.change = _newton(equations, ahead, tolerance)
        if self.exact or found is None:
            return equations, found, used
        size = np.inf
        for _ in range(CORRECTIONS if last else 2):
            correction = self._correct(equations, found)
            if not correction < (RATE if last else 2.0) * size and correction > NOISE:
                return equations, None, used
            equations, size = self._at(target), correction
            found, more, self.change = _newton(equations, found, tolerance)
            used += more
            if found is None or correction < NOISE:
                break
        self.change = max(self.change, size * RATE / (1.0 - RATE))
        return equations, found if found is None or not last or size < NOISE else None, used

    def _correct(self, equations: ForceEquations, unknowns: Array) -> float:
        """Set the factors so that the forces at these cosines are those of k negatives; their largest change."""
        program, cosines = self.program, equations.cosines(unknowns)
        each = equations.proportions[program.members]
        full = Program(each / each.sum(), self.loss, program.tau, program.full.collisions)
        multiples = np.where(self.merged, 1.0, 1.0 / program.sizes)
        # Between group means; the same per pair of vectors, of which a collapsed group is one.
        exact = GroupProgram(full, program.members).forces(self._means(cosines)) * np.outer(multiples, multiples)
        with np.errstate(all="ignore"):
            change = np.log(exact) - np.log(equations.forces(unknowns))
        change[np.diag_indices_from(change)] = np.where(program.sizes == 1, 0.0, np.diag(change))
        self.factors = self.factors + change
        return float(np.abs(change).max())

    def _merge(self, tight: NDArray[np.bool_]) -> None:
        """The groups become one vector each, with the force of all their members."""
        groups = self.program.num_groups
        self.unknowns = self.unknowns.copy()
        self.unknowns[:groups] += np.where(tight, np.log(self.program.sizes), 0.0)
        self.merged = self.merged | tight
        self.slope = np.zeros_like(self.unknowns)
        self.factors = np.where(np.diag(tight), 0.0, self.factors)
        self.equations = self._at(self.done)

    def _at(self, done: float) -> ForceEquations:
        weights = np.exp(done * self.logs - (done * self.logs).max())
        program = self.program
        proportions = weights / (program.sizes @ weights)
        return ForceEquations(
            self.loss, program.tau, program.sizes, proportions, program.full.collisions, self.merged, self.factors
        )

    def _means(self, cosines: Array) -> Array:
        """``(m, m)`` Gram matrix of the group means, of length 1 where a group is one vector."""
        return _means(np.where(self.merged, 1.0, self.program.sizes), cosines)


def _newton(
    equations: ForceEquations, unknowns: Array, tolerance: float, most: int = 12
) -> tuple[Array | None, int, float]:
    """Newton's method from near the solution, its steps and last change; None where it does not contract."""
    size = np.inf
    with np.errstate(all="ignore"):
        for used in range(1, most + 1):
            try:
                move = equations.newton_step(unknowns)
            except np.linalg.LinAlgError:
                return None, used, np.inf
            change = float(np.abs(move).max())
            # Below 1e-8 quadratic convergence has reached rounding error, whatever its size.
            if size < 1e-8 and change > size / 4.0:
                return unknowns, used, change
            if not np.isfinite(change) or change > 2.0 * size or change > 20.0:
                return None, used, np.inf
            unknowns, size = unknowns + move, change
            if change < tolerance:
                return unknowns, used, change
    return None, most, np.inf


def _means(vectors: Array, cosines: Array) -> Array:
    """``(m, m)`` Gram matrix of the means of m groups of so many vectors."""
    means = cosines.copy()
    own = np.where(vectors > 1, (1.0 + (vectors - 1.0) * np.diag(cosines)) / vectors, 1.0)
    np.fill_diagonal(means, own)
    return means


def _is_flat(vectors: Array, cosines: Array, tolerance: float) -> bool:
    """Whether the means have a second eigenvalue (besides that of the balance) at most ``tolerance``, relatively."""
    roots = np.sqrt(vectors)
    values = np.linalg.eigvalsh(_means(vectors, cosines) * np.outer(roots, roots))
    return len(values) > 1 and float(values[1]) <= tolerance * float(values[-1])
