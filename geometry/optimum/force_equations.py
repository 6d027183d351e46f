"""The equations of the force factorisation at given class proportions, and Newton's step for them (ours)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geometry.optimum.loss_family import LogLoss
from geometry.optimum.mean_loss import MeanLoss

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ForceEquations:
    """The equations at one set of class proportions ``(m,)``; unknowns log g and, for log losses, log D.

    ``merged`` groups are one vector each; ``factors`` are logarithms of what W is multiplied by.
    """

    loss: MeanLoss
    tau: float
    sizes: Array
    proportions: Array
    collisions: bool
    merged: NDArray[np.bool_]
    factors: Array

    def start(self) -> Array:
        """The unknowns at equal proportions, where every cosine is that of the simplex ETF."""
        size = self.sizes.sum()
        t = np.full((len(self.sizes),) * 2, -size / ((size - 1.0) * self.tau))
        totals = self._totals(t)
        with np.errstate(divide="ignore"):
            log_g = np.log(np.diag(self._pair_weights(totals)[0] * self.loss.inner(t)[1]) / self.tau) / 2.0
        return np.concatenate([log_g, np.log(totals)]) if isinstance(self.loss, LogLoss) else log_g

    @cached_property
    def vectors(self) -> Array:
        """``(m,)`` number of vectors of each group."""
        return np.where(self.merged, 1.0, self.sizes)

    def cosines(self, unknowns: Array) -> Array:
        """``(m, m)`` cosine of two different classes of each pair of groups; 1 within a collapsed one."""
        cosines = 1.0 + self.tau * self._exponents(unknowns)[0]
        np.fill_diagonal(cosines, np.where(self.merged, 1.0, np.diag(cosines)))
        return cosines

    def forces(self, unknowns: Array) -> Array:
        """``(m, m)`` g_i g_j, the forces on pairs of vectors; n^2 Gamma within a collapsed group."""
        g = np.exp(unknowns[: len(self.sizes)])
        forces = np.outer(g, g)
        np.fill_diagonal(forces, np.where(self.merged, self._repulsion(unknowns), np.diag(forces)))
        return forces

    def pressure(self, unknowns: Array) -> Array:
        """``(m,)`` in [-1, 1]: by how much g^2 exceeds the repulsion n^2 Gamma of members at one point."""
        pull, repulsion = np.exp(2.0 * unknowns[: len(self.sizes)]), self._repulsion(unknowns)
        return np.asarray((pull - repulsion) / (pull + repulsion), dtype=np.float64)

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

    def _repulsion(self, unknowns: Array) -> Array:
        """``(m,)`` n^2 Gamma for merged groups."""
        weights = self._pair_weights(self._given_totals(unknowns))[0] * np.exp(self.factors)
        return np.asarray(np.diag(weights) * float(self.loss.inner(np.zeros(1))[1][0]) / self.tau, dtype=np.float64)

    def _given_totals(self, unknowns: Array) -> Array:
        """``(m,)`` D as the unknowns say."""
        size = len(self.sizes)
        return np.exp(unknowns[size:]) if isinstance(self.loss, LogLoss) else np.ones(size)

    def _exponents(self, unknowns: Array) -> tuple[Array, Array, Array]:
        """t, kappa'/kappa'' there, and the share of the first anchor in each pair's weight."""
        size = len(self.sizes)
        weights, own = self._pair_weights(self._given_totals(unknowns))
        g = np.exp(unknowns[:size])
        with np.errstate(divide="ignore"):
            t, elasticity = self.loss.inverse_slope(self.tau * np.outer(g, g) / (weights * np.exp(self.factors)))
        return t, elasticity, own / weights

    def _pair_weights(self, totals: Array) -> tuple[Array, Array]:
        """``(m, m)`` W, and its part from the first class as anchor."""
        q = self.loss.weight if isinstance(self.loss, LogLoss) else 1.0
        members = self.sizes / self.vectors
        own = 0.5 * q * (members * self.proportions / totals)[:, None] * self._masses
        return own + own.T, own

    def _totals(self, t: Array) -> Array:
        """``(m,)`` D; one for separable losses."""
        if not isinstance(self.loss, LogLoss):
            return np.ones(len(t))
        inside = (self._others * self._masses * np.exp(t)).sum(axis=1)
        inside = inside + (self.proportions if self.collisions else 0.0)
        inside = inside + np.where(self.merged, (self.sizes - 1.0) / self.sizes * np.diag(self._masses), 0.0)
        return np.asarray(self.loss.anchor + self.loss.weight * inside, dtype=np.float64)

    @cached_property
    def _others(self) -> Array:
        """``(m, m)`` vectors of each group other than the anchor's own."""
        return np.asarray(np.tile(self.vectors, (len(self.sizes), 1)) - np.eye(len(self.sizes)), dtype=np.float64)

    @cached_property
    def _masses(self) -> Array:
        """``(m, m)`` probability of each single vector as a negative."""
        masses = np.tile(self.proportions, (len(self.sizes), 1))
        if not self.collisions:
            others = np.tile(self.sizes, (len(self.sizes), 1)) - np.eye(len(self.sizes))
            masses = masses / (others * self.proportions).sum(axis=1, keepdims=True)
        return np.asarray(masses * (self.sizes / self.vectors), dtype=np.float64)
