r"""Uncollapsed optima by force factorisation: C (or 2C) scalar equations in place of the semidefinite program (ours).

If psi is strictly increasing and rank G* = C - 1, the dual slack has rank one, so pair forces factorise and the class
vectors balance: ``Gamma_ij = g_i g_j`` (i != j) and ``sum_j G_ij g_j = 0`` with ``g_i = sqrt(lambda_i)``. Conversely
any g > 0 and feasible G with these equations are globally optimal. With ``p_i w_ij`` the weight of a pair,

    kappa'(t_ij) = tau g_i g_j / W_ij ,  W_ij = (Q/2) (p_i w_ij / D_i + p_j w_ji / D_j) ,  G_ij = 1 + tau t_ij

where D_i = 1 for separable losses, and ``D_i = a + Q sum_j w_ij e^{t_ij}`` are C more unknowns for the log losses.
Newton's method follows the proportions ``p(s) ~ p^s`` from s = 0, where G is the simplex ETF, to s = 1. Where the
second smallest eigenvalue of G reaches zero on the way, classes collapse and the factorisation ends. Classes of equal
proportion share their unknowns.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.errors import TailgeomError, UsageError
from geometry.optimum.groups import GroupProgram
from geometry.optimum.loss_family import LogLoss
from geometry.optimum.mean_loss import MeanLoss

Array = NDArray[np.float64]

FLAT = 1e-11  # second smallest eigenvalue of G, relative to the largest, that counts as zero
LEAST_STEP = 1e-3
LEAST_FLAT_STEP = 0.05  # a path whose G(s) is indefinite after a longer step is tried again with a shorter one
CONVERGED = 1e-12  # relative change of the unknowns
ROUGH = 1e-3  # the same on the way, where only the next start is at stake; Newton's error is then its square


class CollapseError(TailgeomError):
    """Forces do not factorise: the optimal class vectors are of lower rank (exit code 1)."""


@dataclass(frozen=True, eq=False)
class ForceAnswer:
    """An uncollapsed stationary point, to be certified.

    Attributes:
        gram: ``(C, C)`` G, positive semidefinite of rank C - 1 up to rounding.
        forces: ``(C,)`` g, in no particular unit.
        steps: Newton steps.
    """

    gram: Array
    forces: Array
    steps: int


def solve_forces(program: GroupProgram, *, max_steps: int = 200) -> ForceAnswer:
    """Follow the force factorisation from equal proportions to those of the program.

    Raises:
        UsageError: the loss has no such equations (finite k of a log loss, linear, hinge).
        CollapseError: the class vectors lose a dimension on the way, or Newton's method does not get through.
    """
    loss = program.full.loss
    if not isinstance(loss, MeanLoss) or not (loss.separable or (isinstance(loss, LogLoss) and loss.negatives is None)):
        raise UsageError(
            f"Forces factorise in closed form for separable losses and the limit of many negatives, not for {loss!r}; "
            "take the method reduced or burer-monteiro."
        )
    loss.inverse_slope(np.ones(1))  # refuses a loss that has none
    logs = np.log(program.shares / program.sizes)
    done, step, steps = 0.0, 0.25, 0
    unknowns = _equations(program, loss, 0.0 * logs).start()
    if not np.isfinite(unknowns).all():
        raise CollapseError("At the simplex ETF no forces act on the class vectors, so they do not factorise.")
    slope = np.zeros_like(unknowns)
    while done < 1.0:
        if steps >= max_steps or step < LEAST_STEP:
            raise CollapseError(f"Newton's method on the force factorisation stops at proportions p^s, s = {done:.3f}.")
        target = min(1.0, done + step)
        equations = _equations(program, loss, target * logs)
        found, used = _newton(equations, unknowns + (target - done) * slope, CONVERGED if target == 1.0 else ROUGH)
        steps += used
        if found is None:
            step = (target - done) / 2.0
            continue
        if _is_flat(program, equations.cosines(found), FLAT if target == 1.0 else -(ROUGH**2)):
            if target - done <= LEAST_FLAT_STEP:
                raise CollapseError(
                    f"The class vectors lose a dimension at about proportions p^{target:.2f}, so forces do not "
                    "factorise; take the method reduced or burer-monteiro."
                )
            step = (target - done) / 2.0
            continue
        slope = (found - unknowns) / (target - done)
        unknowns, done, step = found, target, step * (2.0 if used <= 5 else 1.0)
    means = _means(program, equations.cosines(unknowns))
    g = np.exp(unknowns[: program.num_groups])
    return ForceAnswer(program.gram(means), g[program.members], steps)


def _newton(equations: "_Equations", unknowns: Array, tolerance: float, most: int = 12) -> tuple[Array | None, int]:
    """Newton's method from near the solution; None where it does not contract."""
    size = np.inf
    with np.errstate(all="ignore"):
        for used in range(1, most + 1):
            try:
                move = equations.newton_step(unknowns)
            except np.linalg.LinAlgError:
                return None, used
            change = float(np.abs(move).max())
            # Below 1e-8 quadratic convergence has reached rounding error, whatever its size.
            if size < 1e-8 and change > size / 4.0:
                return unknowns, used
            if not np.isfinite(change) or change > 2.0 * size or change > 20.0:
                return None, used
            unknowns, size = unknowns + move, change
            if change < tolerance:
                return unknowns, used
    return None, most


