"""Ideal joint risk: what one linear probe that may learn from sources and target still gets wrong (an oracle)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.bound.divergence import SMALLEST_SIDE
from geometry.bound.risk import Array, Risk, estimate_risk
from geometry.bound.row import Row, row
from geometry.bound.subspace import FOLDS, deal_folds
from geometry.intervals import Interval, undefined

ITERATIONS = 50
PENALTY = 10.0
DIAGNOSTIC = "oracle diagnostic: the probe learns from target labels"


@dataclass(frozen=True, eq=False)
class JointRisk:
    """Errors of one cross-fitted probe trained on sources and target together.

    Attributes:
        where: the pair, ``target | sources``.
        total: balanced risk on the sources plus balanced risk on the target, in [0, 2].
        source: the probe's risks on the sources; None where undefined.
        target: the probe's risks on the target.
        note: conditions on the numbers.
    """

    where: str
    total: Interval
    source: Risk | None
    target: Risk | None
    note: str

    def rows(self) -> Iterator[Row]:
        """The sum, and its two parts."""
        yield row("ideal joint risk", "sum of balanced", "all", self.where, self.total, self.note)
        for name, part in (("source part", self.source), ("target part", self.target)):
            if part is not None:
                yield row("ideal joint risk", f"{name}, balanced", "all", self.where, part.balanced, DIAGNOSTIC)


def joint_risk(
    features: ArrayLike,
    side: ArrayLike,
    labels: ArrayLike,
    num_classes: int,
    *,
    where: str,
    rng: np.random.Generator,
    resamples: int = 200,
    level: float = 0.95,
) -> JointRisk:
    """Estimate ``min_h R_S(h) + R_T(h)`` from above by one cross-fitted multinomial logistic probe.

    Sources and target weigh the same in the fit, and so do the classes inside each. The least joint risk is a lower
    limit to what any head on these features can have on both; it needs target labels, so it explains and cannot select.
    Intervals redraw samples and do not refit.

    Args:
        features: ``(N, D)`` of comparable scale.
        side: ``(N,)`` 0 for the sources, 1 for the target.
        labels: ``(N,)`` integers in ``0..K-1``.
        num_classes: K.
        where: name of the pair.
        rng: source of randomness.
        resamples: bootstrap redraws.
        level: nominal coverage.
    """
    values, sides, codes = np.asarray(features, np.float64), np.asarray(side, np.int64), np.asarray(labels, np.int64)
    sizes = np.bincount(sides, minlength=2)
    if sizes.min() < SMALLEST_SIDE or np.unique(codes).size < 2:
        reason = f"a side has fewer than {SMALLEST_SIDE} samples, or there is only one class"
        return JointRisk(where, undefined(int(sizes.sum()), reason, level), None, None, DIAGNOSTIC)
    cells = sides * num_classes + codes
    folds, wrong = deal_folds(cells, rng), np.empty(sides.size, dtype=bool)
    for fold in range(FOLDS):
        out = folds == fold
        fit = ~out
        weights = 1.0 / np.bincount(cells[fit])[cells[fit]]
        for s in (0, 1):
            weights[sides[fit] == s] *= 0.5 * fit.sum() / weights[sides[fit] == s].sum()
        slope, centre, level_scores = logistic_rule(values[fit], codes[fit], weights, num_classes)
        wrong[out] = ((values[out] - centre) @ slope + level_scores).argmax(axis=1) != codes[out]
    parts, draws = [], []
    for s, name in ((0, "sources"), (1, "target")):
        held = sides == s
        parts.append(
            estimate_risk(wrong[held], codes[held], num_classes, where=name, rng=rng, resamples=resamples, level=level)
        )
        draws.append(parts[-1].balanced)
    spread = [np.maximum([part.estimate - part.low, part.high - part.estimate], 0.0) for part in draws]
    # Independent samples: deviations of the sum add in squares.
    below, above = np.sqrt(spread[0] ** 2 + spread[1] ** 2)
    value = draws[0].estimate + draws[1].estimate
    method = "percentile bootstraps of the two parts, deviations added in squares"
    total = Interval(
        value, float(max(0.0, value - below)), float(min(2.0, value + above)), level, int(sizes.sum()), method
    )
    thin = np.bincount(cells, minlength=2 * num_classes)
    few = int(np.sum((thin > 0) & (thin < FOLDS)))
    note = f"{DIAGNOSTIC}; cells of fewer than {FOLDS} samples: {few}"
    return JointRisk(where, total, parts[0], parts[1], note)


def logistic_rule(
    features: Array,
    labels: NDArray[np.int64],
    weights: Array,
    num_classes: int,
    *,
    penalty: float = PENALTY,
    iterations: int = ITERATIONS,
) -> tuple[Array, Array, Array]:
    """Weighted multinomial logistic regression: slope ``(D, K)``, centre ``(D,)``, level ``(K,)``.

    Böhning's bound (1992): the Hessian of the loss is at most ``1/2 X' W X`` for every class, so one Cholesky factor
    serves all steps; Nesterov's extrapolation speeds them up. Stopping after a fixed number of steps is one more
    penalty, the same on every fold.

    Args:
        features: ``(n, D)``.
        labels: ``(n,)`` integers in ``0..K-1``.
        weights: ``(n,)`` non-negative, sum n.
        num_classes: K.
        penalty: of the squared slope, for features of unit mean variance.
        iterations: steps.
    """
    from scipy.linalg import cho_factor, cho_solve

    centre = weights @ features / weights.sum()
    apart = features - centre
    scale = float(np.sqrt(np.mean(apart**2))) or 1.0
    design = np.column_stack([apart / scale, np.ones(len(features))])
    strength = np.full(design.shape[1], penalty)
    strength[-1] = 1e-3
    factor = cho_factor(0.5 * (design * weights[:, None]).T @ design + np.diag(strength))
    goal = np.zeros((len(features), num_classes))
    goal[np.arange(len(features)), labels] = 1.0
    now = ahead = np.zeros((design.shape[1], num_classes))
    pace = 1.0
    for _ in range(iterations):
        scores = design @ ahead
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
        gradient = design.T @ (weights[:, None] * (scores - goal)) + strength[:, None] * ahead
        following = ahead - cho_solve(factor, gradient)
        quicker = (1.0 + np.sqrt(1.0 + 4.0 * pace**2)) / 2.0
        ahead = following + (pace - 1.0) / quicker * (following - now)
        now, pace = following, quicker
    return now[:-1] / scale, centre, now[-1]
