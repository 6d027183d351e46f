"""The smallest change of an input that changes a classifier's prediction, by DeepFool on whole batches."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Score = Callable[[Tensor], Tensor]

MOST_ROUNDS = 60  # of the line search; bisecting every third round alone halves the bracket twenty times


@dataclass(frozen=True, eq=False)
class Boundary:
    """How far each sample is from the boundary of the region it is predicted to lie in.

    Attributes:
        distance: ``(N,)`` L2 norm of the change found, zero or more; NaN where none was found.
        predicted: ``(N,)`` the class predicted at the sample itself.
        logits: ``(N, K)`` its logits.
        iterations: ``(N,)`` linearisations taken.
        converged: ``(N,)`` whether a change of the prediction was found.
    """

    distance: NDArray[np.float64]
    predicted: NDArray[np.int64]
    logits: NDArray[np.float64]
    iterations: NDArray[np.int64]
    converged: NDArray[np.bool_]

    def signed(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """``(N,)`` the distance, negative where the prediction is not the label."""
        return np.where(self.predicted == labels, self.distance, -self.distance)


def deepfool(
    score: Score,
    inputs: Tensor,
    *,
    candidates: int | None = 10,
    most_iterations: int = 50,
    overshoot: float = 0.02,
    tolerance: float | None = None,
) -> Boundary:
    r"""An upper bound on ``min ||r||_2`` such that ``argmax z(x + r)`` is not ``argmax z(x)``, for every sample.

    Each iteration replaces the classifier by its tangent at the point reached and steps to the nearest boundary of
    that: with ``g_j = z_yhat - z_j``, ``j* = argmin_j |g_j| / ||grad g_j||`` and
    ``r += -g_j* grad g_j* / ||grad g_j*||^2``; the next point is ``x + (1 + overshoot) r`` (algorithm 2 and its
    released code). Once the prediction has changed there, a line search between ``x`` and that point finds where it
    changes, so the overshoot is not part of the distance (ours).

    The prediction has changed, or is tied, at the distance reported. The value is therefore never below the true
    minimum, up to ``tolerance`` and the rounding of the logits; it is the minimum itself where the classifier is
    linear and every class is a candidate. Elsewhere the linearised steps may end at a boundary that is not the nearest.
    Inputs are not clipped to any range.

    Args:
        score: ``(n, ...)`` inputs to ``(n, K)`` logits, differentiable, each row by its own sample alone (evaluation
            mode).
        inputs: ``(N, ...)``; single or double precision decides that of the result.
        candidates: how many classes are rivals: those of the highest logits at the sample; None for all.
        most_iterations: after so many linearisations a sample is given up.
        overshoot: relative excess of each step.
        tolerance: relative width of the bracket in which the line search leaves the boundary; by default two thirds
            of the digits of the inputs' precision.

    Source: Moosavi-Dezfooli, Fawzi and Frossard, "DeepFool", CVPR 2016, algorithm 2.
    """
    inputs = inputs.detach()
    with torch.no_grad():
        logits = score(inputs)
    predicted = logits.argmax(dim=1)
    rivals = _rivals(logits, predicted, candidates)
    moved = torch.zeros_like(inputs)
    lead = _lead(logits, predicted)
    iterations = torch.zeros_like(predicted)
    crossed = lead <= 0  # a tie is a point of the boundary
    active = ((lead > 0) & lead.isfinite()).nonzero().squeeze(1) if rivals.shape[1] else predicted[:0]
    for _ in range(most_iterations):
        if not len(active):
            break
        points = inputs[active] + (1 + overshoot) * moved[active]
        step, possible = _tangent_step(*gaps_and_gradients(score, points, predicted[active], rivals[active]))
        iterations[active] += 1
        active = active[possible]
        moved[active] += step[possible]
        with torch.no_grad():
            now = _lead(score(inputs[active] + (1 + overshoot) * moved[active]), predicted[active])
        crossed[active] = now <= 0
        active = active[now > 0]  # not where it is NaN
    found = crossed.nonzero().squeeze(1)
    way = (1 + overshoot) * moved[found]
    share = _crossing(score, inputs[found], way, predicted[found], lead[found], tolerance)
    distance = torch.full((len(inputs),), float("nan"), dtype=torch.float64, device=inputs.device)
    distance[found] = share.double() * way.double().flatten(1).norm(dim=1)
    return Boundary(
        distance=distance.cpu().numpy(),
        predicted=predicted.cpu().numpy(),
        logits=logits.double().cpu().numpy(),
        iterations=iterations.cpu().numpy(),
        converged=crossed.cpu().numpy(),
    )


def gaps_and_gradients(score: Score, points: Tensor, predicted: Tensor, rivals: Tensor) -> tuple[Tensor, Tensor]:
    """``(n, C)`` gaps ``z_yhat - z_j`` to every rival and ``(n, C, ...)`` their gradients by the points.

    One forward pass and C backward passes over the whole batch. Samples do not meet in ``score``, so the gradient of a
    sum over samples holds each sample's own; a vectorised pass of all C at once was slower on a CPU
    (``benchmarks/boundary.py``).

    Args:
        score: inputs to logits.
        points: ``(n, ...)``.
        predicted: ``(n,)`` the class that leads.
        rivals: ``(n, C)`` the classes compared with it.
    """
    points = points.detach().requires_grad_(True)
    with torch.enable_grad():
        logits = score(points)
        gaps = logits.gather(1, predicted[:, None]) - logits.gather(1, rivals)
        last = gaps.shape[1] - 1
        gradients = [
            torch.autograd.grad(gaps[:, rival].sum(), points, retain_graph=rival < last)[0]
            for rival in range(gaps.shape[1])
        ]
    return gaps.detach(), torch.stack(gradients, dim=1)


def _rivals(logits: Tensor, predicted: Tensor, candidates: int | None) -> Tensor:
    """``(N, C)`` the classes of the highest logits beside the predicted one."""
    others = logits.clone()
    others.scatter_(1, predicted[:, None], -torch.inf)
    most = logits.shape[1] - 1
    return others.topk(most if candidates is None else min(candidates, most), dim=1).indices


def _lead(logits: Tensor, predicted: Tensor) -> Tensor:
    """``(n,)`` lead of a class over its best rival, over all classes; infinite where there is no other."""
    others = logits.clone()
    others.scatter_(1, predicted[:, None], -torch.inf)
    return logits.gather(1, predicted[:, None]).squeeze(1) - others.amax(dim=1)


def _tangent_step(gaps: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """``(n, ...)`` steps to the nearest boundary of the tangents, and ``(n,)`` whether there is any."""
    flat = gradients.flatten(2)
    squares = flat.square().sum(dim=2)
    slopes = squares > 0
    reach = torch.where(slopes, gaps.abs() / squares.sqrt().where(slopes, torch.ones_like(squares)), torch.inf)
    nearest = reach.nan_to_num(nan=torch.inf).argmin(dim=1, keepdim=True)
    possible = reach.gather(1, nearest).squeeze(1).isfinite()
    factor = (gaps.gather(1, nearest) / squares.gather(1, nearest)).squeeze(1)
    way = flat[torch.arange(len(flat)), nearest.squeeze(1)]
    return (-factor[:, None] * way).reshape(gradients[:, 0].shape), possible


def _crossing(
    score: Score, start: Tensor, way: Tensor, predicted: Tensor, lead: Tensor, tolerance: float | None
) -> Tensor:
    """``(n,)`` shares ``t`` of the way at which the prediction has changed, and just before which it has not.

    The lead is positive at 0 and not at 1. False position with Illinois weights, kept off the ends of the bracket so
    that both close in, and bisection every third round. The upper end is returned.
    """
    if tolerance is None:
        tolerance = torch.finfo(start.dtype).eps ** (2 / 3)
    low, high = torch.zeros_like(lead), torch.ones_like(lead)
    with torch.no_grad():
        value_low, value_high = lead.clone(), _lead(score(start + way), predicted)
        high[lead <= 0] = 0
        for turn in range(MOST_ROUNDS):
            open_ = (high - low > tolerance * high).nonzero().squeeze(1)
            if not len(open_):
                break
            a, b = low[open_], high[open_]
            share = 0.5 if turn % 3 == 2 else value_low[open_] / (value_low[open_] - value_high[open_])
            edge = 0.5 * tolerance * b
            t = torch.minimum(torch.maximum(a + (b - a) * share, a + edge), b - edge)
            value = _lead(score(start[open_] + t.reshape(-1, *[1] * (way.dim() - 1)) * way[open_]), predicted[open_])
            before = value > 0
            low[open_], high[open_] = torch.where(before, t, a), torch.where(before, b, t)
            # The end that stays counts half, or it would stay for good.
            value_low[open_] = torch.where(before, value, value_low[open_] / 2)
            value_high[open_] = torch.where(before, value_high[open_] / 2, value)
    return high
