import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from geometry.bound.margin import (
    estimate_margins,
    geometric_margin,
    margin_curves,
    margin_grid,
    score_margin,
)
from geometry.errors import DataError


def random_head(seed, n=60, k=5, d=4):
    rng = np.random.default_rng(seed)
    features, weight, bias = rng.normal(size=(n, d)), rng.normal(size=(k, d)), rng.normal(size=k) * 0.3
    return features, weight, bias, features @ weight.T + bias, rng.integers(0, k, n)


def softmax(scores):
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def test_margins_equal_explicit_loops():
    _, weight, _, scores, labels = random_head(0)
    for i in range(len(labels)):
        y, rivals = labels[i], [j for j in range(5) if j != labels[i]]
        assert score_margin(scores, labels)[i] == pytest.approx(scores[i, y] - max(scores[i, j] for j in rivals))
        expected = min((scores[i, y] - scores[i, j]) / np.linalg.norm(weight[y] - weight[j]) for j in rivals)
        assert geometric_margin(scores, labels, weight)[i] == pytest.approx(expected)


def distance_to_region(point, weight, bias, label):
    """Smallest Euclidean move into the closed region of ``label``, by a generic solver."""
    rivals = [j for j in range(len(weight)) if j != label]
    A, b = weight[label] - weight[rivals], bias[label] - bias[rivals]
    result = minimize(
        lambda x: 0.5 * np.sum((x - point) ** 2),
        point,
        jac=lambda x: x - point,
        constraints={"type": "ineq", "fun": lambda x: A @ x + b, "jac": lambda x: A},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 300},
    )
    return np.linalg.norm(result.x - point) if result.success else np.nan


def test_geometric_margin_is_the_distance_out_of_the_region_and_a_lower_bound_on_the_way_in():
    features, weight, bias, scores, labels = random_head(1)
    margins = geometric_margin(scores, labels, weight)
    predicted = scores.argmax(axis=1)
    out = 0
    for i, point in enumerate(features):
        if predicted[i] == labels[i]:
            ways = [distance_to_region(point, weight, bias, j) for j in range(5) if j != labels[i]]
            assert margins[i] == pytest.approx(np.nanmin(ways), rel=1e-4)
        else:
            distance = distance_to_region(point, weight, bias, labels[i])
            if np.isfinite(distance):  # the region of a class may be empty
                assert -margins[i] <= distance * (1 + 1e-6)
                out += 1
    assert out > 20


def test_two_classes_make_the_geometric_margin_exact_on_both_sides():
    features, weight, bias, scores, labels = random_head(2, k=2)
    normal = weight[0] - weight[1]
    plane = (features @ normal + bias[0] - bias[1]) / np.linalg.norm(normal)
    np.testing.assert_allclose(geometric_margin(scores, labels, weight), np.where(labels == 0, plane, -plane))


@given(st.integers(0, 10_000), st.floats(0.1, 10.0), st.floats(-50.0, 50.0))
@settings(max_examples=50, deadline=None)
def test_invariances(seed, scale, shift):
    features, weight, bias, scores, labels = random_head(seed)
    np.testing.assert_allclose(score_margin(scores + shift, labels), score_margin(scores, labels), atol=1e-9)
    np.testing.assert_allclose(
        geometric_margin(scale * scores, labels, scale * weight), geometric_margin(scores, labels, weight)
    )
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 4)))[0]
    turned = (features @ turn) @ (weight @ turn).T + bias
    np.testing.assert_allclose(
        geometric_margin(turned, labels, weight @ turn), geometric_margin(scores, labels, weight), atol=1e-9
    )
    signs = np.sign(score_margin(scores, labels))
    np.testing.assert_array_equal(np.sign(geometric_margin(scores, labels, weight)), signs)


def test_coincident_head_rows_have_no_boundary_between_them():
    weight = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    scores = np.array([[2.0, 2.0, -2.0], [2.0, 1.0, -2.0]])
    np.testing.assert_allclose(geometric_margin(scores, [0, 0], weight), [0.0, 2.0])
    assert geometric_margin(scores, [0, 1], weight)[1] == -np.inf


