"""The program reduced to groups of classes of equal proportion, exactly (ours).

With m groups of sizes n_g some optimal G is invariant under relabelling within groups: 1 on the diagonal, alpha_g
within group g, gamma_gh between groups. It is positive semidefinite exactly when ``alpha_g <= 1`` wherever ``n_g >= 2``
and the ``(m, m)`` matrix with ``1 + (n_g - 1) alpha_g`` on its diagonal and ``sqrt(n_g n_h) gamma_gh`` off it is.
Over ``sqrt(n_g n_h)`` this is the Gram matrix A of the *group means*: ``A_gg = (1 + (n_g - 1) alpha_g) / n_g <= 1``
and ``A_gh = gamma_gh``; any such A is U U^T with rows of length at most one, a private column filling each up to one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geometry.frames import simplex_etf
from geometry.optimum.program import Program, unit_rows

Array = NDArray[np.float64]

SAME = 1e-12  # relative difference of proportions up to which classes form one group


@dataclass(frozen=True, eq=False)
class GroupProgram:
    """The reduced program, over Gram matrices A ``(m, m)`` of group means.

    Attributes:
        full: the program over all classes.
        members: ``(C,)`` group of each class, from the most to the least frequent.
    """

    full: Program
    members: NDArray[np.intp]

    @property
    def tau(self) -> float:
        """Temperature."""
        return self.full.tau

    @property
    def unit(self) -> float:
        """The scale of F."""
        return self.full.unit

    @cached_property
    def sizes(self) -> Array:
        """``(m,)`` n_g."""
        return np.bincount(self.members).astype(np.float64)

    @property
    def num_groups(self) -> int:
        """Number of groups m."""
        return len(self.sizes)

    @cached_property
    def shares(self) -> Array:
        """``(m,)`` total probability n_g p_g of each group."""
        return np.asarray(np.bincount(self.members, weights=self.full.proportions), dtype=np.float64)

    @cached_property
    def masses(self) -> Array:
        """``(m, m + 1)`` probability of a negative of each group (another class than the anchor's), and a collision."""
        own = self.shares / self.sizes
        masses = np.tile(self.shares, (self.num_groups, 1))
        np.fill_diagonal(masses, self.shares * (self.sizes - 1.0) / self.sizes)
        if not self.full.collisions:
            masses /= masses.sum(axis=1, keepdims=True)
        return np.column_stack([masses, own if self.full.collisions else np.zeros_like(own)])

    def cosines(self, means: Array) -> Array:
        """``(m, m)`` cosine of two different classes of each pair of groups; 1 where a group has no two classes."""
        return np.asarray(1.0 + self.stretch * (means - 1.0), dtype=np.float64)

    def gram(self, means: Array) -> Array:
        """``(C, C)`` G."""
        gram = self.cosines(means)[np.ix_(self.members, self.members)]
        np.fill_diagonal(gram, 1.0)
        return np.asarray(np.clip(gram, -1.0, 1.0), dtype=np.float64)

    def value(self, means: Array) -> float:
        """F(G)."""
        return float(self.shares @ self.full.loss.expectation(self._exponents(means), self.masses))

    def forces(self, means: Array) -> Array:
        """``(m, m)`` dF = <forces, dA>, symmetric; the diagonal holds the forces within groups."""
        return self._symmetric(self.full.loss.slopes(self._exponents(means), self.masses))

    def force_changes(self, means: Array, change: Array) -> Array:
        """``(m, m)`` derivative of :meth:`forces` when A moves along the symmetric ``change``."""
        moved = change * self.stretch / self.tau
        padded = np.column_stack([moved, np.zeros(self.num_groups)])
        return self._symmetric(self.full.loss.slope_changes(self._exponents(means), self.masses, padded))

    def force_operator(self, means: Array) -> Callable[[Array], Array]:
        """:meth:`force_changes` at A, for many changes."""
        operator = self.full.loss.slope_operator(self._exponents(means), self.masses)
        none = np.zeros(self.num_groups)
        return lambda change: self._symmetric(operator(np.column_stack([change * self.stretch / self.tau, none])))

    def start(self) -> Array:
        """``(m, m + 1)`` factor of the simplex ETF: unit rows, whose last entry is private to the group."""
        etf = simplex_etf(self.full.num_classes)[0, 1]
        means = np.full((self.num_groups, self.num_groups), etf)
        np.fill_diagonal(means, (1.0 + (self.sizes - 1.0) * etf) / self.sizes)
        values, vectors = np.linalg.eigh(means)
        shared = vectors * np.sqrt(np.maximum(values, 0.0))
        private = np.where(self.sizes > 1, np.sqrt(np.maximum(0.0, 1.0 - np.diag(means))), 0.0)
        return unit_rows(np.column_stack([shared, private]))

    @cached_property
    def stretch(self) -> Array:
        """``(m, m)`` cosine minus 1 over entry of A minus 1: n_g / (n_g - 1) within a group, 1 between groups."""
        stretch = np.ones((self.num_groups, self.num_groups))
        np.fill_diagonal(stretch, np.where(self.sizes > 1, self.sizes / np.maximum(self.sizes - 1.0, 1.0), 0.0))
        return stretch

    def _exponents(self, means: Array) -> Array:
        exponents = (self.cosines(means) - 1.0) / self.tau
        return np.column_stack([exponents, np.zeros(self.num_groups)])

    def _symmetric(self, slopes: Array) -> Array:
        pulls = self.shares[:, None] * slopes[:, :-1] * self.stretch / self.tau
        return np.asarray((pulls + pulls.T) / 2.0, dtype=np.float64)


def group_program(program: Program) -> GroupProgram:
    """Classes whose proportions agree to a relative 1e-12 form one group."""
    order = np.argsort(-program.proportions, kind="stable")
    ranked = program.proportions[order]
    heads = np.concatenate([[False], ranked[1:] < ranked[:-1] * (1.0 - SAME)])
    members = np.empty(program.num_classes, dtype=np.intp)
    members[order] = np.cumsum(heads)
    return GroupProgram(program, members)
