"""Forces of the hinge loss, which at its kinks are any between two values, chosen to prove the most (ours).

``max(0, u) >= s u`` for every s in [0, 1], so any choice of s on each pair of classes gives forces with
``F(G') >= F(G) + <Gamma, G' - G> - excess``; ``excess = sum (max(0, u) - s u)`` is zero if s is 1 above and 0 below
the kink. At the optimum some pairs sit on the kink; the s that prove the most solve the dual semidefinite program.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from geometry.optimum.loss_family import Hinge
from geometry.optimum.program import Program

Array = NDArray[np.float64]
Pairs = NDArray[np.intp]

NEAR = 1e-5  # distance to the kink in units of G within which a pair may have any force


def hinge_forces(program: Program, gram: Array) -> tuple[Array, Array, float]:
    """Forces ``(C, C)`` and multipliers ``(C,)`` for the certificate at G, and what the bound loses at G itself."""
    assert isinstance(program.loss, Hinge)
    above = program.loss.margin + program.exponents(gram)
    weights = program.proportions[:, None] * program.masses / program.tau
    weights = (weights + weights.T) / 2.0
    np.fill_diagonal(weights, 0.0)
    share = (above > 0.0).astype(np.float64)
    first, second = np.nonzero(np.triu(np.abs(above) * program.tau < NEAR, 1))
    multipliers = -np.einsum("ij,ij->i", weights * share, gram)
    if len(first):
        unit = program.unit_at(gram) or 1.0
        chosen, multipliers = _dual(gram, weights / unit, share, first, second)
        multipliers = multipliers * unit
        share[first, second] = share[second, first] = chosen
    excess = program.tau * float((weights * (np.maximum(0.0, above) - share * above)).sum())
    return weights * share, multipliers, excess


def _dual(gram: Array, weights: Array, share: Array, first: Pairs, second: Pairs) -> tuple[Array, Array]:
    """The shares in [0, 1] of the kinked pairs, and the multipliers, by which the dual program proves the most."""
    import cvxpy
    from scipy.sparse import csr_array

    size = len(gram)
    fixed = share.copy()
    fixed[first, second] = fixed[second, first] = 0.0
    chosen, multipliers = cvxpy.Variable(len(first)), cvxpy.Variable(size)
    entries = np.arange(len(first))
    place = csr_array((np.ones(len(first)), (first * size + second, entries)), shape=(size * size, len(first)))
    place = place + csr_array((np.ones(len(first)), (second * size + first, entries)), shape=place.shape)
    shares = fixed + cvxpy.reshape(place @ chosen, (size, size), order="C")
    forces = cvxpy.multiply(weights, shares)
    # <Gamma, G' - G> >= -sum(lambda) - <Gamma, G> where Gamma + diag(lambda) is positive semidefinite.
    bound = -cvxpy.sum(multipliers) - cvxpy.sum(cvxpy.multiply(forces, gram))
    limits = [forces + cvxpy.diag(multipliers) >> 0, chosen >= 0.0, chosen <= 1.0]
    problem = cvxpy.Problem(cvxpy.Maximize(bound), limits)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # whatever it finds is a bound, and only its size matters
        try:
            problem.solve(solver=cvxpy.CLARABEL, tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
        except cvxpy.error.SolverError:
            return np.ones(len(first)), np.zeros(size)
    if chosen.value is None or multipliers.value is None:
        return np.ones(len(first)), np.zeros(size)
    return np.clip(np.asarray(chosen.value, dtype=np.float64), 0.0, 1.0), np.asarray(multipliers.value)