def _means(program: GroupProgram, cosines: Array) -> Array:
    """``(m, m)`` Gram matrix of the group means."""
    means = cosines.copy()
    np.fill_diagonal(means, (1.0 + (program.sizes - 1.0) * np.diag(cosines)) / program.sizes)
    means[np.diag_indices_from(means)] = np.where(program.sizes > 1, np.diag(means), 1.0)
    return means


def _is_flat(program: GroupProgram, cosines: Array, tolerance: float) -> bool:
    """Whether G has a second eigenvalue (besides that of the balance) at most ``tolerance``, relative to its size."""
    roots = np.sqrt(program.sizes)
    values = np.linalg.eigvalsh(_means(program, cosines) * np.outer(roots, roots))
    inside = (1.0 - np.diag(cosines))[program.sizes > 1]
    second = min(float(values[1]) if len(values) > 1 else np.inf, float(inside.min(initial=np.inf)))
    return second <= tolerance * float(values[-1])


def _equations(program: GroupProgram, loss: MeanLoss, logs: Array) -> "_Equations":
    weights = np.exp(logs - logs.max())
    return _Equations(loss, program.tau, program.sizes, weights / (program.sizes @ weights), program.full.collisions)


@dataclass(frozen=True, eq=False)
class _Equations:
    """The equations at one set of class proportions ``(m,)``; unknowns log g and, for log losses, log D."""

    loss: MeanLoss
    tau: float
    sizes: Array
    proportions: Array
    collisions: bool

    def start(self) -> Array:
        """The unknowns at equal proportions, where every cosine is that of the simplex ETF."""
        size = self.sizes.sum()
        t = np.full((len(self.sizes),) * 2, -size / ((size - 1.0) * self.tau))
        totals = self._totals(t)
        with np.errstate(divide="ignore"):
            log_g = np.log(np.diag(self._pair_weights(totals)[0] * self.loss.inner(t)[1]) / self.tau) / 2.0
        return np.concatenate([log_g, np.log(totals)]) if isinstance(self.loss, LogLoss) else log_g

    def cosines(self, unknowns: Array) -> Array:
        """``(m, m)`` cosine of two different classes of each pair of groups."""
        return 1.0 + self.tau * self._exponents(unknowns)[0]

    def newton_step(self, unknowns: Array) -> Array:
        """The solution of the equations linearised at ``unknowns``; row i of the balance is divided by g_i."""
        size = len(self.sizes)
        t, elasticity, share = self._exponents(unknowns)
        g = np.exp(unknowns[:size] - unknowns[:size].max())
        pull = self._others * g / g[:, None]
        stiff = self.tau * pull * elasticity
        pull = pull * (1.0 + self.tau * t)
        balance = 1.0 + pull.sum(axis=1)
        by_g = pull + stiff + np.diag(1.0 + stiff.sum(axis=1))
        if not isinstance(self.loss, LogLoss):
            return np.asarray(np.linalg.solve(by_g, -balance), dtype=np.float64)
        by_total = stiff * share.T + np.diag((stiff * share).sum(axis=1))
        totals = np.exp(unknowns[size:])
        parts = self.loss.weight * self._others * self._masses * np.exp(t) / totals[:, None]
        closed_by_g = parts + np.diag(parts.sum(axis=1))
        closed_by_total = parts * share.T + np.diag((parts * share).sum(axis=1) - 1.0)
        matrix = np.block([[by_g, by_total], [closed_by_g, closed_by_total]])
        errors = np.concatenate([balance, self._totals(t) / totals - 1.0])
        return np.asarray(np.linalg.solve(matrix, -errors), dtype=np.float64)

    def _exponents(self, unknowns: Array) -> tuple[Array, Array, Array]:
        """t, kappa'/kappa'' there, and the share of the first anchor in each pair's weight."""
        size = len(self.sizes)
        totals = np.exp(unknowns[size:]) if isinstance(self.loss, LogLoss) else np.ones(size)
        weights, own = self._pair_weights(totals)
        g = np.exp(unknowns[:size])
        t, elasticity = self.loss.inverse_slope(self.tau * np.outer(g, g) / weights)
        return t, elasticity, own / weights

    def _pair_weights(self, totals: Array) -> tuple[Array, Array]:
        """``(m, m)`` W, and its part from the first class as anchor."""
        q = self.loss.weight if isinstance(self.loss, LogLoss) else 1.0
        own = 0.5 * q * (self.proportions / totals)[:, None] * self._masses
        return own + own.T, own

    def _totals(self, t: Array) -> Array:
        """``(m,)`` D; one for separable losses."""
        if not isinstance(self.loss, LogLoss):
            return np.ones(len(t))
        inside = (self._others * self._masses * np.exp(t)).sum(axis=1)
        inside = inside + (self.proportions if self.collisions else 0.0)
        return np.asarray(self.loss.anchor + self.loss.weight * inside, dtype=np.float64)

    @property
    def _others(self) -> Array:
        """``(m, m)`` classes of each group other than the anchor's own class."""
        return np.asarray(np.tile(self.sizes, (len(self.sizes), 1)) - np.eye(len(self.sizes)), dtype=np.float64)

    @property
    def _masses(self) -> Array:
        """``(m, m)`` probability of each single class as a negative."""
        masses = np.tile(self.proportions, (len(self.sizes), 1))
        if self.collisions:
            return masses
        return np.asarray(masses / (self._others * self.proportions).sum(axis=1, keepdims=True), dtype=np.float64)
