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
MOST_MODELS = 4  # of a loss whose conic form depends on the order of its exponents
EXACT = 1e-9  # difference of F and its model, in units of F, that is none
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
    answer of least F is returned with its status. A kinked loss, whose model may be exact only near where it was made,
    is modelled anew at its answer. Every returned G is feasible, so certify it to know its worth.

    Raises:
        TailgeomError: the solver failed at every scaling, or the loss is too small for it to resolve.
    """
    if program.unit < RESOLUTION:
        raise TailgeomError(
            f"At temperature tau={program.tau} the loss, about {program.unit:.0e}, is too small for a conic "
            "solver; take a larger temperature or the method burer-monteiro."
        )
    full = program.full if isinstance(program, GroupProgram) else program
    best, reply = _scaled(program, SCALINGS, None)
    for turn in range(1, MOST_MODELS if full.loss.kinked else 1):
        if full.value(best.gram) <= reply.value + EXACT * program.unit:  # the model is a lower bound, exact where it is
            break
        again, reply = _scaled(program, SCALINGS[turn:] + SCALINGS[:turn], reply.gram)
        best = min(again, best, key=lambda answer: full.value(answer.gram))
    return best


def _scaled(
    program: Program | GroupProgram, scalings: tuple[float, ...], at: Array | None
) -> tuple[ConicAnswer, "_Reply"]:
    """The answer at the first scaling that Clarabel solves, or else the one of least F."""
    full = program.full if isinstance(program, GroupProgram) else program
    answers: list[tuple[ConicAnswer, _Reply]] = []
    statuses: list[str] = []
    for scaling in scalings:
        reply = _attempt(program, scaling, at)
        statuses.append(reply.status)
        if reply.gram is not None:
            answers.append((ConicAnswer(_feasible(program, reply.gram), reply.status, len(statuses)), reply))
        if reply.status == "optimal" or (full.loss.kinked and answers):  # which scaling matters little to a linear F
            return answers[-1]
    if not answers:
        raise TailgeomError(f"Clarabel failed at every scaling of the objective: {', '.join(statuses)}.")
    return min(answers, key=lambda answer: full.value(answer[0].gram))


def _feasible(program: Program | GroupProgram, gram: Array) -> Array:
    return unit_gram(unit_factor(gram if isinstance(program, Program) else program.gram(gram)))


@dataclass(frozen=True, eq=False)
class _Reply:
    """Clarabel's status, the variable (G or A) and the value of the model, unless it failed."""

    status: str
    gram: Array | None = None
    value: float = np.inf


def _attempt(program: Program | GroupProgram, scaling: float, at: Array | None) -> _Reply:
    import cvxpy

    if isinstance(program, Program):
        gram = cvxpy.Variable((program.num_classes, program.num_classes), PSD=True)
        if at is not None:
            gram.project_and_assign(at)
        limits = [cvxpy.diag(gram) == 1.0]
        rows = program.loss.expression((gram - 1.0) / program.tau, program.masses)
        objective = (scaling / program.unit) * (program.proportions @ rows)
    else:
        gram = cvxpy.Variable((program.num_groups, program.num_groups), PSD=True)
        if at is not None:
            gram.project_and_assign(at)
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
        return _Reply(f"failed ({error})")
    if problem.status not in ("optimal", "optimal_inaccurate") or gram.value is None:
        return _Reply(str(problem.status))
    return _Reply(str(problem.status), np.asarray(gram.value, dtype=np.float64), problem.value * program.unit / scaling)
