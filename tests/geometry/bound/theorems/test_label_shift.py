import numpy as np
import pytest

from geometry.bound.theorems import label_shift_bound
from geometry.errors import DataError


def finite_problem(rng):
    """Two joint distributions on a finite X x Y and a classifier, with every population quantity exact."""
    points, classes = int(rng.integers(2, 12)), int(rng.integers(2, 7))
    sharp = rng.choice([0.1, 1.0, 5.0])
    joints = [rng.dirichlet(np.full(points * classes, sharp)).reshape(points, classes) + 1e-9 for _ in range(2)]
    joints = [joint / joint.sum() for joint in joints]
    predicted = rng.integers(0, classes, points)
    wrong = predicted[:, None] != np.arange(classes)
    priors = [joint.sum(axis=0) for joint in joints]
    errors = [(joint * wrong).sum(axis=0) / prior for joint, prior in zip(joints, priors, strict=True)]
    risks = [float((joint * wrong).sum()) for joint in joints]
    return priors, [np.clip(e, 0, 1) for e in errors], risks


def test_never_violated_on_random_finite_problems():
    rng, slacks = np.random.default_rng(0), []
    for _ in range(3000):
        (p_s, p_t), (e_s, e_t), (r_s, r_t) = finite_problem(rng)
        bound = label_shift_bound(p_s, p_t, e_s, e_t)
        assert bound.target_risk == pytest.approx(r_t)
        assert bound.source_risk == pytest.approx(r_s)
        assert r_t <= bound.bound + 1e-12
        assert bound.balanced_target_risk <= bound.balanced_bound + 1e-12
        slacks.append(bound.slack)
    assert min(slacks) >= -1e-12
    assert np.median(slacks) < 0.5  # a bound that were always vacuous would pass the rest


def test_each_term_is_needed():
    prior_only = label_shift_bound([0.9, 0.1], [0.1, 0.9], [0.0, 0.5], [0.0, 0.5])
    assert prior_only.conditional_cost == 0.0
    assert prior_only.source_risk < prior_only.target_risk
    assert prior_only.slack == pytest.approx(0.0)
    conditional_only = label_shift_bound([0.5, 0.5], [0.5, 0.5], [0.0, 0.0], [0.4, 0.2])
    assert conditional_only.prior_cost == 0.0
    assert conditional_only.slack == pytest.approx(0.0)


def test_equal_class_errors_make_label_shift_free():
    bound = label_shift_bound([0.99, 0.01], [0.01, 0.99], [0.3, 0.3], [0.3, 0.3])
    assert bound.prior_cost == 0.0
    assert bound.target_risk == pytest.approx(bound.source_risk)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (([0.5, 0.5], [1.0], [0, 0], [0, 0]), "four arrays"),
        (([0.5, 0.4], [0.5, 0.5], [0, 0], [0, 0]), "sum to 1"),
        (([0.5, 0.5], [0.5, 0.5], [0, np.nan], [0, 0]), "class error"),
    ],
)
def test_impossible_quantities_are_refused(arguments, match):
    with pytest.raises(DataError, match=match):
        label_shift_bound(*arguments)
