"""How far a Gram matrix can be from optimal: a rigorous bound from the dual, with rounding allowed for.

With forces Gamma (``dF = <Gamma, dG>``), multipliers ``lambda_i = -(Gamma G)_ii`` and slack
``S = Gamma + diag(lambda)``, a feasible G is optimal exactly when S is positive semidefinite (then ``S G = 0``).
For any feasible G', convexity and ``<S, G> = 0`` give ``F(G') >= F(G) + <S, G'>``, and so three bounds (ours):

* ``d = 1`` and ``d = lambda``: ``-<S, G'> <= -min(0, eig_min(D^{-1/2} S D^{-1/2})) sum_i d_i``, D = diag(d);
* negative part N of S: ``-<S, G'> <= sum_ij |N_ij|``, because ``|G'_ij| <= 1``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.errors import DataError, TailgeomError
from geometry.optimum.kinks import kinked_forces
from geometry.optimum.program import Program

Array = NDArray[np.float64]
EPS = float(np.finfo(np.float64).eps)
FEASIBILITY = 1e-9


class UncertifiedError(TailgeomError):
    """No answer was found whose certified gap is within the tolerance (exit code 1)."""


@dataclass(frozen=True)
class Certificate:
    """What is proved about a Gram matrix.

    Attributes:
        value: F(G).
        lower_bound: no feasible Gram matrix has a smaller F; minus infinity when G is not feasible.
        gap: ``value - lower_bound``, rounding errors and the infeasibility of G included; infinite if not feasible.
        relative_gap: ``gap / lower_bound``, at least (F(G) - F*) / F*; infinite when nothing positive is proved. Where
            psi has no floor (log-mean-exp, linear) or collisions add a constant to F, the gap is relative to
            ``tau sum_ij Gamma_ij`` instead: for supcon at low temperature the geometry moves only the last digits of F.
        bound: which bound is the best, ``uniform`` (d = 1), ``multipliers`` (d = lambda), ``negative part``, or
            for a kinked loss ``dual`` (the multipliers of the dual program).
        slack_eigenvalue: smallest eigenvalue of S over its largest one in modulus; below zero by more than rounding,
            G is not optimal.
        complementarity: ``||S G||_F / (||S||_F ||G||_F)``, zero at a stationary point.
        gram_eigenvalue: smallest eigenvalue of G.
        diagonal_error: largest ``|G_ii - 1|``.
        feasible: G is positive semidefinite with unit diagonal, within 1e-9. A stationary G that is not feasible can
            have S positive semidefinite, so this is checked on its own.
    """

    value: float
    lower_bound: float
    gap: float
    relative_gap: float
    bound: str
    slack_eigenvalue: float
    complementarity: float
    gram_eigenvalue: float
    diagonal_error: float
    feasible: bool

    def certifies(self, tolerance: float) -> bool:
        """Whether G is feasible and provably within ``tolerance`` of the least F, relatively."""
        return self.feasible and self.relative_gap <= tolerance


def rounding_of(size: int, tau: float) -> float:
    """Relative rounding error of forces and eigenvalues: sums over C terms, exponents of size 2/tau, integrals."""
    return 4.0 * EPS * (size + 2.0 / tau + 16.0)


def dual_slack(forces: Array, gram: Array) -> tuple[Array, Array]:
    """``(C, C)`` S = Gamma + diag(lambda) and ``(C,)`` lambda_i = -(Gamma G)_ii."""
    multipliers = -np.einsum("ij,ij->i", forces, gram)
    return np.asarray(forces + np.diag(multipliers), dtype=np.float64), np.asarray(multipliers, dtype=np.float64)


def certify(program: Program, gram: Array) -> Certificate:
    """Bound ``F(G) - F*`` for a Gram matrix from anywhere.

    Args:
        program: the convex program.
        gram: ``(C, C)`` symmetric.

    Raises:
        DataError: ``gram`` is not a finite, symmetric ``(C, C)`` matrix.
    """
    gram = np.asarray(gram, dtype=np.float64)
    size = program.num_classes
    if gram.shape != (size, size) or not np.isfinite(gram).all() or not np.allclose(gram, gram.T, rtol=0.0, atol=1e-12):
        raise DataError(f"Expected a finite symmetric Gram matrix of shape ({size}, {size}), got shape {gram.shape}.")
    value = program.value(gram)
    # Everything below is in units of F(G): forces of 1e-80 at low temperature would underflow when squared.
    unit = program.unit_at(gram) or 1.0
    dual: Array | None = None
    excess = 0.0
    if program.loss.kinked:
        forces, dual, excess = kinked_forces(program, gram)
        forces, dual, excess = forces / unit, dual / unit, excess / unit
    else:
        forces = program.forces(gram) / unit
    slack, multipliers = dual_slack(forces, gram)
    spectrum = np.linalg.eigvalsh(slack)
    gram_eigenvalue = float(np.linalg.eigvalsh(gram)[0])
    diagonal_error = float(np.abs(np.diag(gram) - 1.0).max())
    feasible = gram_eigenvalue >= -FEASIBILITY and diagonal_error <= FEASIBILITY
    bounds = _gap_bounds(slack, multipliers, rounding_of(size, program.tau))
    if dual is not None:
        bounds["dual"] = _dual_bound(forces, gram, dual, rounding_of(size, program.tau))
    best = min(bounds, key=bounds.__getitem__)
    # (G + e I)/(1 + e) is feasible and moves every off-diagonal entry by at most e |G_ij|; twice for the curvature.
    infeasibility = max(0.0, -gram_eigenvalue) + diagonal_error + size * EPS
    gap = excess + bounds[best] + 2.0 * infeasibility * float(np.abs(forces * gram).sum()) if feasible else np.inf
    return Certificate(
        value=value,
        lower_bound=value - unit * gap,
        gap=unit * gap,
        relative_gap=_relative(value, gap, has_zero=program.has_zero),
        bound=best,
        slack_eigenvalue=float(spectrum[0] / (np.abs(spectrum).max() or 1.0)),
        complementarity=float(np.linalg.norm(slack @ gram) / ((np.linalg.norm(slack) or 1.0) * np.linalg.norm(gram))),
        gram_eigenvalue=gram_eigenvalue,
        diagonal_error=diagonal_error,
        feasible=feasible,
    )


def _relative(value: float, gap: float, *, has_zero: bool) -> float:
    """The gap, given in units, relative to the least value or, where F has no zero of its own, to the unit."""
    if not has_zero:
        return gap
    if value == 0.0 and np.isfinite(gap):
        return 0.0  # psi >= 0 proves it
    return gap / (1.0 - gap) if gap < 1.0 else np.inf


def _gap_bounds(slack: Array, multipliers: Array, rounding: float) -> dict[str, float]:
    """The three bounds on ``-<S, G'>``; an eigenvalue is trusted to ``rounding`` times the norm of its matrix."""
    size = len(slack)
    values, vectors = np.linalg.eigh(slack)
    error = rounding * float(np.abs(slack).sum(axis=1).max())
    negative = (vectors * np.maximum(-values, 0.0)) @ vectors.T
    bounds = {
        "uniform": size * max(0.0, error - float(values[0])),
        "negative part": float(np.abs(negative).sum()) + size * error,
    }
    if (multipliers > 0.0).all():
        roots = np.sqrt(multipliers)
        scaled = slack / np.outer(roots, roots)
        error = rounding * float(np.abs(scaled).sum(axis=1).max())
        bounds["multipliers"] = float(multipliers.sum()) * max(0.0, error - float(np.linalg.eigvalsh(scaled)[0]))
    return bounds


def _dual_bound(forces: Array, gram: Array, multipliers: Array, rounding: float) -> float:
    """``-<Gamma, G' - G> <= sum_i lambda_i + <Gamma, G>`` for any lambda, plus what lacks to a PSD slack."""
    slack = forces + np.diag(multipliers)
    error = rounding * float(np.abs(slack).sum(axis=1).max())
    lack = max(0.0, error - float(np.linalg.eigvalsh(slack)[0]))
    return max(0.0, float(multipliers.sum() + (forces * gram).sum())) + len(gram) * lack
