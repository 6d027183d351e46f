"""``solve``: the optimal geometry for given class proportions, with a proof of how optimal it is."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import TailgeomError, UsageError
from geometry.frames import simplex_etf
from geometry.optimum.burer_monteiro import FactorAnswer, solve_factor, solve_reduced
from geometry.optimum.certificate import Certificate, UncertifiedError, certify
from geometry.optimum.conic import SCALINGS, solve_conic
from geometry.optimum.convexity import check_loss
from geometry.optimum.force_path import solve_forces
from geometry.optimum.groups import group_program
from geometry.optimum.loss_family import Hinge, InfoNCE, named_loss
from geometry.optimum.mean_loss import Loss
from geometry.optimum.program import Program
from geometry.optimum.proportions import class_proportions

Array = NDArray[np.float64]

METHODS = ("auto", "closed-form", "conic", "reduced", "factor", "burer-monteiro")
CONIC_CLASSES = 30  # beyond, the conic program takes minutes
TARGET_GAP = 1e-10  # another solver is tried when the relative gap is larger
RANK_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class Candidate:
    """A Gram matrix not yet certified: what found it, and how that went."""

    method: str
    gram: Array
    status: str


@dataclass(frozen=True, eq=False)
class Optimum:
    """The optimal class vectors for given proportions.

    Attributes:
        gram: ``(C, C)`` G, the cosines between the optimal class vectors; feasible. The certificate bounds the loss;
            angles among classes that barely enter it (imbalance ratios above about 1e4) are known less well.
        value: F(G), the least loss when ``certified``, in nats.
        method: ``closed-form``, ``factor``, ``reduced``, ``burer-monteiro`` or ``conic``.
        rank: eigenvalues of G above 1e-6, which is the least feature dimension that reaches the optimum.
        distinct: distinct class vectors; two with a cosine above 1 - 1e-6 count as one. Below C, classes have
            collapsed; the rank can drop below C - 1 before that. Trust both where ``relative_gap`` is below 1e-9.
        slack_eigenvalue: smallest eigenvalue of the dual slack over its largest in modulus; zero up to rounding.
        relative_gap: rigorous bound on (F(G) - F*) / F*.
        certified: ``relative_gap <= tolerance``, G is feasible, and no numeric check found the loss not convex.
        status: what the solver did, in words.
        seconds: wall time.
        proportions: ``(C,)`` class proportions.
        loss: name of the loss.
        tau: temperature.
        q: weight of the negatives, k for the plain one; 1 for losses without.
        tolerance: relative gap asked for.
        negatives: k; None is the limit of many.
        collisions: negatives may be of the anchor's own class.
        margin: of the hinge loss; NaN for the others.
    """

    gram: Array
    value: float
    method: str
    rank: int
    distinct: int
    slack_eigenvalue: float
    relative_gap: float
    certified: bool
    status: str
    seconds: float
    proportions: Array
    loss: str
    tau: float
    q: float
    tolerance: float
    negatives: int | None = None
    collisions: bool = False
    margin: float = float("nan")


def solve(
    proportions: ArrayLike,
    *,
    loss: str | Loss = "infonce",
    tau: float = 1.0,
    q: float | str = 1.0,
    negatives: int | None = None,
    collisions: bool = False,
    margin: float = 1.0,
    method: str = "auto",
    require_certificate: bool = True,
    tolerance: float = 1e-6,
) -> Optimum:
    """Where the class means should sit: ``argmin F(G)`` for these proportions (see :class:`Program`).

    ``auto`` takes the closed form for equal proportions or two classes; else the first certified answer of: force
    factorisation (uncollapsed optima), Burer-Monteiro on groups of equal proportion if there are any, Burer-Monteiro,
    and Clarabel for up to 30 classes.

    Args:
        proportions: ``(C,)`` positive class counts or proportions.
        loss: ``infonce``, ``lme``, ``supcon`` (lme with collisions), ``exp``, ``hinge``, ``quadratic``, ``linear``, or
            a loss object (see :class:`geometry.optimum.mean_loss.MeanLoss`), which is checked and has its own settings.
        tau: temperature.
        q: weight Q of the negatives in infonce, or ``"plain"`` for Q = k.
        negatives: k; None is the limit of many.
        collisions: negatives may be of the anchor's own class.
        margin: of the hinge loss.
        method: ``auto``, ``closed-form``, ``factor`` (force factorisation), ``reduced`` (on groups of equal proportion:
            Burer-Monteiro, or Clarabel for the hinge), ``burer-monteiro`` (G = V V^T) or ``conic`` (Clarabel, the
            independent reference).
        require_certificate: raise rather than return an answer that is not certified.
        tolerance: relative gap at which an answer is certified.

    Raises:
        UsageError: bad proportions or settings; a method that does not cover the loss or proportions.
        UncertifiedError: no answer within ``tolerance``, and ``require_certificate``.
        TailgeomError: the one method asked for failed; ``factor`` does where classes collapse.

    >>> optimum = solve([50, 50, 50])
    >>> optimum.method, optimum.certified, optimum.gram[0]
    ('closed-form', True, array([ 1. , -0.5, -0.5]))
    """
    started = time.perf_counter()
    if not tolerance > 0:
        raise UsageError(f"Expected a positive tolerance, got {tolerance}.")
    if isinstance(loss, str):
        psi = named_loss(loss, q=q, negatives=negatives, margin=margin)
        collisions, name, convex = collisions or loss == "supcon", loss, True
    else:
        psi, name, convex = loss, loss.name, check_loss(loss, tau).convex
    program = Program(class_proportions(proportions), psi, tau, collisions)
    answers: list[tuple[Certificate, Candidate]] = []
    for candidate in _candidates(program, method):
        answers.append((certify(program, candidate.gram), candidate))
        if answers[-1][0].certifies(min(tolerance, TARGET_GAP)):
            break
    if not answers:
        raise UncertifiedError("No method finished for this loss and these proportions.")
    certificate, best = min(answers, key=lambda answer: answer[0].relative_gap)
    certified = convex and certificate.certifies(tolerance)
    if require_certificate and not convex:
        raise UncertifiedError(
            f"The loss {name!r} is not convex, so that no answer can be certified; ask for it marked."
        )
    if require_certificate and not certified:
        raise UncertifiedError(
            f"The best answer ({best.method}: {best.status}) has a certified relative gap of "
            f"{certificate.relative_gap:.1e}, above the tolerance {tolerance:.1e}; raise the tolerance or ask for it "
            "uncertified."
        )
    return Optimum(
        gram=best.gram,
        value=certificate.value,
        method=best.method,
        rank=matrix_rank(best.gram),
        distinct=distinct_vectors(best.gram),
        slack_eigenvalue=certificate.slack_eigenvalue,
        relative_gap=certificate.relative_gap,
        certified=certified,
        status=best.status,
        seconds=time.perf_counter() - started,
        proportions=program.proportions,
        loss=name,
        tau=tau,
        q=psi.weight if isinstance(psi, InfoNCE) else 1.0,
        tolerance=tolerance,
        negatives=negatives if isinstance(loss, str) else getattr(loss, "negatives", None),
        collisions=collisions,
        margin=psi.margin if isinstance(psi, Hinge) else float("nan"),
    )


def matrix_rank(gram: Array) -> int:
    """Eigenvalues of a Gram matrix of unit vectors above 1e-6."""
    return int((np.linalg.eigvalsh(gram) > RANK_TOLERANCE).sum())


def distinct_vectors(gram: Array) -> int:
    """Unit vectors whose cosine with every earlier one is at most 1 - 1e-6."""
    return int((~np.tril(gram > 1.0 - RANK_TOLERANCE, -1).any(axis=1)).sum())


def _candidates(program: Program, method: str) -> Iterator[Candidate]:
    """Answers in order of preference, each computed only when the one before it did not do."""
    size = program.num_classes
    if method not in METHODS:
        raise UsageError(f"Unknown method {method!r}; known: {', '.join(METHODS)}.")
    closed = size == 2 or np.allclose(program.proportions, 1.0 / size, rtol=1e-12, atol=0.0)
    idle = program.loss.attains_floor and not program.forces(simplex_etf(size)).any()
    if method == "closed-form" and not (closed or idle):
        raise UsageError("A closed form is known for equal proportions or two classes only; use another method.")
    if (closed or idle) and method in ("auto", "closed-form"):
        yield Candidate("closed-form", simplex_etf(size), "simplex ETF" if closed else "simplex ETF, without any force")
        return
    if method != "auto":
        yield _SOLVERS[method](program)
        return
    routes = ["factor", "reduced", "burer-monteiro", "conic"]
    if isinstance(program.loss, Hinge):  # the optimum sits on kinks, where Newton's method has nothing to go by
        routes = ["reduced", "conic", "burer-monteiro"]
    if group_program(program).num_groups == size:
        routes.remove("reduced")
    if size > CONIC_CLASSES and not isinstance(program.loss, Hinge):
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
    return Candidate("factor", answer.gram, f"{answer.steps} Newton steps along the force factorisation")


def _reduced(program: Program) -> Candidate:
    groups = group_program(program)
    if isinstance(program.loss, Hinge):
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
