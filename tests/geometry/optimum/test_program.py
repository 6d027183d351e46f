import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.errors import UsageError
from geometry.frames import simplex_etf
from geometry.optimum import InfoNCE, Program
from geometry.optimum.loss_family import named_loss
from geometry.optimum.program import unit_factor, unit_gram, unit_rows


def program_and_gram(size, tau, q, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random(size) ** 3 + 1e-3
    program = Program(weights / weights.sum(), InfoNCE(q), tau)
    return program, unit_gram(unit_rows(rng.normal(size=(size, size)))), rng


cases = {
    "size": st.integers(2, 7),
    "tau": st.floats(0.2, 5.0),
    "q": st.floats(0.05, 20.0),
    "seed": st.integers(0, 10**6),
}


@given(**cases)
@settings(max_examples=25, deadline=None)
def test_value_equals_the_written_sum(size, tau, q, seed):
    program, gram, _ = program_and_gram(size, tau, q, seed)
    pi = program.proportions
    total = 0.0
    for y in range(size):
        inner = sum(pi[c] / (1 - pi[y]) * math.exp((gram[y, c] - 1) / tau) for c in range(size) if c != y)
        total += pi[y] * math.log(1 + q * inner)
    assert program.value(gram) == pytest.approx(total, rel=1e-12)


def test_limit_of_many_negatives():
    """E log(1 + (Q/k) sum e^t) over k sampled negatives rises to the value used, and is near it at k = 1000."""
    program, gram, rng = program_and_gram(4, 0.5, 2.0, 0)
    drawn = [
        np.log1p(2.0 * np.exp(program.exponents(gram)[y])[rng.choice(4, (4000, 1000), p=program.masses[y])].mean(1))
        for y in range(4)
    ]
    assert program.proportions @ np.mean(drawn, axis=1) == pytest.approx(program.value(gram), rel=1e-3)


@given(**cases)
@settings(max_examples=25, deadline=None)
def test_forces_and_their_change_equal_finite_differences(size, tau, q, seed):
    program, gram, rng = program_and_gram(size, tau, q, seed)
    change = rng.normal(size=(size, size))
    change = change + change.T
    np.fill_diagonal(change, 0.0)
    step = 1e-5 * tau
    ahead, behind = gram + step * change, gram - step * change
    slope = (program.value(ahead) - program.value(behind)) / (2 * step)
    forces = program.forces(gram)
    scale = np.abs(forces * change).sum()
    assert (forces * change).sum() == pytest.approx(slope, abs=1e-7 * scale)
    np.testing.assert_allclose(
        program.force_changes(gram, change),
        (program.forces(ahead) - program.forces(behind)) / (2 * step),
        atol=1e-6 * np.abs(forces).max() / tau,
    )
    np.testing.assert_array_equal(forces, forces.T)
    assert not np.diag(forces).any()


def test_conic_expression_has_the_same_value():
    import cvxpy

    program, gram, _ = program_and_gram(5, 0.7, 3.0, 4)
    exponents = cvxpy.Constant(program.exponents(gram))
    expression = program.loss.expression(exponents, program.masses)
    np.testing.assert_allclose(
        expression.value, program.loss.expectation(program.exponents(gram), program.masses), rtol=1e-12
    )
    assert program.loss.expression(cvxpy.Variable((5, 5)), program.masses).is_convex()


def test_no_digits_are_lost_when_one_class_is_nearly_everything():
    program = Program(np.array([1.0, 1e-18, 3e-18]), InfoNCE(), 1.0)
    np.testing.assert_allclose(program.masses[0], [0.0, 0.25, 0.75], rtol=1e-14)


def test_low_temperature_keeps_relative_accuracy():
    program = Program(np.full(3, 1 / 3), InfoNCE(), 0.05)
    # log(1 + e^-30) at the ETF, to first order
    assert program.reference_value == pytest.approx(math.exp(-30.0), rel=1e-11)


@pytest.mark.parametrize("tau", [0.0, -1.0, float("nan"), float("inf"), 1e-4])
def test_bad_temperatures(tau):
    with pytest.raises(UsageError, match="temperature"):
        Program(np.full(3, 1 / 3), InfoNCE(), tau)


def test_bad_losses():
    with pytest.raises(UsageError, match="known: infonce"):
        named_loss("info")
    for q in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="positive weight"):
            named_loss("infonce", q=q)
    assert named_loss("infonce").name == "infonce"


def test_unit_factor_projects_to_feasible_matrices():
    noisy = simplex_etf(6) + 1e-3 * np.random.default_rng(0).normal(size=(6, 6))
    gram = unit_gram(unit_factor(noisy))
    assert (np.diag(gram) == 1.0).all()
    assert np.linalg.eigvalsh(gram)[0] > -1e-14
    np.testing.assert_allclose(gram, simplex_etf(6), atol=1e-2)
    np.testing.assert_allclose(unit_gram(unit_factor(gram)), gram, atol=1e-7)
