import numpy as np
import pytest

from geometry.bound.class_conditional import ClassDivergence
from geometry.bound.margin_sides import DELTA, ETA, head_norms, margin_sides
from geometry.bound.theorems import margin_form
from geometry.intervals import undefined

NAMES = ("a", "b", "c")


def divergence(values):
    distances = np.asarray(values, dtype=np.float64)
    counts = np.full((2, distances.size), 50)
    low, high = distances - 0.1, np.minimum(distances + 0.2, 2)
    return ClassDivergence("target | sources", undefined(0, ""), distances, low, high, counts, (), (), "")


def problem(counts=(400, 60, 9), centre=2.0, target=(30, 30, 30), seed=0):
    rng = np.random.default_rng(seed)
    labels, goal = np.repeat(range(3), counts), np.repeat(range(3), target)
    return (
        rng.normal(centre, 1.5, labels.size),
        labels,
        rng.uniform(1, 4, labels.size),
        rng.random(goal.size) < 0.3,
        goal,
    )


def sides(data, distances=(0.4, 0.8, 1.2), weight_norm=0.5, **options):
    margins, labels, norms, losses, goal = data
    shift, rng = divergence(distances), np.random.default_rng(1)
    return margin_sides(
        margins, labels, norms, weight_norm, losses, goal, shift, NAMES, where="train", rng=rng, **options
    )


def test_it_is_the_theorem_at_the_training_margins():
    data = problem()
    margins, labels, norms, losses, goal = data
    found, median = sides(data)
    share = [np.mean(margins[labels == k] <= DELTA) for k in range(3)]
    norm = {"feature_norm": norms.max(), "weight_norm": 0.5, "eta": ETA, "divergence": [0.2, 0.4, 0.6]}
    exact = margin_form(share, [DELTA] * 3, [400, 60, 9], **norm)
    assert found.bound.estimate == pytest.approx(exact.bound)
    assert found.slack.estimate == pytest.approx(exact.bound - np.mean([losses[goal == k].mean() for k in range(3)]))
    summands = [
        found.terms[name].estimate for name in ("margin risk", "capacity", "confidence", "half d inside classes")
    ]
    assert sum(summands) == pytest.approx(exact.bound)
    assert found.terms["samples needed"].estimate == pytest.approx((4 * 3 * norms.max() * 0.5 / DELTA) ** 2)
    assert found.terms["bound, 95% feature norm"].estimate < found.bound.estimate
    medians = [np.median(margins[labels == k]) for k in range(3)]
    np.testing.assert_allclose(median.class_parts["delta"], medians)
    assert median.terms["margin risk"].estimate == pytest.approx(0.5, abs=0.03)
    assert "diagnostic" in median.note
    assert found.vacuous
    assert "vacuous" in found.note


def test_with_enough_samples_and_small_norms_it_says_something():
    found = sides(problem((40_000, 40_000, 40_000), centre=9), (0.2, 0.1, 0.2), weight_norm=0.05)[0]
    assert not found.vacuous
    assert found.bound.estimate < 0.2
    assert found.bound.low <= found.bound.estimate <= found.bound.high
    assert found.slack.low <= found.slack.estimate <= found.slack.high
    half = found.terms["half d inside classes"]
    spread = np.sqrt(3 * 0.1**2) / 6
    assert half.estimate - half.low == pytest.approx(spread)
    assert half.high - half.estimate == pytest.approx(2 * spread)


def test_absent_classes_are_left_out_but_stay_rivals():
    whole, part = sides(problem())[0], sides(problem((400, 60, 0)))[0]
    assert part.left_out == ("c",)
    np.testing.assert_allclose(part.class_parts["capacity"][:2], whole.class_parts["capacity"][:2], rtol=0.02)
    assert np.isnan(part.class_parts["capacity"][2])
    assert sides(problem(target=(30, 0, 30)))[0].left_out == ("b",)
    assert sides(problem(), (0.4, np.nan, 0.1))[0].left_out == ("b",)
    assert sides(problem(), (0.4, np.nan, np.nan)) == ()


def test_a_failed_class_keeps_its_margin_risk_of_one_and_has_no_median():
    margins, labels, *rest = problem()
    found, median = sides((np.where(labels == 2, -np.abs(margins), np.abs(margins)), labels, *rest))
    assert found.class_parts["margin risk"][2] == 1
    assert found.left_out == ()
    assert "all margins <= 0 in 1" in found.note
    assert median.left_out == ("c",)
    assert "median not positive in 1 others" in median.note
    failed = sides((-np.abs(margins), labels, *rest))
    assert [one.theorem for one in failed] == ["Theorem D"]


def test_norms_with_and_without_a_bias():
    rng = np.random.default_rng(2)
    features, weight, bias = rng.normal(size=(20, 4)), rng.normal(size=(3, 4)), rng.normal(size=3)
    longer = np.hstack([features, np.ones((20, 1))]), np.hstack([weight, bias[:, None]])
    norms, largest = head_norms(features, weight, bias)
    np.testing.assert_allclose(norms, np.linalg.norm(longer[0], axis=1))
    assert largest == pytest.approx(np.linalg.norm(longer[1], axis=1).max())
    norms, largest = head_norms(features, weight, None)
    np.testing.assert_allclose(norms, np.linalg.norm(features, axis=1))
    assert largest == pytest.approx(np.linalg.norm(weight, axis=1).max())
