"""Minimise a differentiable function on a product of spheres, to stationarity.

Quasi-Newton first (L-BFGS on vectors that are normalised inside the function), then Newton's method with exact Hessian
products in a trust region (Absil, Baker and Gallivan 2007): quasi-Newton alone stalls at relative gaps of 1e-6 to 1e-8,
and a trust region leaves saddles.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.free.spheres import Spheres

Array = NDArray[np.float64]
Function = Callable[[Tensor], Tensor]

CORRECTIONS = 30  # pairs that L-BFGS remembers
QUASI_NEWTON_STEPS = 400
NEWTON_STEPS = 60
PRODUCTS = 400  # Hessian products in one Newton step
BUDGET = 4000  # Hessian products in all
LEAST_FORCING = 1e-3  # share of the gradient left by a Newton step; less would be rounding along flat directions
SMALLEST_REGION = 1e-12  # of the whole: a step within it cannot be told from rounding
POWER_ITERATIONS = 8
FLAT = 1e-10  # curvature, in units of the largest one met, below which it is rounding: rotating all vectors is flat
ROUNDING = 1e3 * np.finfo(np.float64).eps  # of a loss, in units of it: smaller differences say nothing


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a descent ended.

    Attributes:
        point: ``(P,)``.
        value: the function there.
        gradient: ``(P,)`` Euclidean gradient there.
        stationarity: length of the tangential gradient over the largest curvature: about how far, in radians, the
            stiffest motion is from rest. It does not depend on the scale of the loss; 0 where there is no force.
        steps: quasi-Newton and Newton steps.
    """

    point: Array
    value: float
    gradient: Array
    stationarity: float
    steps: tuple[int, int]


def minimise(function: Function, spheres: Spheres, start: Array, *, tolerance: float = 1e-9) -> Minimum:
    """Descend from ``start`` until the stationarity is below ``tolerance`` or no step gains anything.

    Args:
        function: ``(P,)`` float64 tensor to a scalar, twice differentiable almost everywhere.
        spheres: where the point lives.
        start: ``(P,)``.
        tolerance: stationarity asked for.
    """
    from scipy.optimize import minimize

    scale = float(np.linalg.norm(_gradient(function, start)[1])) or 1.0

    def inside(vector: Array) -> tuple[float, Array]:
        point = spheres.normalise(vector)
        value, gradient = _gradient(function, point)
        slope = spheres.tangent(point, gradient) / np.sqrt(spheres.inner(vector, vector))
        return value / scale, slope / scale

    options = {"maxcor": CORRECTIONS, "maxiter": QUASI_NEWTON_STEPS, "maxfun": 2 * QUASI_NEWTON_STEPS}
    answer = minimize(inside, start, jac=True, method="L-BFGS-B", options=options | {"ftol": 0.0, "gtol": 0.0})
    return _newton(function, spheres, spheres.normalise(answer.x), int(answer.nit), tolerance)


def _newton(function: Function, spheres: Spheres, point: Array, quasi_newton_steps: int, tolerance: float) -> Minimum:
    """Trust-region Newton steps, each solved by truncated conjugate gradients (Steihaug)."""
    largest = np.sqrt(len(spheres.lengths))
    radius, steps, spent = largest / 8, 0, 0
    here = _Local(function, spheres, point)
    while steps < NEWTON_STEPS and spent < BUDGET and here.stationarity > tolerance:
        steps += 1
        forcing = min(0.1, max(here.stationarity, LEAST_FORCING))
        move, predicted, at_edge, products = _conjugate_gradients(here.product, here.slope, radius, forcing)
        spent += products
        trial = spheres.normalise(here.point + move)
        slack = ROUNDING * abs(here.value)
        found, _ = _gradient(function, trial)
        ratio = (here.value - found + slack) / (predicted + slack) if predicted + slack > 0 else 0.0
        if ratio < 0.25:
            radius /= 4
        elif ratio > 0.75 and at_edge:
            radius = min(2 * radius, largest)
        if ratio > 0.1:
            before, here = here, _Local(function, spheres, trial)
            if predicted <= slack and here.stationarity > 0.5 * before.stationarity:
                break  # the model promises less than rounding, and the forces no longer fall
        elif radius < SMALLEST_REGION * largest:
            break
    return Minimum(here.point, here.value, here.gradient, here.stationarity, (quasi_newton_steps, steps))


