"""One experiment: a loss, class counts, several starts, and the geometry of the least loss found."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.free.minimise import Minimum, minimise
from experiments.free.objectives import Objective, objective
from experiments.free.reached import Geometry, Program, boundary_share, geometry_of, program_check, target_errors
from experiments.free.spaces import LayerPeeled, Logits, Space
from experiments.free.spheres import Spheres
from geometry.errors import UsageError

Array = NDArray[np.float64]

MOST_SAMPLES = 2000
SIMPLEX_TOLERANCE = 1e-3
SAME = 1e-7  # relative difference of two losses that count as one
ZERO = 3e-15  # of the loss at a random start: smaller differences are rounding
NUDGE = 1e-2  # radians by which the simplex is shaken before the descent from it


@dataclass(frozen=True, eq=False)
class FreeOptimum:
    """What a loss wants of free vectors.

    Attributes:
        loss: its name.
        options: all its options.
        counts: samples of each class.
        dimension: of the vectors.
        representation: ``vectors``, ``predictions`` or ``features``.
        value: least loss found.
        stationarity: there; see :class:`experiments.free.minimise.Minimum`.
        values: loss that each random start reached.
        stationarities: of these points.
        agreeing: random starts that reached ``value``, within a relative 1e-7.
        gram_disagreement: largest difference between a Gram matrix of theirs and ``geometry.gram``; NaN for fewer than
            two. Large with equal losses: the optimum is not unique.
        near_simplex: loss reached from a shaken simplex; NaN where the dimension has no room for one.
        geometry: of the best point.
        alignment: smallest cosine of a class mean (centred as the geometry is) with the class's own vector, a prototype
            or a classifier row; NaN for a loss without such vectors.
        deviations: standard deviation over pairs of the cosines that each random start reached.
        spreads: largest distance of a sample from its class mean that each random start reached.
        errors: Gram error against each target.
        program: the convex program's word on this loss, where there is one.
        simplex_value: the loss at the exact simplex with collapsed samples, the classes' own vectors (prototypes,
            classifier rows) at their best; NaN without room.
        reached: the largest deviation of a cosine from -1/(C - 1), and the spread, are within ``tolerance``.
        equal_angles: the deviation is, whatever the spread.
        verdict: ``simplex``; ``angles only`` (class means at the simplex, samples not at their means); ``objective``
            (the simplex has a higher loss); ``tie`` (other geometries have an equal one); ``search`` (a lower one, that
            no start reached); ``no room`` (d < C - 1).
        tolerance: of ``reached``.
        boundary: share of samples with logits at the bound; NaN without one.
        steps: quasi-Newton and Newton steps of the best descent.
        seed: of the starts.
        seconds: wall time.
    """

    loss: str
    options: Mapping[str, Any]
    counts: tuple[int, ...]
    dimension: int
    representation: str
    value: float
    stationarity: float
    values: tuple[float, ...]
    stationarities: tuple[float, ...]
    agreeing: int
    gram_disagreement: float
    near_simplex: float
    geometry: Geometry
    alignment: float
    deviations: tuple[float, ...]
    spreads: tuple[float, ...]
    errors: Mapping[str, float]
    program: Program | None
    simplex_value: float
    reached: bool
    equal_angles: bool
    verdict: str
    tolerance: float
    boundary: float
    steps: tuple[int, int]
    seed: int
    seconds: float


def free_optimum(
    loss: str,
    counts: tuple[int, ...],
    *,
    dimension: int | None = None,
    starts: int = 5,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FreeOptimum:
    """Optimise free vectors under a loss from several random starts, and once from near the simplex.

    Args:
        loss: a key of :data:`experiments.free.objectives.LOSSES`.
        counts: samples of each class, whole numbers.
        dimension: of feature vectors; one more than the number of classes by default.
        starts: random starts.
        seed: of the starts.
        options: of the loss.
        progress: told the descents done and all of them.

    Raises:
        UsageError: bad counts, an unknown loss or option, or no start.
    """
    begun = time.perf_counter()
    if len(counts) < 2 or min(counts, default=0) < 1 or sum(counts) > MOST_SAMPLES:
        raise UsageError(
            f"Expected two classes or more, a sample or more in each, {MOST_SAMPLES} in all; got {counts}."
        )
    if starts < 1:
        raise UsageError(f"Expected at least one start, got {starts}.")
    goal = objective(loss, counts, dimension=len(counts) + 1 if dimension is None else dimension, options=options or {})
    space = goal.space
    found = []
    for stream in np.random.default_rng(seed).spawn(starts):
        if progress is not None:
            progress(len(found), starts + 2)
        found.append(minimise(goal.value, space.spheres, space.start(stream)))
    from_simplex, simplex_value = _from_simplex(goal, np.random.default_rng([seed, 1]))
    if progress is not None:
        progress(starts + 1, starts + 2)
    best = min(found, key=lambda minimum: minimum.value)
    zero = ZERO * abs(_value(goal, space.start(np.random.default_rng(seed))))
    if from_simplex is not None and from_simplex.value < best.value - SAME * abs(best.value) - zero:
        best = from_simplex
    shapes = [_geometry(goal, minimum) for minimum in found]
    geometry = _geometry(goal, best)
    same = [abs(minimum.value - best.value) <= SAME * abs(best.value) + zero for minimum in found]
    others = [np.abs(shape.gram - geometry.gram).max() for shape, one in zip(shapes, same, strict=True) if one]
    disagreement = float(np.max(others)) if len(others) > 1 else float("nan")
    reached = geometry.deviation <= SIMPLEX_TOLERANCE and geometry.spread <= SIMPLEX_TOLERANCE
    return FreeOptimum(
        loss=loss,
        options=goal.options,
        counts=tuple(counts),
        dimension=int(space.judged(torch.from_numpy(best.point)).shape[1]),
        representation=_representation(space),
        value=best.value,
        stationarity=best.stationarity,
        values=tuple(minimum.value for minimum in found),
        stationarities=tuple(minimum.stationarity for minimum in found),
        agreeing=sum(same),
        gram_disagreement=disagreement,
        near_simplex=float("nan") if from_simplex is None else from_simplex.value,
        geometry=geometry,
        alignment=_alignment(goal, best),
        deviations=tuple(shape.cosine_std for shape in shapes),
        spreads=tuple(shape.spread for shape in shapes),
        errors=target_errors(goal, tuple(counts), geometry),
        program=program_check(goal, tuple(counts), best.value, geometry),
        simplex_value=simplex_value,
        reached=reached,
        equal_angles=geometry.deviation <= SIMPLEX_TOLERANCE,
        verdict=_verdict(reached, disagreement, geometry, best.value, simplex_value, zero),
        tolerance=SIMPLEX_TOLERANCE,
        boundary=boundary_share(goal, best.point),
        steps=best.steps,
        seed=seed,
        seconds=time.perf_counter() - begun,
    )


def _representation(space: Space) -> str:
    if isinstance(space, LayerPeeled):
        return "features"
    return "predictions" if isinstance(space, Logits) else "vectors"


def _verdict(reached: bool, disagreement: float, geometry: Geometry, value: float, simplex: float, zero: float) -> str:
    if reached:
        return "tie" if disagreement > SIMPLEX_TOLERANCE else "simplex"
    if geometry.deviation <= SIMPLEX_TOLERANCE:
        return "angles only"
    if np.isnan(simplex):
        return "no room"
    if abs(simplex - value) <= SAME * abs(value) + zero:
        return "tie"
    return "objective" if simplex > value else "search"


def _from_simplex(goal: Objective, rng: np.random.Generator) -> tuple[Minimum | None, float]:
    """The descent from a shaken simplex, and the loss at the simplex with the classes' vectors at their best."""
    simplex, spheres, own = goal.space.simplex, goal.space.spheres, goal.space.own
    if np.isnan(simplex).any():
        return None, float("nan")
    shaken = simplex + NUDGE * spheres.random(rng) / np.sqrt(len(spheres.lengths))
    minimum = minimise(goal.value, spheres, spheres.normalise(shaken))
    value = _value(goal, simplex)
    if own < spheres.size:
        fixed = torch.from_numpy(simplex[:own])
        ends = np.cumsum(spheres.lengths)
        rest = Spheres(tuple(length for length, end in zip(spheres.lengths, ends, strict=True) if end > own))
        value = min(value, minimise(lambda tail: goal.value(torch.cat([fixed, tail])), rest, simplex[own:]).value)
    return minimum, value


def _geometry(goal: Objective, minimum: Minimum) -> Geometry:
    vectors: Tensor = goal.space.judged(torch.from_numpy(minimum.point))
    return geometry_of(vectors.numpy(), goal.space.labels, centred=goal.space.centred)


def _alignment(goal: Objective, minimum: Minimum) -> float:
    point = torch.from_numpy(minimum.point)
    own = goal.space.classes(point).numpy()
    if not len(own):
        return float("nan")
    vectors = goal.space.judged(point).numpy()
    means = np.stack([vectors[goal.space.labels == k].mean(axis=0) for k in range(len(own))])
    if goal.space.centred:
        means = means - means.mean(axis=0)
    lengths = np.linalg.norm(means, axis=1) * np.linalg.norm(own, axis=1)
    return float(((means * own).sum(axis=1) / lengths).min()) if lengths.all() else float("nan")


def _value(goal: Objective, point: Array) -> float:
    with torch.no_grad():
        return float(goal.value(torch.from_numpy(point)))
