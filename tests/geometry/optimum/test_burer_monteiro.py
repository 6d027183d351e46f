import numpy as np
import pytest

from geometry.frames import simplex_etf
from geometry.optimum import InfoNCE, Program, certify
from geometry.optimum.burer_monteiro import FactorPoint, solve_factor
from geometry.optimum.program import unit_gram, unit_rows


def long_tail(size, tau, ratio=100.0):
    weights = ratio ** (-np.arange(size) / (size - 1))
    return Program(weights / weights.sum(), InfoNCE(), tau)


@pytest.mark.parametrize("size", [3, 10, 40])
@pytest.mark.parametrize("tau", [0.02, 0.1, 0.5, 1.0, 20.0])
def test_long_tails_are_solved_to_rounding_error(size, tau):
    program = long_tail(size, tau)
    answer = solve_factor(program, simplex_etf(size))
    certificate = certify(program, answer.gram)
    assert certificate.certifies(1e-9)
    assert certificate.complementarity < 1e-11
    assert certificate.value <= program.reference_value * (1 + 1e-14)
    assert answer.residual < 1e-12
    assert answer.steps < 60


def test_hessian_equals_the_derivative_of_the_gradient():
    rng = np.random.default_rng(0)
    program = long_tail(5, 0.7)
    factor = unit_rows(rng.normal(size=(5, 5)))
    point = FactorPoint(program, factor)
    move = point.tangent(rng.normal(size=(5, 5)))
    step = 1e-6
    ahead, behind = (FactorPoint(program, unit_rows(factor + sign * step * move)) for sign in (1, -1))
    difference = point.tangent((ahead.gradient - behind.gradient) / (2 * step))
    np.testing.assert_allclose(point.hessian(move), difference, atol=1e-7)
    slope = (ahead.value - behind.value) / (2 * step)
    assert (point.gradient * move).sum() == pytest.approx(slope, rel=1e-6)


def test_every_start_reaches_the_same_optimum():
    program = long_tail(6, 1.0)
    reference = solve_factor(program, simplex_etf(6)).gram
    rng = np.random.default_rng(1)
    for _ in range(5):
        start = unit_gram(unit_rows(rng.normal(size=(6, 6))))
        np.testing.assert_allclose(solve_factor(program, start).gram, reference, atol=1e-8)


def test_rare_classes_below_the_rounding_error_of_the_loss_still_find_their_angle():
    """3 + 3 classes, ratio 1e6: forces among the rare ones are 1e-12 of the loss; theory's limit cosine is 0.56617."""
    weights = np.array([1e6] * 3 + [1.0] * 3)
    answer = solve_factor(Program(weights / weights.sum(), InfoNCE(), 1.0), simplex_etf(6))
    assert answer.gram[4, 5] == pytest.approx(0.56617, abs=1e-5)


def test_a_stationary_start_is_returned():
    program = Program(np.array([0.9, 0.1]), InfoNCE(), 1.0)
    answer = solve_factor(program, simplex_etf(2))
    np.testing.assert_allclose(answer.gram, simplex_etf(2), atol=1e-15)
