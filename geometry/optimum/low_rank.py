r"""A feature dimension below the rank of the optimum: no longer a convex program, so many starts and an honest bound.

With d < rank G* the set of Gram matrices of rank at most d is not convex, and minimising F(V V^T) over unit rows of
``V (C, d)`` can end in local minima. What can be said is: the value found, that it is a second-order stationary point,
how many starts agree on it, and how far it lies above the convex optimum's lower bound, which holds in any dimension.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import UsageError
from geometry.optimum.burer_monteiro import FactorPoint, minimise
from geometry.optimum.loss_family import named_loss
from geometry.optimum.mean_loss import Loss
from geometry.optimum.program import Program, unit_gram, unit_rows
from geometry.optimum.resolution import distinct_vectors, matrix_rank
from geometry.optimum.solve import Optimum, solve

Array = NDArray[np.float64]

SAME_VALUE = 1e-9  # relative difference of values up to which two starts reached the same minimum
FLAT = 1e-6  # curvature of either sign that counts as zero, in units of the forces on a class
DENSE = 600  # entries of V up to which the Hessian is formed
ESCAPES = 5  # saddle points left before the search gives up
LEAST_ROW = 1e-6  # a shorter projection of a class vector has no direction to start from


@dataclass(frozen=True, eq=False)
class LowRankOptimum:
    """The best class vectors found in d dimensions.

    Attributes:
        gram: ``(C, C)`` G = V V^T, the cosines between the class vectors; feasible.
        vectors: ``(C, d)`` V, unit rows; defined up to a rotation.
        value: F(G), in nats: an upper bound on the least loss in d dimensions.
        lower_bound: no unit vectors, of any dimension, have a smaller F (the convex optimum's certificate).
        relative_gap: (value - lower_bound) / lower_bound, or in the units of
            :class:`geometry.optimum.certificate.Certificate` where the loss has no zero; for d < rank G* mostly the
            price of the small dimension, not an error of the solver.
        certified: ``relative_gap <= tolerance``: then nothing better exists in any dimension. Otherwise False, however
            many starts agree.
        dimension: d.
        convex_rank: rank of the convex optimum; for d at least that, the convex optimum is the answer.
        method: ``low-rank``, or the convex solver's name where the convex optimum is the answer.
        rank, distinct: as in :class:`geometry.optimum.Optimum`, of this G.
        starts: starting points tried; 0 where the convex optimum is the answer.
        reached: starts whose value is the best one, within 1e-9 relatively; few of many: try more. For d = 2 each of
            the (C - 1)!/2 orders of the classes around the circle can be a local minimum.
        residual: relative size of the Riemannian gradient; NaN for d = 1, where there is nothing to differentiate.
        curvature: smallest eigenvalue of the Riemannian Hessian in units of the forces on each class, at most 0 because
            rotations cost nothing; NaN for d = 1.
        second_order: no direction of descent to second order (``curvature >= -1e-6`` and ``residual <= 1e-6``); for
            d = 1, no sign change of one vector lowers F.
        status: what the solver did, in words.
        seconds: wall time, the convex optimum's included.
        proportions: ``(C,)`` class proportions.
        loss, tau, q, tolerance, negatives, collisions: as in :class:`geometry.optimum.Optimum`.
    """

    gram: Array
    vectors: Array
    value: float
    lower_bound: float
    relative_gap: float
    certified: bool
    dimension: int
    convex_rank: int
    method: str
    rank: int
    distinct: int
    starts: int
    reached: int
    residual: float
    curvature: float
    second_order: bool
    status: str
    seconds: float
    proportions: Array
    loss: str
    tau: float
    q: float
    tolerance: float
    negatives: int | None = None
    collisions: bool = False


def solve_low_rank(
    proportions: ArrayLike,
    dimension: int,
    *,
    rng: np.random.Generator,
    loss: str | Loss = "infonce",
    tau: float = 1.0,
    q: float | str = 1.0,
    negatives: int | None = None,
    collisions: bool = False,
    starts: int = 20,
    tolerance: float = 1e-6,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LowRankOptimum:
    """The best unit class vectors in d dimensions that several starts find: ``min F(V V^T)``, V ``(C, d)``.

    The starts are the simplex ETF projected to d of its eigenvectors (for d = 2 the regular polygon), the convex
    optimum projected to its d leading ones, and random directions. Each is minimised by Riemannian Newton-CG
    (:mod:`geometry.optimum.burer_monteiro`), and a saddle point is left along its most negative curvature. For d = 1
    the vectors are signs, changed one at a time. Where ``d >= rank G*`` the convex optimum is returned.

    Args:
        proportions: ``(C,)`` positive class counts or proportions.
        dimension: d >= 1.
        rng: draws the random starts.
        loss: as for :func:`geometry.optimum.solve`, except losses with kinks.
        tau: temperature.
        q: weight of the negatives in infonce, or ``"plain"``.
        negatives: k; None is the limit of many.
        collisions: negatives may be of the anchor's own class.
        starts: how many, at least 1; the first two are the projections.
        tolerance: relative gap at which an answer is certified.
        progress: called with starts done and starts in all.

    Raises:
        UsageError: bad settings, or a loss with kinks, on which Newton's method has nothing to go by.
        UncertifiedError: no certified convex optimum, and so no bound.

    >>> pentagon = solve_low_rank([1] * 5, 2, rng=np.random.default_rng(0))
    >>> bool(abs(pentagon.gram[0].max() - 1) < 1e-9), pentagon.convex_rank, pentagon.certified
    (True, 4, False)
    """
    if dimension != int(dimension) or dimension < 1:
        raise UsageError(f"Expected a feature dimension of at least 1, got {dimension}.")
    if starts != int(starts) or starts < 1:
        raise UsageError(f"Expected at least one start, got {starts}.")
    psi = named_loss(loss, q=q, negatives=negatives) if isinstance(loss, str) else loss
    if psi.kinked:
        raise UsageError(
            f"The loss {psi.name!r} has kinks, on which Newton's method has nothing to go by, so its optimum below "
            "full rank is not searched for; take a smooth loss, or leave the rank free."
        )
    convex = solve(
        proportions, loss=loss, tau=tau, q=q, negatives=negatives, collisions=collisions, tolerance=tolerance
    )
    if dimension >= convex.rank:
        return _convex_answer(convex, dimension)
    program = Program(convex.proportions, psi, tau, convex.collisions)
    began = time.perf_counter()
    found: list[tuple[float, Array]] = []
    for start in _starts(convex.gram, dimension, starts, rng):
        found.append(_flips(program, start) if dimension == 1 else _minimised(program, start))
        progress(len(found), starts)
    best = int(np.argmin([value for value, _ in found]))
    residual = curvature = float("nan")
    escapes, second_order = 0, dimension == 1
    if dimension > 1:
        while True:
            point = FactorPoint(program, found[best][1])
            curvature, direction = _least_curvature(point)
            if curvature >= -FLAT or escapes == ESCAPES:
                break
            escapes += 1
            found[best] = _minimised(program, unit_rows(point.factor + 0.1 * direction))
        residual = point.residual
        second_order = curvature >= -FLAT and residual <= FLAT
    value, vectors = found[best]
    gram = unit_gram(vectors)
    unit = program.unit_at(gram) or 1.0
    reached = sum(each - value <= SAME_VALUE * unit for each, _ in found)
    relative_gap = _relative_gap(program, value, convex.lower_bound, unit)
    told = f"{reached} of {starts} starts reached the best value"
    told += f", {escapes} saddle points left" if escapes else ""
    told += "" if second_order else "; not shown to be a second-order stationary point"
    return LowRankOptimum(
        gram=gram,
        vectors=vectors,
        value=value,
        relative_gap=relative_gap,
        certified=convex.certified and relative_gap <= tolerance,
        method="low-rank",
        rank=matrix_rank(gram),
        distinct=distinct_vectors(gram),
        starts=starts,
        reached=reached,
        residual=residual,
        curvature=curvature,
        second_order=second_order,
        status=told,
        seconds=convex.seconds + time.perf_counter() - began,
        **_common(convex, dimension),
    )


def _convex_answer(convex: Optimum, dimension: int) -> LowRankOptimum:
    """The convex optimum, whose rank the dimension does not limit."""
    values, vectors = np.linalg.eigh(convex.gram)
    kept = min(dimension, len(values))
    factor = np.zeros((len(values), dimension))
    factor[:, :kept] = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1][:, :kept]
    return LowRankOptimum(
        gram=convex.gram,
        vectors=unit_rows(factor),
        value=convex.value,
        relative_gap=convex.relative_gap,
        certified=convex.certified,
        method=convex.method,
        rank=convex.rank,
        distinct=convex.distinct,
        starts=0,
        reached=0,
        residual=0.0,
        curvature=0.0,
        second_order=True,
        status=f"the convex optimum, of rank {convex.rank}; {convex.status}",
        seconds=convex.seconds,
        **_common(convex, dimension),
    )


def _common(convex: Optimum, dimension: int) -> dict[str, Any]:
    """The fields that are those of the convex optimum."""
    names = ("lower_bound", "proportions", "loss", "tau", "q", "tolerance", "negatives", "collisions")
    return {"dimension": dimension, "convex_rank": convex.rank} | {name: getattr(convex, name) for name in names}


def _relative_gap(program: Program, value: float, lower_bound: float, unit: float) -> float:
    """As in the certificate: relative to the least value, or to the unit of a loss without a zero."""
    gap = max(0.0, value - lower_bound)
    if gap == 0.0 or not program.has_zero:
        return gap / unit
    return gap / lower_bound if lower_bound > 0.0 else np.inf


def _starts(gram: Array, dimension: int, count: int, rng: np.random.Generator) -> Iterator[Array]:
    """``(C, d)`` unit rows: the projected simplex, the projected convex optimum, then random directions."""
    size = len(gram)
    # Every basis of the sum-free space is one of eigenvectors of the ETF; harmonics of the class number leave no row
    # without a projection. A phase keeps a lone cosine off zero.
    columns = np.arange(dimension)
    angles = 2.0 * np.pi * np.outer(np.arange(size), columns // 2 + 1) / size
    projections = [np.cos(angles - 0.5 * np.pi * (columns % 2) + 0.1)]
    values, vectors = np.linalg.eigh(gram)
    projections.append((vectors * np.sqrt(np.maximum(values, 0.0)))[:, : -dimension - 1 : -1])
    for k in range(count):
        rows = projections[k].copy() if k < len(projections) else rng.normal(size=(size, dimension))
        lost = np.linalg.norm(rows, axis=1) < LEAST_ROW
        rows[lost] = rng.normal(size=(int(lost.sum()), dimension))
        yield unit_rows(rows)


def _minimised(program: Program, start: Array) -> tuple[float, Array]:
    """F and V at the stationary point that Newton-CG reaches."""
    point, _ = minimise(FactorPoint(program, start), max_steps=300)
    return program.value(point.gram), point.factor


def _flips(program: Program, start: Array) -> tuple[float, Array]:
    """F and signs ``(C, 1)`` that no change of a single sign improves."""
    signs = np.where(start >= 0.0, 1.0, -1.0)
    value = program.value(unit_gram(signs))
    while True:
        trials = []
        for k in range(len(signs)):
            signs[k] *= -1.0
            trials.append(program.value(unit_gram(signs)))
            signs[k] *= -1.0
        best = int(np.argmin(trials))
        if trials[best] >= value - 1e-14 * abs(value):
            return value, signs
        signs[best], value = -signs[best], trials[best]


def _least_curvature(point: FactorPoint) -> tuple[float, Array]:
    """The smallest eigenvalue of the Riemannian Hessian in units of the forces, and its direction ``(C, d)``."""
    shape, roots = point.factor.shape, np.sqrt(point.scale)

    def product(flat: Array) -> Array:
        move = point.tangent(flat.reshape(shape) / roots)
        return np.asarray((point.hessian(move) / roots).ravel(), dtype=np.float64)

    entries = shape[0] * shape[1]
    if entries <= DENSE:
        matrix = np.column_stack([product(column) for column in np.eye(entries)])
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
        return float(values[0]), _unit_move(point.tangent(vectors[:, 0].reshape(shape) / roots))
    from scipy.sparse.linalg import LinearOperator, eigsh

    # Shifted by one: the eigenvalue zero of rotations has no relative accuracy to converge to.
    shifted = LinearOperator((entries, entries), matvec=lambda flat: product(flat) + flat, dtype=np.float64)
    first = np.random.default_rng(0).normal(size=entries)
    values, vectors = eigsh(shifted, k=1, which="SA", tol=0.1 * FLAT, v0=first)
    return float(values[0]) - 1.0, _unit_move(point.tangent(vectors[:, 0].reshape(shape) / roots))


def _unit_move(move: Array) -> Array:
    """The move, its longest row of length one."""
    return np.asarray(move / np.linalg.norm(move, axis=1).max(), dtype=np.float64)
