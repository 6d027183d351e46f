"""Cross-entropy of logits with a small nuclear norm, solved on a factor by the trust-region Newton method (ours).

``||Y||_*`` is the least of ``(||A||_F^2 + ||B||_F^2) / 2`` over ``A B^T = Y``: a bound on it is a sphere of (A, B), a
penalty a ridge. The optimum is unique, so it is invariant under relabelling classes of equal counts: within a group of
n such classes Y is ``a I`` plus a constant, and the factor needs only the group means of Y and, for each group, one
number u with ``u^2 / 2 = (n - 1) a``, which is what that part adds to the nuclear norm. The factored problem is not
convex, so the answer is certified afterwards (see :mod:`geometry.layer_peeled`).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
TINY = 1e-300
STATIONARY = 1e-10  # relative size of the gradient; the gap is of its square
PATIENCE = 8  # Newton steps without a smaller gradient after which rounding error has won


@dataclass(frozen=True, eq=False)
class PeeledPoint:
    """A nearly stationary Y.

    Attributes:
        matrix: ``(K, K)`` Y.
        multiplier: what a unit of its nuclear norm is worth.
        residual: relative size of the gradient.
        steps: Newton steps that were tried.
    """

    matrix: Array
    multiplier: float
    residual: float
    steps: int


@dataclass(frozen=True, eq=False)
class PeeledProblem:
    """``sum_k c_k CE_k(Y e_k / s_k)`` with ``||Y||_* <= radius``, or with ``penalty ||Y||_*`` and an infinite radius.

    Attributes:
        shares: ``(K,)`` c.
        lengths: ``(K,)`` s, equal wherever the shares are.
        radius: nu; infinite for a penalty.
        penalty: lam; 0 for a bound.
    """

    shares: Array
    lengths: Array
    radius: float
    penalty: float

    @cached_property
    def members(self) -> NDArray[np.intp]:
        """``(K,)`` group of each class: classes of one count are one group."""
        return np.asarray(np.unique(self.shares, return_inverse=True)[1], dtype=np.intp)

    @cached_property
    def sizes(self) -> Array:
        """``(m,)`` classes in each group."""
        return np.bincount(self.members).astype(np.float64)

    @cached_property
    def _group(self) -> tuple[Array, Array]:
        """``(m,)`` weight n_g c_g and length s_g of each group."""
        first = np.unique(self.members, return_index=True)[1]
        return self.sizes * self.shares[first], self.lengths[first]

    @cached_property
    def private(self) -> Array:
        """``(m,)`` max(n_g - 1, 1)."""
        return np.maximum(self.sizes - 1.0, 1.0)

    @cached_property
    def _others(self) -> Array:
        """``(m, m)`` classes of group h that a class of group g is told from."""
        return np.asarray(self.sizes[:, None] - np.eye(len(self.sizes)), dtype=np.float64)

    def differences(self, block: Array, within: Array) -> Array:
        """``(m, m)`` logit of a class of group h (another one, for h = g) minus the own logit of a class of g."""
        own = within + (np.diag(block) - within) / self.sizes
        result = block / np.sqrt(np.outer(self.sizes, self.sizes)) - own
        np.fill_diagonal(result, -within)
        return np.asarray(result / self._group[1], dtype=np.float64)

    def pulled(self, forces: Array) -> tuple[Array, Array]:
        """The adjoint of :meth:`differences`."""
        forces = forces / self._group[1]
        inside = np.diag(forces)
        outside = forces.sum(axis=0) - inside
        block = forces / np.sqrt(np.outer(self.sizes, self.sizes))
        np.fill_diagonal(block, -outside / self.sizes)
        return np.asarray(block, dtype=np.float64), np.asarray(outside * (1.0 / self.sizes - 1.0) - inside)

    def losses(self, differences: Array) -> tuple[float, Array]:
        """The mean cross-entropy, and ``(m, m)`` probabilities of the other classes of each group together."""
        top = np.maximum(differences.max(axis=0), 0.0)
        masses = self._others * np.exp(differences - top)
        rest = masses.sum(axis=0) + np.expm1(-top)  # log1p keeps the digits of small losses
        return float(self._group[0] @ (top + np.log1p(rest))), np.asarray(masses / (1.0 + rest), dtype=np.float64)

    def forces(self, probabilities: Array) -> Array:
        """Derivative of the mean cross-entropy with respect to the differences."""
        return self._group[0] * probabilities

    def start(self) -> Array:
        """The factor of a simplex ETF: on the sphere, or of the best of several lengths."""
        roots = np.sqrt(self.sizes)
        values, vectors = np.linalg.eigh(np.eye(len(roots)) - np.outer(roots, roots) / self.sizes.sum())
        factor = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        point = np.concatenate([factor.ravel(), factor.ravel(), np.sqrt(2.0 * (self.sizes - 1.0))])
        if np.isfinite(self.radius):
            return np.asarray(self.onto(point), dtype=np.float64)
        scales = np.geomspace(1e-3, 1e3, 40) * np.sqrt(self.lengths.mean())
        return min((scale * point for scale in scales), key=lambda x: _Point(self, x).value)

    def onto(self, point: Array) -> Array:
        """The point itself, or the nearest one on the sphere where ``||Y||_* = radius``."""
        return point if np.isinf(self.radius) else point * (np.sqrt(2.0 * self.radius) / np.linalg.norm(point))

    def expand(self, block: Array, within: Array) -> Array:
        """``(K, K)`` Y from its group means and the multiples of I within groups."""
        at = self.members
        entries = block / np.sqrt(np.outer(self.sizes, self.sizes)) - np.diag(within / self.sizes)
        return np.asarray(entries[np.ix_(at, at)] + np.diag(within[at]), dtype=np.float64)


class _Point:
    """A point (A, B, u) of the factor: value, gradient and Hessian products."""

    def __init__(self, problem: PeeledProblem, point: Array) -> None:
        self.problem, self.point = problem, point
        size = len(problem.sizes)
        self.left, self.right, self.bend = self._parts(point, size)
        self.block = self.left @ self.right.T
        self.within = self.bend**2 / (2.0 * problem.private)
        loss, self.probabilities = problem.losses(problem.differences(self.block, self.within))
        self.forces = problem.forces(self.probabilities)
        self.pull = problem.pulled(self.forces)
        squared = float(point @ point)
        plain = self._joined(self.pull, self.left, self.right, self.bend)
        self.multiplier = problem.penalty if np.isinf(problem.radius) else -float(plain @ point) / squared
        self.value = loss + 0.5 * problem.penalty * squared
        self.gradient = plain + self.multiplier * point
        self.residual = float(np.linalg.norm(self.gradient) / (np.linalg.norm(plain) + TINY))

    @staticmethod
    def _parts(point: Array, size: int) -> tuple[Array, Array, Array]:
        left, right, bend = np.split(point, [size * size, 2 * size * size])
        return left.reshape(size, size), right.reshape(size, size), bend

    def _joined(self, pull: tuple[Array, Array], left: Array, right: Array, bend: Array) -> Array:
        block, within = pull
        return np.concatenate([(block @ right).ravel(), (block.T @ left).ravel(), within * bend / self.problem.private])

    def tangent(self, move: Array) -> Array:
        """The move without its part along the radius of the sphere."""
        if np.isinf(self.problem.radius):
            return move
        return np.asarray(move - (move @ self.point) / (self.point @ self.point) * self.point, dtype=np.float64)

    def hessian(self, move: Array) -> Array:
        """(Riemannian) Hessian times a tangent move."""
        left, right, bend = self._parts(move, len(self.bend))
        change = self.problem.differences(
            left @ self.right.T + self.left @ right.T, self.bend * bend / self.problem.private
        )
        forces = self.forces * (change - (self.probabilities * change).sum(axis=0))
        bent = self._joined(self.problem.pulled(forces), self.left, self.right, self.bend)
        bent += self._joined(self.pull, left, right, bend) + self.multiplier * move
        return self.tangent(bent)


def minimise(problem: PeeledProblem, max_steps: int = 200) -> PeeledPoint:
    """Trust-region Newton-CG from the simplex ETF to stationarity, or down to rounding error."""
    point, radius, idle, steps = _Point(problem, problem.start()), np.inf, 0, 0
    best = point
    while steps < max_steps and idle < PATIENCE and best.residual > STATIONARY:
        move, predicted, outside = _newton_step(point, radius)
        trial, steps = _Point(problem, problem.onto(point.point + move)), steps + 1
        noise = 64.0 * EPS * abs(point.value)
        ratio = (point.value - trial.value + noise) / (predicted + noise)
        if ratio < 0.25:
            radius = 0.25 * float(np.linalg.norm(move))
        elif ratio > 0.75 and outside:
            radius *= 2.0
        point = trial if ratio > 0.1 else point
        best, idle = (point, 0) if point.residual < best.residual else (best, idle + (predicted <= noise))
    matrix = problem.expand(best.block, best.within)
    return PeeledPoint(matrix, best.multiplier, best.residual, steps)


def _newton_step(point: _Point, radius: float, max_products: int = 500) -> tuple[Array, float, bool]:
    """Minimise the quadratic model within ``radius`` by conjugate gradients (Steihaug 1983)."""
    step, product = np.zeros_like(point.gradient), np.zeros_like(point.gradient)
    residual, direction = point.gradient, -point.gradient
    squared = float(residual @ residual)
    goal = squared * min(0.1, point.residual) ** 2
    radius = min(radius, float(np.linalg.norm(point.point)))
    outside = False
    for _ in range(max_products):
        if squared <= max(goal, TINY):
            break
        bent = point.hessian(direction)
        curvature = float(direction @ bent)
        length = squared / curvature if curvature > 0.0 else np.inf
        ahead, along, behind = float(direction @ direction), float(step @ direction), float(step @ step)
        edge = (-along + np.sqrt(along**2 + ahead * max(radius**2 - behind, 0.0))) / ahead
        outside = length >= edge
        length = min(length, edge)
        step, product = step + length * direction, product + length * bent
        if outside:
            break
        residual = residual + length * bent
        previous, squared = squared, float(residual @ residual)
        direction = -residual + (squared / previous) * direction
    return step, -float(point.gradient @ step + 0.5 * (step @ product)), outside
