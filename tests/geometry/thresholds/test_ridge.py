import cvxpy
import numpy as np
import pytest

from geometry.errors import UsageError
from geometry.thresholds import ridge_threshold


def minority_cosine(majority, minority, ratio, per_class, decay):
    """Cosine of two minority classifiers at the optimum of the convex program in the logits."""
    size = majority + minority
    counts = np.repeat([ratio * per_class, per_class], [majority, minority])
    logits = cvxpy.Variable((size, size))
    losses = [cvxpy.log_sum_exp(logits[:, k]) - logits[k, k] for k in range(size)]
    norm = cvxpy.normNuc(logits @ np.diag(np.sqrt(counts)))
    problem = cvxpy.Problem(cvxpy.Minimize(counts / counts.sum() @ cvxpy.hstack(losses) + decay * norm))
    problem.solve(solver=cvxpy.CLARABEL)
    left, values, _ = np.linalg.svd(logits.value @ np.diag(np.sqrt(counts)))
    first, second = (left * np.sqrt(values))[-2:]
    return first @ second / np.linalg.norm(first) / np.linalg.norm(second)


@pytest.mark.parametrize(("majority", "minority", "per_class"), [(2, 2, 50.0), (1, 3, 20.0)])
def test_the_convex_program_switches(majority, minority, per_class):
    found = ridge_threshold(majority, minority, lambda_w=5e-3, lambda_h=2e-3, minority_samples=per_class)
    decay = np.sqrt(5e-3 * 2e-3)
    assert minority_cosine(majority, minority, 0.98 * found.r_star, per_class, decay) < 0.98
    assert minority_cosine(majority, minority, 1.02 * found.r_star, per_class, decay) > 0.999


@pytest.mark.parametrize("kept", [{"minority_samples": 37.0}, {"samples": 5e4}])
def test_the_condition_holds_with_equality(kept):
    found = ridge_threshold(3, 4, lambda_w=2e-4, lambda_h=1e-4, **kept)
    per_minority = kept.get("minority_samples") or kept["samples"] / (3 * found.r_star + 4)
    total = per_minority * (3 * found.r_star + 4)
    assert np.sqrt(per_minority) == pytest.approx(total * np.sqrt(2e-4 * 1e-4))


def test_strong_decay_collapses_at_any_ratio():
    assert ridge_threshold(3, 3, lambda_w=1.0, lambda_h=1.0).r_star == 1.0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"samples": 10, "minority_samples": 3}, "got both"),
        ({"samples": 0}, "positive number of samples"),
        ({"lambda_w": 0.0}, "positive decays"),
    ],
)
def test_bad_arguments(options, match):
    with pytest.raises(UsageError, match=match):
        ridge_threshold(3, 3, **options)
