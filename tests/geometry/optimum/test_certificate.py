import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.errors import DataError
from geometry.frames import simplex_etf
from geometry.optimum import InfoNCE, Program, certify
from geometry.optimum.burer_monteiro import solve_factor
from geometry.optimum.certificate import dual_slack
from geometry.optimum.program import unit_gram, unit_rows


def random_program(size, tau, seed):
    weights = np.random.default_rng(seed).random(size) ** 2 + 1e-2
    return Program(weights / weights.sum(), InfoNCE(), tau)


@given(size=st.integers(2, 7), tau=st.floats(0.1, 3.0), spread=st.floats(0.0, 1.0), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_the_gap_bounds_the_true_excess_of_any_feasible_matrix(size, tau, spread, seed):
    program = random_program(size, tau, seed)
    best = solve_factor(program, simplex_etf(size)).gram
    rng = np.random.default_rng(seed + 1)
    values, vectors = np.linalg.eigh(best)
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    gram = unit_gram(unit_rows(factor + spread * rng.normal(size=(size, size))))
    certificate = certify(program, gram)
    assert certificate.feasible
    assert program.value(gram) - program.value(best) <= certificate.gap * (1 + 1e-9)
    assert certificate.lower_bound <= program.value(best)
    assert certificate.relative_gap >= program.value(gram) / program.value(best) - 1 - 1e-9
    if spread > 0.2 and size > 2:  # two random vectors may be antipodal by chance
        assert not certificate.certifies(1e-6)


def test_optimum_satisfies_the_optimality_conditions():
    program = random_program(6, 0.5, 3)
    certificate = certify(program, solve_factor(program, simplex_etf(6)).gram)
    assert certificate.slack_eigenvalue > -1e-13
    assert certificate.complementarity < 1e-12
    assert certificate.certifies(1e-11)
    assert not certificate.certifies(1e-17)  # rounding is allowed for, so no answer is exact
    assert certificate.bound in ("uniform", "multipliers", "negative part")


def test_slack_is_orthogonal_to_the_matrix():
    program = random_program(5, 1.0, 0)
    gram = unit_gram(unit_rows(np.random.default_rng(0).normal(size=(5, 5))))
    slack, multipliers = dual_slack(program.forces(gram), gram)
    assert (slack * gram).sum() == pytest.approx(0.0, abs=1e-15)
    np.testing.assert_allclose(multipliers, -np.diag(program.forces(gram) @ gram), rtol=1e-12)


def test_an_infeasible_matrix_is_never_certified_though_its_slack_is_positive():
    program = Program(np.array([0.7, 0.3]), InfoNCE(), 1.0)
    gram = np.array([[1.0, -1.5], [-1.5, 1.0]])
    certificate = certify(program, gram)
    assert certificate.slack_eigenvalue > 0  # the dual test alone would accept it
    assert program.value(gram) < program.value(simplex_etf(2))
    assert not certificate.feasible
    assert certificate.gap == np.inf
    assert not certificate.certifies(1e300)
    too_long = certify(program, 1.01 * simplex_etf(2))
    assert not too_long.feasible
    assert too_long.diagonal_error == pytest.approx(0.01)


def test_a_slightly_infeasible_matrix_is_charged_for_it():
    program = random_program(4, 1.0, 1)
    best = solve_factor(program, simplex_etf(4)).gram
    outside = best - 5e-10 * (np.ones((4, 4)) - np.eye(4))
    certificate = certify(program, outside)
    assert certificate.feasible
    assert certificate.relative_gap > certify(program, best).relative_gap
    assert certificate.gap >= program.value(best) - program.value(outside)


@pytest.mark.parametrize("gram", [np.eye(3), np.full((4, 4), np.nan), np.triu(np.ones((4, 4)))])
def test_what_is_no_gram_matrix_is_refused(gram):
    with pytest.raises(DataError, match="symmetric Gram matrix"):
        certify(random_program(4, 1.0, 0), gram)
