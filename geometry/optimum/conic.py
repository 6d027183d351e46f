"""The program as a conic one: semidefinite and exponential cones, modelled by CVXPY, solved by Clarabel."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.errors import TailgeomError
from geometry.optimum.groups import GroupProgram
from geometry.optimum.program import Program, unit_factor, unit_gram

Array = NDArray[np.float64]
# The objective is divided by F at the simplex ETF and multiplied by one of these, in order, until a status is good.
SCALINGS = (1.0, 10.0, 0.1, 100.0)
TOLERANCE = 1e-12
RESOLUTION = 1e-8  # log(1 + Z) of smaller Z is lost in a cone whose entries are of size one


@dataclass(frozen=True, eq=False)
class ConicAnswer:
    """What the conic solver found.

    Attributes:
        gram: ``(C, C)`` the solver's G, projected to be feasible.
        status: CVXPY's word, ``optimal`` or ``optimal_inaccurate``.
        attempts: scalings of the objective that were tried.
    """

    gram: Array
    status: str
    attempts: int


def solve_conic(program: Program | GroupProgram) -> ConicAnswer:
    """Solve the program, or its reduction to groups, with Clarabel at tolerances of 1e-12, objective of size one.

    A status other than ``optimal`` is retried at other scalings of the objective; if none is ``optimal``, the
    answer of least F is returned with its status. Every returned G is feasible, so certify it to know its worth.

    Raises:
        TailgeomError: the solver failed at every scaling, or the loss is too small for it to resolve.
    """
    if program.unit < RESOLUTION:
        raise TailgeomError(
            f"At temperature tau={program.tau} the loss, about {program.unit:.0e}, is too small for a conic "
            "solver; take a larger temperature or the method burer-monteiro."
        )
    answers: list[ConicAnswer] = []
    statuses: list[str] = []
    for scaling in SCALINGS:
        status, gram = _attempt(program, scaling)
        statuses.append(status)
        if gram is not None:
            answers.append(ConicAnswer(_feasible(program, gram), status, len(statuses)))
        if status == "optimal":
            break
    if not answers:
        raise TailgeomError(f"Clarabel failed at every scaling of the objective: {', '.join(statuses)}.")
    full = program.full if isinstance(program, GroupProgram) else program
    return answers[-1] if statuses[-1] == "optimal" else min(answers, key=lambda answer: full.value(answer.gram))


def _feasible(program: Program | GroupProgram, gram: Array) -> Array:
    return unit_gram(unit_factor(gram if isinstance(program, Program) else program.gram(gram)))


def _attempt(program: Program | GroupProgram, scaling: float) -> tuple[str, Array | None]:
    import cvxpy

    if isinstance(program, Program):
        gram = cvxpy.Variable((program.num_classes, program.num_classes), PSD=True)
        limits = [cvxpy.diag(gram) == 1.0]
        rows = program.loss.expression((gram - 1.0) / program.tau, program.masses)
        objective = (scaling / program.unit) * (program.proportions @ rows)
    else:
        gram = cvxpy.Variable((program.num_groups, program.num_groups), PSD=True)
        single = program.sizes == 1.0
        limits = [cvxpy.diag(gram) <= 1.0, cvxpy.multiply(single, cvxpy.diag(gram)) == single]
        exponents = (cvxpy.multiply(program.stretch, gram - 1.0)) / program.tau
        padded = cvxpy.hstack([exponents, np.zeros((program.num_groups, 1))])
        rows = program.full.loss.expression(padded, program.masses)
        objective = (scaling / program.unit) * (program.shares @ rows)
    problem = cvxpy.Problem(cvxpy.Minimize(objective), limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": the status says so, and is checked
            problem.solve(solver=cvxpy.CLARABEL, tol_gap_abs=TOLERANCE, tol_gap_rel=TOLERANCE, tol_feas=TOLERANCE)
    except cvxpy.error.SolverError as error:
        return f"failed ({error})", None
    if problem.status not in ("optimal", "optimal_inaccurate") or gram.value is None:
        return str(problem.status), None
    return str(problem.status), np.asarray(gram.value, dtype=np.float64)
