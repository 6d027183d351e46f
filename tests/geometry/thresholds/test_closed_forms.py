"""Theory 5.1 against a naive enumeration of k negatives, and against the root of the optimality condition."""

from math import comb

import numpy as np
import pytest

from geometry.optimum import Exponential, InfoNCE, LogMeanExp, MeanLoss, Quadratic
from geometry.thresholds import closed_form, threshold
from geometry.thresholds.roots import collapse_intervals
from geometry.thresholds.smooth import excess
from geometry.thresholds.step_model import StepModel


@pytest.mark.parametrize("minority", [2, 3, 9])
@pytest.mark.parametrize("tau", [0.2, 1.0, 5.0])
@pytest.mark.parametrize(
    ("loss", "collisions"),
    [(InfoNCE(), False), (InfoNCE(4.0), False), (LogMeanExp(), False), (Exponential(), False),
     (InfoNCE(), True), (InfoNCE(0.3), True), (LogMeanExp(), True)],
)  # fmt: skip
def test_closed_forms_equal_the_root_of_the_condition(minority, tau, loss, collisions):
    closed = closed_form(minority, loss, tau, collisions=collisions)
    model = StepModel(1, minority, loss, tau, collisions)
    (window,) = collapse_intervals(lambda ratio: excess(model, ratio), 0.0, 30.0)
    assert window.low == pytest.approx(closed, rel=1e-10)
    assert window.high == np.inf


class Softplus(MeanLoss):
    """A symmetric psi that is not of the log family: log(1 + e^{3 u}) of u = mean e^t."""

    name = "softplus"
    separable = False

    def inner(self, t):
        return np.exp(t), np.exp(t), np.exp(t)

    def outer(self, u):
        s = 1.0 / (1.0 + np.exp(-3.0 * u))
        return np.logaddexp(0.0, 3.0 * u), 3.0 * s, 9.0 * s * (1.0 - s)


def binomial_excess(ratio, minority, k, s, slope):
    """R k a + C2 E[N u_N] - 2 C2^2/(C2 - 1) E[(k - N) v_N], with slope(t, others) = d psi / dt."""
    w = ratio / (ratio + minority - 1)
    chances = [comb(k, n) * w**n * (1 - w) ** (k - n) for n in range(k + 1)]
    pulled = sum(chances[n] * n * slope(s, [s] * (n - 1) + [0.0] * (k - n)) for n in range(1, k + 1))
    pushed = sum(chances[n] * (k - n) * slope(0.0, [s] * n + [0.0] * (k - n - 1)) for n in range(k))
    return ratio * k * slope(s, [s] * (k - 1)) + minority * pulled - 2 * minority**2 / (minority - 1) * pushed


def infonce_slope(t, others):
    k = len(others) + 1
    return np.exp(t) / k / (1 + (np.exp(t) + np.exp(others).sum()) / k)


def softplus_slope(t, others):
    k = len(others) + 1
    return 3.0 / (1.0 + np.exp(-3.0 * (np.exp(t) + np.exp(others).sum()) / k)) * np.exp(t) / k


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("minority", [2, 7])
@pytest.mark.parametrize("tau", [0.4, 1.5])
@pytest.mark.parametrize(("loss", "slope"), [(InfoNCE, infonce_slope), (Softplus, softplus_slope)])
def test_the_binomial_condition_of_any_symmetric_loss(k, minority, tau, loss, slope):
    ratio = threshold(1, minority, loss=loss(negatives=k), tau=tau).r_star
    below, above = (binomial_excess(f * ratio, minority, k, -2 / tau, slope) for f in (1 - 1e-7, 1 + 1e-7))
    assert below < 0 < above


def test_no_slope_at_the_antipode_is_never():
    assert closed_form(3, Quadratic(), 1.0, collisions=False) == np.inf
    assert closed_form(3, InfoNCE(negatives=4), 1.0, collisions=False) is None