def _conjugate_gradients(
    product: Callable[[Array], Array], gradient: Array, radius: float, forcing: float
) -> tuple[Array, float, bool, int]:
    """The step, the decrease that the quadratic model promises, whether it ends on the region's edge, and products."""
    step, residual = np.zeros_like(gradient), gradient.copy()
    direction, squared = -residual, float(residual @ residual)
    curved = np.zeros_like(gradient)  # the Hessian times the step
    goal = forcing * np.sqrt(squared)
    at_edge, stiffest, products = False, 0.0, 0
    while products < min(PRODUCTS, 2 * gradient.size):
        products += 1
        bent = product(direction)
        curvature = float(direction @ bent)
        stiffest = max(stiffest, float(np.linalg.norm(bent) / np.linalg.norm(direction)))
        flat = FLAT * stiffest * float(direction @ direction)
        if abs(curvature) <= flat and step.any():
            break
        length = squared / curvature if curvature > flat else np.inf
        if curvature <= flat or np.linalg.norm(step + length * direction) >= radius:
            length, at_edge = _to_edge(step, direction, radius), True
        step = step + length * direction
        curved = curved + length * bent
        residual = residual + length * bent
        before, squared = squared, float(residual @ residual)
        if at_edge or np.sqrt(squared) <= goal:
            break
        direction = -residual + (squared / before) * direction
    return step, -float(gradient @ step) - 0.5 * float(step @ curved), at_edge, products


def _to_edge(step: Array, direction: Array, radius: float) -> float:
    a, b, c = float(direction @ direction), float(step @ direction), float(step @ step) - radius**2
    return float((-b + np.sqrt(max(b * b - a * c, 0.0))) / a)


def _gradient(function: Function, point: Array) -> tuple[float, Array]:
    at = torch.from_numpy(point).requires_grad_()
    value = function(at)
    (gradient,) = torch.autograd.grad(value, at)
    return float(value.detach()), gradient.numpy()


class _Local:
    """Value, gradient and Hessian products of a function on spheres, at one point."""

    def __init__(self, function: Function, spheres: Spheres, point: Array) -> None:
        self.point, self._spheres = point, spheres
        self._at = torch.from_numpy(point).requires_grad_()
        value = function(self._at)
        (self._graph,) = torch.autograd.grad(value, self._at, create_graph=True)
        self.value, self.gradient = float(value.detach()), self._graph.detach().numpy()
        self.slope = spheres.tangent(point, self.gradient)
        self._radial = spheres.inner(point, self.gradient)
        length, curvature = float(np.linalg.norm(self.slope)), self._largest_curvature()
        rounding = 10 * np.finfo(np.float64).eps * abs(self.value)  # where nothing acts, noise over noise says nothing
        self.stationarity = 0.0 if length <= rounding else length / curvature if curvature > 0 else 1.0

    def product(self, direction: Array) -> Array:
        """The Hessian on the spheres times a tangential direction."""
        return self._spheres.tangent(self.point, self._euclidean(direction)) - self._radial * direction

    def _euclidean(self, direction: Array) -> Array:
        if not self._graph.requires_grad:  # linear in the point: no curvature
            return np.zeros_like(direction)
        along = torch.from_numpy(direction)
        (found,) = torch.autograd.grad(self._graph, self._at, along, retain_graph=True, allow_unused=True)
        return np.zeros_like(direction) if found is None else np.asarray(found.numpy(), dtype=np.float64)

    def _largest_curvature(self) -> float:
        """A lower bound close to the largest eigenvalue of the Hessian in modulus: a few power iterations."""
        rng = np.random.default_rng(0)
        direction, length = self._spheres.tangent(self.point, rng.standard_normal(self.point.size)), 0.0
        for _ in range(POWER_ITERATIONS):
            norm = float(np.linalg.norm(direction))
            if norm == 0.0:
                return 0.0
            direction = self.product(direction / norm)
            length = max(length, float(np.linalg.norm(direction)))
        return length
