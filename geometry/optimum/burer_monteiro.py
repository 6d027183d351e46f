"""The program on the factor G = V V^T (Burer and Monteiro 2003), by Riemannian trust-region Newton-CG."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geometry.optimum.certificate import EPS, dual_slack
from geometry.optimum.groups import GroupProgram
from geometry.optimum.program import Program, unit_factor, unit_gram, unit_rows

Array = NDArray[np.float64]

NOISE = 1e-12  # relative decrease of F that its rounding error drowns
PATIENCE = 8  # last Newton steps without a smaller gradient


@dataclass(frozen=True, eq=False)
class FactorAnswer:
    """A Gram matrix at which the factor problem is stationary to rounding error, unless steps ran out.

    Attributes:
        gram: ``(C, C)`` exactly feasible.
        steps: Newton steps that were tried.
        residual: relative size of the Riemannian gradient 2 S V, each row against the forces on its class.
    """

    gram: Array
    steps: int
    residual: float


class FactorPoint:
    """The factor problem at V ``(C, d)``: value, gradient and Hessian products, in units of F.

    A column beyond the C-th is private: each row has one entry of its own there, that meets no other row and serves
    only to make the row of length one, so that what is shared may be shorter.
    """

    def __init__(self, program: Program | GroupProgram, factor: Array) -> None:
        self.program, self.factor = program, factor
        shared = factor[:, : len(factor)]
        self.gram = unit_gram(factor) if factor.shape == shared.shape else shared @ shared.T
        self.value = program.value(self.gram) / program.unit
        forces = program.forces(self.gram) / program.unit
        self.slack, self.multipliers = dual_slack(forces, self.gram)
        self.scale = np.abs(forces).sum(axis=1, keepdims=True) + np.finfo(np.float64).tiny
        self.gradient = self.tangent(2.0 * self._times(self.slack, factor))
        self.residual = float(np.sqrt((self.gradient**2 / self.scale).sum() / self.scale.sum()))

    def tangent(self, rows: Array) -> Array:
        """Rows without their component along the unit rows of V."""
        return np.asarray(rows - (rows * self.factor).sum(axis=1, keepdims=True) * self.factor, dtype=np.float64)

    def hessian(self, move: Array) -> Array:
        """Riemannian Hessian times the tangent ``move``: the derivative of 2 S V, projected."""
        size = len(move)
        change = move[:, :size] @ self.factor[:, :size].T
        forces = self._force_operator(change + change.T) / self.program.unit
        pulled = np.zeros_like(move)
        pulled[:, :size] = forces @ self.factor[:, :size]
        return self.tangent(2.0 * (pulled + self._times(self.slack, move)))

    @cached_property
    def _force_operator(self) -> Callable[[Array], Array]:
        return self.program.force_operator(self.gram)

    def _times(self, slack: Array, rows: Array) -> Array:
        """S times the shared columns, and diag(lambda) times the private one."""
        size = len(rows)
        return np.column_stack([slack @ rows[:, :size], self.multipliers[:, None] * rows[:, size:]])


def solve_factor(program: Program, start: Array, *, max_steps: int = 300) -> FactorAnswer:
    """Minimise F(V V^T) over unit rows of V from a nearly feasible ``start``, down to rounding error.

    With C columns every second-order stationary point is a global minimum (a critical V with S != 0 is rank
    deficient, and a rank-deficient second-order point has S positive semidefinite: Boumal et al. 2016), so the answer
    need only be certified. Convergence is quadratic where the slack and G have complementary rank.

    Args:
        program: the convex program.
        start: ``(C, C)`` Gram matrix: the simplex ETF, or another solver's answer to refine.
        max_steps: most Newton steps tried.
    """
    return _answer(*minimise(FactorPoint(program, unit_factor(start)), max_steps))


def solve_reduced(program: GroupProgram, *, max_steps: int = 300) -> FactorAnswer:
    """The same on the group means' factor ``(m, m + 1)``, from the simplex ETF; the answer is the full G.

    Args:
        program: the program reduced to groups of equal proportion.
        max_steps: most Newton steps tried.
    """
    answer = _answer(*minimise(FactorPoint(program, program.start()), max_steps))
    return FactorAnswer(program.gram(answer.gram), answer.steps, answer.residual)


def _answer(point: FactorPoint, steps: int) -> FactorAnswer:
    return FactorAnswer(point.gram, steps, point.residual)


def minimise(point: FactorPoint, max_steps: int) -> tuple[FactorPoint, int]:
    """A stationary point of the factor problem, to rounding error, and the Newton steps tried.

    Any number of columns will do; with fewer than the rank of the optimum it may be a local minimum.
    """
    program, radius, steps = point.program, 1.0, 0
    predicted = np.inf
    while steps < max_steps and predicted > NOISE * abs(point.value):
        move, predicted, on_boundary = _trust_region_step(point, radius)
        trial, steps = FactorPoint(program, unit_rows(point.factor + move)), steps + 1
        ratio = (point.value - trial.value) / predicted if predicted > 0.0 else 0.0
        radius *= 0.25 if ratio < 0.25 else 2.0 if ratio > 0.75 and on_boundary else 1.0
        point = trial if ratio > 0.1 else point
    # Here F cannot tell points apart, but its gradient can: rare classes, whose forces on each other are far below
    # the rounding error of F, still move a long way. So plain Newton steps, of which the best gradient is kept.
    best, floor, idle = point, 4.0 * EPS * (1.0 + 2.0 / program.tau), 0
    while idle < PATIENCE and steps < max_steps and best.residual > floor:
        move, _, _ = _trust_region_step(point, 1.0)
        point, steps = FactorPoint(program, unit_rows(point.factor + move)), steps + 1
        best, idle = (point, 0) if point.residual < best.residual else (best, idle + 1)
    return best, steps


def _trust_region_step(point: FactorPoint, radius: float, max_products: int = 200) -> tuple[Array, float, bool]:
    """Minimise the quadratic model within ``radius`` by preconditioned conjugate gradients (Steihaug 1983).

    Returns:
        The tangent step, the decrease that the model predicts, and whether the step ends on the boundary.
    """
    scale, weight = point.scale, point.scale.sum()

    def inner(a: Array, b: Array) -> float:
        return float((scale * a * b).sum() / weight)

    step, product = np.zeros_like(point.gradient), np.zeros_like(point.gradient)
    if not point.gradient.any():
        return step, 0.0, False
    residual = point.gradient
    direction = -residual / scale
    decrease = float((residual**2 / scale).sum())
    # Never finer than 1e-3: below rounding error the search meets noise, whose curvature has either sign.
    goal = decrease * float(np.clip(np.sqrt(point.residual), 1e-3, 0.1)) ** 2
    on_boundary = False
    for _ in range(max_products):
        bent = point.hessian(direction)
        curvature = float((direction * bent).sum())
        length = decrease / curvature if curvature > 0.0 else np.inf
        ahead, along, behind = inner(direction, direction), inner(step, direction), inner(step, step)
        to_boundary = (-along + np.sqrt(along**2 + ahead * (radius**2 - behind))) / ahead
        on_boundary = length >= to_boundary
        length = min(length, to_boundary)
        step, product = step + length * direction, product + length * bent
        if on_boundary:
            break
        residual = residual + length * bent
        previous, decrease = decrease, float((residual**2 / scale).sum())
        if decrease <= goal:
            break
        direction = -residual / scale + (decrease / previous) * direction
    predicted = -float((point.gradient * step).sum() + 0.5 * (step * product).sum())
    return step, predicted, on_boundary
