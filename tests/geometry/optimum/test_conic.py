import numpy as np
import pytest

import geometry.optimum.conic as conic
from geometry.errors import TailgeomError
from geometry.frames import simplex_etf
from geometry.optimum import Hinge, InfoNCE, Program, certify
from geometry.optimum.burer_monteiro import solve_factor
from geometry.optimum.hardest_negative import HardestNegative


def long_tail(size, tau, ratio=100.0):
    weights = ratio ** (-np.arange(size) / (size - 1))
    return Program(weights / weights.sum(), InfoNCE(), tau)


@pytest.mark.parametrize("size", [3, 10])
@pytest.mark.parametrize(("tau", "reached"), [(0.1, 1e-6), (0.5, 1e-9), (1.0, 1e-9)])
def test_conic_agrees_with_the_independent_factor_route(size, tau, reached):
    """Measured with Clarabel 0.11: relative gaps 4e-8 at tau = 0.1, 6e-12 at 0.5, 3e-11 at 1."""
    program = long_tail(size, tau)
    answer = conic.solve_conic(program)
    certificate = certify(program, answer.gram)
    assert certificate.certifies(reached)
    assert certificate.value <= program.reference_value * (1 + 1e-12)
    other = solve_factor(program, simplex_etf(size)).gram
    np.testing.assert_allclose(answer.gram, other, atol=1e-6)
    assert answer.status in ("optimal", "optimal_inaccurate")
    assert 1 <= answer.attempts <= len(conic.SCALINGS)


def test_failures_are_retried_at_other_scalings_and_the_least_value_is_kept(monkeypatch):
    program = long_tail(4, 1.0)
    best = solve_factor(program, simplex_etf(4)).gram
    replies = iter(
        [
            conic._Reply("failed"),
            conic._Reply("optimal_inaccurate", np.eye(4)),
            conic._Reply("optimal_inaccurate", best),
            conic._Reply("failed"),
        ]
    )
    monkeypatch.setattr(conic, "_attempt", lambda *_: next(replies))
    answer = conic.solve_conic(program)
    np.testing.assert_allclose(answer.gram, best, atol=1e-7)
    assert (answer.status, answer.attempts) == ("optimal_inaccurate", 3)
    monkeypatch.setattr(conic, "_attempt", lambda *_: conic._Reply("failed"))
    with pytest.raises(TailgeomError, match="failed at every scaling"):
        conic.solve_conic(program)


def test_a_solver_that_breaks_down_is_reported_not_raised(monkeypatch):
    import cvxpy

    def broken(*_, **__):
        raise cvxpy.error.SolverError("broke down")

    monkeypatch.setattr(cvxpy.Problem, "solve", broken)
    with pytest.raises(TailgeomError, match="broke down"):
        conic.solve_conic(long_tail(3, 1.0))


def test_a_loss_too_small_for_cones_is_refused():
    with pytest.raises(TailgeomError, match="too small for a conic solver"):
        conic.solve_conic(long_tail(10, 0.03))


def test_a_kinked_loss_is_modelled_until_the_model_is_exact_at_its_answer(monkeypatch):
    weights = 100.0 ** (-np.arange(6) / 5)
    program = Program(weights / weights.sum(), HardestNegative(1.4, 3), 1.0)
    models, attempt = [], conic._attempt

    def counted(program, scaling, at):
        models.append(attempt(program, scaling, at))
        return models[-1]

    monkeypatch.setattr(conic, "_attempt", counted)
    answer = conic.solve_conic(program)
    value = program.value(answer.gram)
    assert 1 <= len(models) <= conic.MOST_MODELS
    assert all(model.value <= value * (1 + 1e-7) for model in models)  # lower bounds, all of them
    assert certify(program, answer.gram).certifies(1e-7)


def test_the_mean_hinge_needs_one_model(monkeypatch):
    program = Program(np.array([0.7, 0.2, 0.1]), Hinge(1.9), 1.0)
    attempt, models = conic._attempt, []
    monkeypatch.setattr(conic, "_attempt", lambda *args: models.append(attempt(*args)) or models[-1])
    conic.solve_conic(program)
    assert len(models) == 1
