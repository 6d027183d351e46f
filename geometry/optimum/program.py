"""The convex program: minimise F(G) over Gram matrices of unit class vectors."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geometry.errors import UsageError
from geometry.frames import simplex_etf
from geometry.optimum.loss_family import Loss

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Program:
    """``min F(G) = sum_y pi_y E psi((G_yc - 1)/tau)`` over G positive semidefinite with unit diagonal.

    F(G*) is the least loss that any encoder into the unit ball of R^d, d >= rank G*, can reach, and samples collapsed
    to class means of Gram G* reach it (derived independently of arXiv 2605.11291, by Jensen's inequality given the
    classes). Negatives come from the other classes, ``c ~ pi_c / (1 - pi_y)``.

    Attributes:
        proportions: ``(C,)`` class proportions.
        loss: psi, averaged over the negatives.
        tau: temperature > 0.

    Raises:
        UsageError: a temperature that is not positive, or so low that the loss underflows.
    """

    proportions: Array
    loss: Loss
    tau: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.tau) and self.tau > 0):
            raise UsageError(f"Expected a positive temperature tau, got {self.tau}.")
        if not self.reference_value > np.finfo(np.float64).tiny / np.finfo(np.float64).eps:
            raise UsageError(f"At temperature tau={self.tau} the loss underflows; take a larger one.")

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.proportions)

    @cached_property
    def masses(self) -> Array:
        """``(C, C)`` probability pi_c / (1 - pi_y) that a negative of an anchor of class y has class c."""
        masses = np.tile(self.proportions, (self.num_classes, 1))
        np.fill_diagonal(masses, 0.0)
        # The sum of the others, not 1 - pi_y, which loses every digit when one class is nearly everything.
        return np.asarray(masses / masses.sum(axis=1, keepdims=True), dtype=np.float64)

    @cached_property
    def reference_value(self) -> float:
        """F at the simplex ETF: the natural scale of F, which is 1e-5 at tau = 0.1."""
        return self.value(simplex_etf(self.num_classes))

    def exponents(self, gram: Array) -> Array:
        """``(C, C)`` t_yc = (G_yc - 1) / tau."""
        return np.asarray((gram - 1.0) / self.tau, dtype=np.float64)

    def value(self, gram: Array) -> float:
        """F(G)."""
        return float(self.proportions @ self.loss.expectation(self.exponents(gram), self.masses))

    def forces(self, gram: Array) -> Array:
        """``(C, C)`` pair forces Gamma, the gradient dF = <Gamma, dG>: symmetric, zero diagonal."""
        return self._symmetric(self.loss.slopes(self.exponents(gram), self.masses))

    def force_changes(self, gram: Array, change: Array) -> Array:
        """``(C, C)`` derivative of :meth:`forces` when G moves along the symmetric ``change``."""
        return self._symmetric(self.loss.slope_changes(self.exponents(gram), self.masses, change / self.tau))

    def _symmetric(self, slopes: Array) -> Array:
        pulls = self.proportions[:, None] * slopes / self.tau
        return np.asarray((pulls + pulls.T) / 2.0, dtype=np.float64)


def unit_factor(gram: Array) -> Array:
    """``(C, C)`` V with unit rows and V V^T the feasible matrix that a nearly feasible ``gram`` is projected to."""
    values, vectors = np.linalg.eigh((gram + gram.T) / 2.0)
    return unit_rows(vectors * np.sqrt(np.maximum(values, 0.0)))


def unit_rows(vectors: Array) -> Array:
    """The rows of ``vectors`` scaled to length one."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float64)


def unit_gram(factor: Array) -> Array:
    """``(C, C)`` V V^T of unit rows, exactly symmetric with an exact unit diagonal."""
    gram = np.clip(factor @ factor.T, -1.0, 1.0)
    gram = (gram + gram.T) / 2.0
    np.fill_diagonal(gram, 1.0)
    return np.asarray(gram, dtype=np.float64)
