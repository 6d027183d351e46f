"""``solve``: the optimal geometry for given class proportions, with a proof of how optimal it is."""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import TailgeomError, UsageError
from geometry.frames import simplex_etf
from geometry.optimum.burer_monteiro import solve_factor
from geometry.optimum.certificate import Certificate, UncertifiedError, certify
from geometry.optimum.conic import SCALINGS, solve_conic
from geometry.optimum.loss_family import named_loss
from geometry.optimum.program import Program
from geometry.optimum.proportions import class_proportions

Array = NDArray[np.float64]

METHODS = ("auto", "closed-form", "conic", "burer-monteiro")
CONIC_CLASSES = 30  # beyond, the conic program takes minutes and the factor alone milliseconds to seconds
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
        method: ``closed-form``, ``conic``, ``burer-monteiro`` or ``conic, refined``.
        rank: eigenvalues of G above 1e-6, which is the least feature dimension that reaches the optimum.
        distinct: distinct class vectors; two with a cosine above 1 - 1e-6 count as one. Below C, classes have
            collapsed; the rank can drop below C - 1 before that. Trust both where ``relative_gap`` is below 1e-9.
        slack_eigenvalue: smallest eigenvalue of the dual slack over its largest in modulus; zero up to rounding.
        relative_gap: rigorous bound on (F(G) - F*) / F*.
        certified: ``relative_gap <= tolerance`` and G is feasible.
        status: what the solver did, in words.
        seconds: wall time.
        proportions: ``(C,)`` class proportions.
        loss: name of the loss.
        tau: temperature.
        q: weight of the negatives.
        tolerance: relative gap asked for.
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


def solve(
    proportions: ArrayLike,
    *,
    loss: str = "infonce",
    tau: float = 1.0,
    q: float = 1.0,
    method: str = "auto",
    require_certificate: bool = True,
    tolerance: float = 1e-6,
) -> Optimum:
    """Where the class means should sit: ``argmin F(G)`` for these proportions (see :class:`Program`).

    ``auto`` takes the closed form for equal proportions or two classes; else Clarabel's answer, refined on the
    factor G = V V^T, for up to 30 classes, and the factor alone beyond or where Clarabel falls short.

    Args:
        proportions: ``(C,)`` positive class counts or proportions.
        loss: ``infonce``.
        tau: temperature.
        q: weight Q of the negatives.
        method: ``auto``, ``closed-form``, ``conic`` (Clarabel alone) or ``burer-monteiro`` (the factor alone).
        require_certificate: raise rather than return an answer that is not certified.
        tolerance: relative gap at which an answer is certified.

    Raises:
        UsageError: bad proportions or settings; ``closed-form`` where none is known.
        UncertifiedError: no answer within ``tolerance``, and ``require_certificate``.
        TailgeomError: the conic solver failed, and ``method`` is ``conic``.

    >>> optimum = solve([50, 50, 50])
    >>> optimum.method, optimum.certified, optimum.gram[0]
    ('closed-form', True, array([ 1. , -0.5, -0.5]))
    """
    started = time.perf_counter()
    if not tolerance > 0:
        raise UsageError(f"Expected a positive tolerance, got {tolerance}.")
    program = Program(class_proportions(proportions), named_loss(loss, q=q), tau)
    answers: list[tuple[Certificate, Candidate]] = []
    for candidate in _candidates(program, method):
        answers.append((certify(program, candidate.gram), candidate))
        if answers[-1][0].certifies(min(tolerance, TARGET_GAP)):
            break
    certificate, best = min(answers, key=lambda answer: answer[0].relative_gap)
    certified = certificate.certifies(tolerance)
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
        loss=loss,
        tau=tau,
        q=q,
        tolerance=tolerance,
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
    if method == "closed-form" and not closed:
        raise UsageError("A closed form is known for equal proportions or two classes only; use another method.")
    if closed and method in ("auto", "closed-form"):
        yield Candidate("closed-form", simplex_etf(size), "simplex ETF")
        return
    if method == "conic":
        yield _conic(program)
        return
    if method == "auto" and size <= CONIC_CLASSES:
        with suppress(TailgeomError):  # Clarabel cannot resolve a loss near 1e-12, at temperatures near 0.05
            yield _factor(program, _conic(program))
    yield _factor(program)


def _conic(program: Program) -> Candidate:
    answer = solve_conic(program)
    return Candidate("conic", answer.gram, f"Clarabel: {answer.status}, scaling {answer.attempts} of {len(SCALINGS)}")


def _factor(program: Program, start: Candidate | None = None) -> Candidate:
    answer = solve_factor(program, simplex_etf(program.num_classes) if start is None else start.gram)
    steps = f"{answer.steps} Newton steps on the factor, residual {answer.residual:.1e}"
    if start is None:
        return Candidate("burer-monteiro", answer.gram, f"{steps}, from the simplex ETF")
    return Candidate(f"{start.method}, refined", answer.gram, f"{start.status}; {steps}")
