"""``solve``: the optimal geometry for given class proportions, with a proof of how optimal it is."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import UsageError
from geometry.optimum.certificate import Certificate, UncertifiedError, certify
from geometry.optimum.convexity import check_loss
from geometry.optimum.loss_family import InfoNCE, named_loss
from geometry.optimum.mean_loss import Loss
from geometry.optimum.program import Program
from geometry.optimum.proportions import class_proportions
from geometry.optimum.resolution import angle_errors, distinct_vectors, matrix_rank
from geometry.optimum.routes import Candidate, candidates

Array = NDArray[np.float64]

TARGET_GAP = 1e-10  # another solver is tried when the relative gap is larger
KINKED_GAP = 1e-7  # TARGET_GAP for losses with kinks, whose conic optimum is as good as it gets
RESOLVED = 1e-6  # estimated error of a class's cosines up to which they count as known


@dataclass(frozen=True, eq=False)
class Optimum:
    """The optimal class vectors for given proportions.

    Attributes:
        gram: ``(C, C)`` G, the cosines between the optimal class vectors; feasible. The certificate bounds the loss,
            which angles among rare classes barely enter; ``unresolved`` says whether they are known.
        value: F(G), the least loss when ``certified``, in nats.
        method: ``closed-form``, ``factor``, ``reduced``, ``burer-monteiro`` or ``conic``.
        rank: eigenvalues of G above 1e-6, which is the least feature dimension that reaches the optimum; by the method
            ``factor`` exactly, ``distinct - 1``.
        distinct: distinct class vectors; two with a cosine above 1 - 1e-6 count as one, but by the method ``factor``
            they are known exactly. Below C, classes have collapsed; the rank can drop below C - 1 before that. Trust
            both where ``unresolved`` is 0.
        unresolved: classes whose angles are not known to about 1e-6, because they do not matter for the loss to double
            precision; ``rank`` and ``distinct`` then say nothing about those. Never counts the classes of a loss with
            kinks, whose optimum is not unique anyway.
        angle_error: estimate, not rigorous, of the largest error of a resolved class's cosines; NaN for a loss with
            kinks.
        lower_bound: no unit vectors have a smaller loss; minus infinity when nothing is proved.
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
        margin: of the hinge and hardest-negative losses; NaN for the others.
    """

    gram: Array
    value: float
    method: str
    rank: int
    distinct: int
    unresolved: int
    angle_error: float
    lower_bound: float
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
    factorisation (optima in which at most classes of equal proportion collapse), Burer-Monteiro on groups of equal
    proportion if there are any, Burer-Monteiro, and Clarabel for up to 30 classes; for losses with kinks Clarabel.

    Args:
        proportions: ``(C,)`` positive class counts or proportions.
        loss: ``infonce``, ``lme``, ``supcon`` (lme with collisions), ``exp``, ``hinge``, ``hardest``, ``quadratic``,
            ``linear``, or a loss object (see :class:`geometry.optimum.mean_loss.MeanLoss`), which is checked and has
            its own settings.
        tau: temperature.
        q: weight Q of the negatives in infonce, or ``"plain"`` for Q = k.
        negatives: k; None is the limit of many.
        collisions: negatives may be of the anchor's own class.
        margin: of the hinge and hardest-negative losses.
        method: ``auto``, ``closed-form``, ``factor`` (force factorisation), ``reduced`` (on groups of equal proportion:
            Burer-Monteiro, or Clarabel for the hinge), ``burer-monteiro`` (G = V V^T) or ``conic`` (Clarabel, the
            independent reference).
        require_certificate: raise rather than return an answer that is not certified.
        tolerance: relative gap at which an answer is certified.

    Raises:
        UsageError: bad proportions or settings; a method that does not cover the loss or proportions.
        UncertifiedError: no answer within ``tolerance``, and ``require_certificate``.
        TailgeomError: the one method asked for failed; ``factor`` does where unequal classes collapse.

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
    for candidate in candidates(program, method):
        answers.append((certify(program, candidate.gram), candidate))
        if answers[-1][0].certifies(min(tolerance, KINKED_GAP if psi.kinked else TARGET_GAP)):
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
    errors = np.full(program.num_classes, np.nan)
    if not psi.kinked:
        errors = angle_errors(program, best.gram) if best.errors is None else best.errors
    known = errors[errors <= RESOLVED]
    distinct = distinct_vectors(best.gram) if best.distinct is None else best.distinct
    return Optimum(
        gram=best.gram,
        value=certificate.value,
        method=best.method,
        rank=matrix_rank(best.gram) if best.distinct is None else distinct - 1,
        distinct=distinct,
        unresolved=int((errors > RESOLVED).sum()),
        angle_error=float(known.max()) if len(known) else float("nan"),
        lower_bound=certificate.lower_bound,
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
        margin=getattr(psi, "margin", float("nan")),
    )
