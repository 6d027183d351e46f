"""The convex program: minimise F(G) over Gram matrices of unit class vectors."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geometry.errors import UsageError
from geometry.frames import simplex_etf
from geometry.optimum.mean_loss import Loss
from geometry.optimum.negatives import SlopeOperator

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Program:
    """``min F(G) = sum_y pi_y E psi((G_yc - 1)/tau)`` over G positive semidefinite with unit diagonal.

    F(G*) is the least loss that any encoder into the unit ball of R^d, d >= rank G*, can reach, and samples collapsed
    to class means of Gram G* reach it (derived independently of arXiv 2605.11291, by Jensen's inequality given the
    classes). Negatives come from the other classes, ``c ~ pi_c / (1 - pi_y)``, or with ``collisions`` from all,
    ``c ~ pi_c``; then a positive must be drawn independently of its anchor, and a collision contributes t = 0.

    Attributes:
        proportions: ``(C,)`` class proportions.
        loss: psi, averaged over the negatives.
        tau: temperature > 0.
        collisions: negatives may be of the anchor's own class.

    Raises:
        UsageError: a temperature that is not positive, or so low that the loss underflows.
    """

    proportions: Array
    loss: Loss
    tau: float
    collisions: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.tau) and self.tau > 0):
            raise UsageError(f"Expected a positive temperature tau, got {self.tau}.")
        check_range(self.loss, self.tau, self.num_classes)

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.proportions)

    @cached_property
    def masses(self) -> Array:
        """``(C, C)`` probability that a negative of an anchor of class y has class c."""
        masses = np.tile(self.proportions, (self.num_classes, 1))
        if self.collisions:
            return masses
        np.fill_diagonal(masses, 0.0)
        # The sum of the others, not 1 - pi_y, which loses every digit when one class is nearly everything.
        return np.asarray(masses / masses.sum(axis=1, keepdims=True), dtype=np.float64)

    @cached_property
    def reference_value(self) -> float:
        """F at the simplex ETF: the natural scale of F, which is 1e-5 at tau = 0.1."""
        return self.value(simplex_etf(self.num_classes))

    @cached_property
    def unit(self) -> float:
        """A positive scale of F: :meth:`unit_at` the simplex ETF."""
        return self.unit_at(simplex_etf(self.num_classes)) or 1.0

    @property
    def has_zero(self) -> bool:
        """Whether F is measured from its infimum over all t, 0: psi is, and no collision adds a constant."""
        return self.loss.floor == 0.0 and not self.collisions

    def unit_at(self, gram: Array) -> float:
        """F(G); ``tau sum_ij |Gamma_ij|``, by which F could still fall, where F has an arbitrary constant in it."""
        return self.value(gram) if self.has_zero else self.tau * float(np.abs(self.forces(gram)).sum())

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
        return self._symmetric(self.loss.slope_changes(self.exponents(gram), self.masses, self._off(change) / self.tau))

    def force_operator(self, gram: Array) -> SlopeOperator:
        """:meth:`force_changes` as a function of ``change``, for many changes at one G."""
        slope_changes = self.loss.slope_operator(self.exponents(gram), self.masses)
        return lambda change: self._symmetric(slope_changes(self._off(change) / self.tau))

    def _symmetric(self, slopes: Array) -> Array:
        pulls = self._off(self.proportions[:, None] * slopes / self.tau)
        return np.asarray((pulls + pulls.T) / 2.0, dtype=np.float64)

    def _off(self, matrix: Array) -> Array:
        """The matrix without its diagonal: a collision contributes a constant."""
        matrix = matrix.copy()
        np.fill_diagonal(matrix, 0.0)
        return matrix


def check_range(loss: Loss, tau: float, num_classes: int) -> None:
    """Refuse a temperature at which psi or its second derivative leaves the range of floating point numbers.

    Raises:
        UsageError: the loss underflows.
    """
    one = np.ones((1, 1))
    with np.errstate(all="ignore"):
        bend = loss.slope_changes(-2.0 / tau * one, one, one)
        value = float(loss.expectation(-num_classes / ((num_classes - 1) * tau) * one, one)[0])
    tiny = np.finfo(np.float64).tiny / np.finfo(np.float64).eps
    if not (np.isfinite(bend).all() and (loss.attains_floor or value - loss.floor > tiny)):
        raise UsageError(f"At temperature tau={tau} the loss underflows; take a larger one.")


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
