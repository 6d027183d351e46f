import cvxpy
import numpy as np
import pytest

from geometry.errors import UsageError
from geometry.thresholds import layer_peeled_threshold

# Geometry theory, section 8: (K_A, K_B, E_H, E_W, R*)
LISTED = [
    (5, 5, 5, 1, 12.1924), (3, 7, 5, 1, 245.497), (7, 3, 5, 1, 4.00047), (2, 3, 5, 1, 104.837), (2, 2, 1, 1, 3.38049),
    (3, 3, 1, 1, 2.36371), (5, 5, 1, 1, 1.73542), (1, 3, 1, 1, 24.3547), (5, 5, 5, 5, 3954.67),
]  # fmt: skip


@pytest.mark.parametrize(("majority", "minority", "e_h", "e_w", "listed"), LISTED)
def test_listed_values(majority, minority, e_h, e_w, listed):
    assert layer_peeled_threshold(majority, minority, e_h, e_w).r_star == pytest.approx(listed, rel=5e-6)


def minority_cosine(majority, minority, ratio, budget):
    """Cosine of two minority classifiers at the optimum of the nuclear-norm program."""
    size = majority + minority
    logits = cvxpy.Variable((size, size))
    weights = np.repeat([1.0, 1.0 / ratio], [majority, minority])
    losses = [cvxpy.log_sum_exp(logits[:, k]) - logits[k, k] for k in range(size)]
    problem = cvxpy.Problem(cvxpy.Minimize(weights @ cvxpy.hstack(losses)), [cvxpy.normNuc(logits) <= budget])
    problem.solve(solver=cvxpy.CLARABEL)
    left, values, _ = np.linalg.svd(logits.value)
    first, second = (left * np.sqrt(values))[-2:]
    return first @ second / np.linalg.norm(first) / np.linalg.norm(second)


@pytest.mark.parametrize(("majority", "minority", "e_h"), [(2, 2, 1.0), (1, 3, 1.0), (3, 3, 1.0), (2, 3, 5.0)])
def test_the_nuclear_norm_program_switches(majority, minority, e_h):
    ratio = layer_peeled_threshold(majority, minority, e_h, 1.0).r_star
    budget = (majority + minority) * np.sqrt(e_h)
    assert minority_cosine(majority, minority, 0.99 * ratio, budget) < 0.995
    assert minority_cosine(majority, minority, 1.01 * ratio, budget) > 0.9999


def test_only_the_product_of_norms_matters():
    one, other = layer_peeled_threshold(4, 6, 8.0, 0.5), layer_peeled_threshold(4, 6, 2.0, 2.0)
    assert one.r_star == pytest.approx(other.r_star, rel=1e-12)


def test_more_norm_needs_more_imbalance():
    ratios = [layer_peeled_threshold(3, 3, e, 1.0).r_star for e in (1e-6, 0.1, 1.0, 10.0)]
    assert ratios[0] == pytest.approx(1.0, abs=1e-3)
    assert (np.diff(ratios) > 0).all()


def test_beyond_floating_point_numbers_the_logarithm_stays():
    found = layer_peeled_threshold(1, 1000)
    assert found.r_star == np.inf
    assert 900 < found.log10_r_star < 1000
    assert "R = 1e969" in found.reason


@pytest.mark.parametrize(("arguments", "match"), [((0, 3), "at least one"), ((3, 3, -1.0), "positive norms")])
def test_bad_arguments(arguments, match):
    with pytest.raises(UsageError, match=match):
        layer_peeled_threshold(*arguments)
