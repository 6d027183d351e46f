import numpy as np
import pytest

from geometry.bound.subspace import deal_folds, ridge_rule, shared_scores


@pytest.mark.parametrize("shape", [(50, 8), (8, 50)])
def test_scores_keep_all_distances_when_no_direction_is_dropped(shape):
    values = np.random.default_rng(0).normal(size=shape) * np.linspace(0.1, 10, shape[1]) + 3
    scores = shared_scores(values, np.random.default_rng(0))
    standard = (values - values.mean(axis=0)) / values.std(axis=0)
    np.testing.assert_allclose(scores @ scores.T, standard @ standard.T, atol=1e-9)
    assert np.all(np.diff(scores.var(axis=0)) <= 1e-9)  # leading directions first


def test_single_precision_and_constant_columns():
    rng = np.random.default_rng(1)
    values = np.column_stack([rng.normal(size=(60, 5)), np.full(60, 0.1)])
    double, single = (shared_scores(values.astype(t), rng) for t in (np.float64, np.float32))
    assert single.dtype == np.float64
    np.testing.assert_allclose(np.abs(single[:, :5]), np.abs(double[:, :5]), atol=1e-4)
    np.testing.assert_allclose(double[:, 5:], 0.0, atol=1e-6)


def test_directions_from_a_part_of_the_samples_and_none_from_one():
    values = np.random.default_rng(2).normal(size=(300, 6)) @ np.diag([9, 5, 3, 1, 1, 1])
    scores = shared_scores(values, np.random.default_rng(0), rank=2, fit=100)
    assert scores.shape == (300, 2)
    assert shared_scores(values[:1], np.random.default_rng(0)).shape == (1, 0)


def test_folds_spread_every_stratum():
    strata = np.random.default_rng(3).choice(4, 203, p=[0.6, 0.3, 0.07, 0.03])
    folds = deal_folds(strata, np.random.default_rng(0))
    for k in range(4):
        sizes = np.bincount(folds[strata == k], minlength=5)
        assert sizes.max() - sizes.min() <= 1


def test_ridge_equals_weighted_least_squares_with_added_rows():
    rng = np.random.default_rng(4)
    x, t, w = rng.normal(size=(30, 3)), rng.normal(size=(30, 2)), rng.random(30)
    w /= w.sum()
    slope, centre, level = ridge_rule(x, t, w, penalty=0.3)
    np.testing.assert_allclose(centre, w @ x)
    np.testing.assert_allclose(level, w @ t)
    strength = 0.3 * (w @ (x - centre) ** 2).mean()
    rows = np.concatenate([np.sqrt(w)[:, None] * (x - centre), np.sqrt(strength) * np.eye(3)])
    goal = np.concatenate([np.sqrt(w)[:, None] * (t - level), np.zeros((3, 2))])
    np.testing.assert_allclose(slope, np.linalg.lstsq(rows, goal, rcond=None)[0], atol=1e-10)
