import numpy as np
import pytest

from geometry.bound.risk import estimate_risk
from geometry.bound.sides import label_shift_sides, prototype_sides

NAMES = ("a", "b", "c")


def predictions(n=400, seed=0, classes=3):
    rng = np.random.default_rng(seed)
    labels, domains = rng.integers(0, classes, n), rng.integers(0, 3, n)
    scores = rng.normal(size=(n, classes)) + 2.0 * np.eye(classes)[labels] * (1 + 0.3 * domains[:, None])
    probs = np.exp(scores)
    return probs / probs.sum(axis=1, keepdims=True), labels, domains, domains == 2


def prototype(probs, labels, domains, target, **options):
    return prototype_sides(probs, labels, domains, target, 3, NAMES, rng=np.random.default_rng(1), **options)


def test_theorem_c_equals_the_definition():
    probs, labels, domains, target = predictions()
    found = prototype(probs, labels, domains, target)
    true = probs[np.arange(len(labels)), labels]
    right = np.array([[true[(target == t) & (labels == k)].mean() for k in range(3)] for t in (False, True)])
    wrong = probs.argmax(axis=1) != labels
    balanced = np.mean([wrong[target & (labels == k)].mean() for k in range(3)])
    assert found.target.estimate == pytest.approx(balanced)
    expected = 2 * (1 - right[0]).mean() + 2 * np.maximum(0, right[0] - right[1]).mean()
    assert found.bound.estimate == pytest.approx(expected)
    assert found.slack.estimate == pytest.approx(expected - balanced)
    assert found.slack.low > 0
    assert found.terms["hull bound"].estimate >= found.bound.estimate - 1e-9
    np.testing.assert_allclose(found.class_parts["soft source error"], 1 - right[0])
    assert {r.term for r in found.rows()} == {"Theorem C"}


def test_classes_of_one_side_are_left_out_of_theorem_c():
    probs, labels, domains, target = predictions()
    keep = ~(target & (labels == 1))
    found = prototype(probs[keep], labels[keep], domains[keep], target[keep])
    assert found.left_out == ("b",)
    assert np.isnan(found.class_parts["target gap"][1])
    assert "2 of 3 classes" in found.note
    only = labels == np.where(target, 0, 1)
    assert prototype(probs[only], labels[only], domains[only], target[only]) is None


def test_the_empirical_slack_is_never_negative():
    for seed in range(40):
        found = prototype(*predictions(n=60, seed=seed), resamples=20)
        assert found.slack.estimate >= -1e-9
        assert found.terms["hull bound"].estimate >= found.bound.estimate - 1e-9


def test_theorem_b_both_forms():
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], [100, 50, 10]), np.repeat([0, 1], [30, 90])
    risks = [estimate_risk(rng.random(y.size) < 0.1 + 0.2 * y, y, 3, where="x", rng=rng, resamples=20) for y in labels]
    plain, balanced = label_shift_sides(*risks, np.array([500, 40, 2]), NAMES, designed=True, rng=rng)
    e_s, e_t = risks[0].class_errors[:2], risks[1].class_errors[:2]
    p_s, p_t = np.array([500, 40]) / 540, np.array([30, 90]) / 120
    prior = 0.5 * np.abs(p_s - p_t).sum() * (e_s.max() - e_s.min())
    assert plain.terms["prior cost"].estimate == pytest.approx(prior)
    assert plain.bound.estimate == pytest.approx(p_s @ e_s + prior + p_t @ np.abs(e_t - e_s))
    assert plain.target.estimate == pytest.approx(p_t @ e_t)
    assert balanced.bound.estimate == pytest.approx(e_s.mean() + np.abs(e_t - e_s).mean())
    assert "prior cost" not in balanced.terms
    assert plain.left_out == ("c",)
    assert min(plain.slack.low, balanced.slack.low) >= -1e-12
    empty = estimate_risk([0.0], [2], 3, where="x", rng=rng, resamples=20)
    assert label_shift_sides(empty, risks[1], np.array([0, 0, 1]), NAMES, designed=False, rng=rng) == ()