def test_nearly_coincident_head_rows_keep_their_distance():
    weight = np.array([[1e4, 0.0], [1e4, 1e-6]])
    point = np.array([[1.0, 3.0]])
    assert abs(geometric_margin(point @ weight.T, [1], weight)[0]) == pytest.approx(3.0, rel=1e-2)


def test_one_class_is_refused():
    with pytest.raises(DataError, match="two classes"):
        score_margin(np.zeros((3, 1)), [0, 0, 0])


@pytest.mark.parametrize("scale", ["probability", "logit"])
def test_grid_is_symmetric_about_an_exact_zero(scale):
    grid = margin_grid(scale, np.random.default_rng(0).normal(size=999) * 3)
    assert grid[len(grid) // 2] == 0.0
    np.testing.assert_array_equal(grid, -grid[::-1])
    assert np.all(np.diff(grid) > 0)
    assert margin_grid("logit", np.zeros(5))[-1] == 1.0


def curve_sample(seed=4, n=400, k=6):
    rng = np.random.default_rng(seed)
    labels = rng.choice(k - 1, size=n, p=[0.6, 0.25, 0.1, 0.045, 0.005])  # class k-1 is absent
    scores = rng.normal(size=(n, k)) * 2
    scores[np.arange(n), labels] += 1.0
    return score_margin(softmax(scores), labels), labels, scores


def test_curves_equal_explicit_loops_and_stay_nan_for_absent_classes():
    margins, labels, _ = curve_sample()
    grid = margin_grid("probability", margins)
    curves = margin_curves(margins, labels, 6, grid)
    for k in range(5):
        own = [m for m, y in zip(margins, labels, strict=True) if y == k]
        np.testing.assert_allclose(curves[k], [np.mean([m <= delta for m in own]) for delta in grid])
    assert np.isnan(curves[5]).all()


def test_curve_at_zero_is_the_balanced_error_and_its_area_is_one_less_the_mean():
    margins, labels, scores = curve_sample()
    grid = np.linspace(-1, 1, 20_001)
    rng = np.random.default_rng(0)
    result = estimate_margins(margins, labels, 6, scale="probability", where="s", delta=grid, rng=rng, resamples=20)
    wrong = scores.argmax(axis=1) != labels
    balanced = np.mean([wrong[labels == k].mean() for k in np.unique(labels)])
    assert result.curve.estimate[10_000] == pytest.approx(balanced)
    assert np.trapezoid(result.curve.estimate, grid) == pytest.approx(1 - result.mean.estimate, abs=2e-4)
    assert result.mean.estimate == pytest.approx(np.mean([margins[labels == k].mean() for k in np.unique(labels)]))


def test_bands_hold_the_curve_and_match_an_index_bootstrap():
    margins, labels, _ = curve_sample()
    grid = margin_grid("probability", margins)
    groups = {"few": np.arange(6) >= 3, "none": np.arange(6) == 5}
    result = estimate_margins(
        margins, labels, 6, scale="probability", where="s", delta=grid, rng=np.random.default_rng(0), groups=groups,
        resamples=800,
    )  # fmt: skip
    assert np.all(result.curve.low <= result.curve.estimate + 1e-12)
    assert np.all(result.curve.estimate <= result.curve.high + 1e-12)
    rng, draws = np.random.default_rng(1), []
    parts = [margins[labels == k] for k in np.unique(labels)]
    for _ in range(800):
        draws.append(np.mean([np.mean(rng.choice(p, p.size) <= 0) for p in parts]))
    low, high = np.percentile(draws, [2.5, 97.5])
    assert result.curve.low[40] == pytest.approx(low, abs=0.02)
    assert result.curve.high[40] == pytest.approx(high, abs=0.02)
    assert np.isnan(result.group_curves["none"].estimate).all()
    assert np.isnan(result.groups["none"].estimate)
    assert result.groups["few"].n == int((labels >= 3).sum())
    assert "5 of 6" in result.note


def test_infinite_margins_give_no_mean_but_a_curve():
    delta = margin_grid("geometric", [1.0])
    result = estimate_margins(
        [1.0, np.inf, -np.inf], [0, 0, 1], 2, scale="geometric", where="s", delta=delta, rng=np.random.default_rng(0)
    )
    assert np.isnan(result.mean.estimate)
    assert "coincide" in result.mean.method
    assert result.curve.estimate[40] == pytest.approx(0.5)
