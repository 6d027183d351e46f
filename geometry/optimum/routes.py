"""The ways to an optimum, in order of preference, each tried only when the one before it did not do."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.errors import TailgeomError, UsageError
from geometry.frames import simplex_etf
from geometry.optimum.burer_monteiro import FactorAnswer, solve_factor, solve_reduced
from geometry.optimum.conic import SCALINGS, solve_conic
from geometry.optimum.force_path import solve_forces
from geometry.optimum.groups import group_program
from geometry.optimum.program import Program

Array = NDArray[np.float64]

METHODS = ("auto", "closed-form", "conic", "reduced", "factor", "burer-monteiro")
CONIC_CLASSES = 30  # beyond, the conic program takes minutes


@dataclass(frozen=True, eq=False)
class Candidate:
    """A Gram matrix not yet certified: what found it, how that went, and what the solver knows of its vectors.

    Attributes:
        method: the solver.
        gram: ``(C, C)``.
        status: in words.
        distinct: number of distinct vectors; None to count them in ``gram``.
        errors: ``(C,)`` estimated error of each class's cosines; None to estimate it from ``gram``.
    """

    method: str
    gram: Array
    status: str
    distinct: int | None = None
    errors: Array | None = None


def candidates(program: Program, method: str) -> Iterator[Candidate]:
    """Answers in order of preference, each computed only when the one before it did not do."""
    size = program.num_classes
    if method not in METHODS:
        raise UsageError(f"Unknown method {method!r}; known: {', '.join(METHODS)}.")
    closed = size == 2 or np.allclose(program.proportions, 1.0 / size, rtol=1e-12, atol=0.0)
    # F = 0 there is the least there can be; forces would miss a kink that sits exactly at the simplex.
    idle = program.loss.attains_floor and program.has_zero and program.value(simplex_etf(size)) == 0.0
    if method == "closed-form" and not (closed or idle):
        raise UsageError("A closed form is known for equal proportions or two classes only; use another method.")
    if (closed or idle) and method in ("auto", "closed-form"):
        status = "simplex ETF" if closed else "simplex ETF, without any force"
        yield Candidate("closed-form", simplex_etf(size), status, size, np.full(size, 0.0 if closed else 1.0))
        return
    if method != "auto":
        yield _SOLVERS[method](program)
        return
    routes = ["factor", "reduced", "burer-monteiro", "conic"]
    if program.loss.kinked:  # the optimum sits on kinks, where Newton's method has nothing to go by
        routes = ["reduced", "conic"]
    if group_program(program).num_groups == size:
        routes.remove("reduced")
    if size > CONIC_CLASSES and not program.loss.kinked:
        routes.remove("conic")
    for route in routes:
        # Collapse ends the factorisation; some losses have no conic form, and Clarabel cannot resolve one near 1e-12.
        with suppress(TailgeomError):
            yield _SOLVERS[route](program)


def _conic(program: Program) -> Candidate:
    answer = solve_conic(program)
    return Candidate("conic", answer.gram, f"Clarabel: {answer.status}, scaling {answer.attempts} of {len(SCALINGS)}")


def _forces(program: Program) -> Candidate:
    answer = solve_forces(group_program(program))
    errors = np.where(answer.unresolved, 1.0, answer.angle_error)
    status = f"{answer.steps} Newton steps along the force factorisation"
    return Candidate("factor", answer.gram, status, answer.distinct, errors)


def _reduced(program: Program) -> Candidate:
    groups = group_program(program)
    if program.loss.kinked:
        conic = solve_conic(groups)
        return Candidate("reduced", conic.gram, f"Clarabel on {groups.num_groups} groups: {conic.status}")
    return Candidate("reduced", *_told(solve_reduced(groups), f"the factor of {groups.num_groups} groups"))


def _factor(program: Program) -> Candidate:
    answer = solve_factor(program, simplex_etf(program.num_classes))
    return Candidate("burer-monteiro", *_told(answer, "the factor"))


def _told(answer: FactorAnswer, where: str) -> tuple[Array, str]:
    steps = f"{answer.steps} Newton steps on {where}, residual {answer.residual:.1e}, from the simplex ETF"
    return answer.gram, steps


_SOLVERS = {"conic": _conic, "factor": _forces, "reduced": _reduced, "burer-monteiro": _factor}
