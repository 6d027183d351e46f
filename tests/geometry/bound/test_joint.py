import numpy as np
import pytest

from geometry.bound.joint import joint_risk, logistic_rule


def domains(flip, n=300, seed=0):
    """Two classes on one axis; a second axis gives the domain away, and ``flip`` turns the labels there."""
    rng = np.random.default_rng(seed)
    side, labels = np.repeat([0, 1], n), rng.integers(0, 2, 2 * n)
    features = 0.3 * rng.normal(size=(2 * n, 3))
    features[:, 0] += np.where(flip & (side == 1), 1 - labels, labels)
    return features, side, labels


def joint(*data, **options):
    return joint_risk(*data, 2, where="target | sources", rng=np.random.default_rng(0), **options)


def test_one_rule_for_both_or_none():
    good, bad = joint(*domains(False)), joint(*domains(True))
    assert good.total.estimate < 0.25
    assert bad.total.estimate > 0.8  # labels flipped: what is right on one side is wrong on the other
    assert good.total.estimate == pytest.approx(good.source.balanced.estimate + good.target.balanced.estimate)
    assert good.total.low <= good.total.estimate <= good.total.high
    assert [row.variant for row in good.rows()] == ["sum of balanced", "source part, balanced", "target part, balanced"]
    assert "oracle" in good.note


def test_too_little_is_undefined_with_the_reason():
    features, side, labels = domains(False, n=5)
    found = joint(features, side, labels)
    assert np.isnan(found.total.estimate)
    assert "fewer than 10" in next(found.rows()).note
    assert len(list(found.rows())) == 1
    features, side, _ = domains(False)
    assert np.isnan(joint(features, side, np.zeros(600, int)).total.estimate)


def test_a_cell_of_one_sample_is_judged_by_a_probe_that_never_saw_it():
    features, side, labels = domains(False)
    labels[:] = 0
    labels[0] = 1
    found = joint(features, side, labels)
    assert found.source.class_errors[1] == 1.0
    assert "fewer than 5 samples: 1" in found.note


def test_logistic_rule_reaches_the_optimum():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 400)
    features = rng.normal(size=(400, 4)) + 1.5 * np.eye(3, 4)[labels]
    features = (features - features.mean(axis=0)) / np.sqrt(np.mean((features - features.mean(axis=0)) ** 2))
    slope, centre, level = logistic_rule(features, labels, np.ones(400), 3, iterations=300)
    oracle = LogisticRegression(C=0.1, tol=1e-10, max_iter=5000).fit(features, labels)
    scores, wanted = (features - centre) @ slope + level, features @ oracle.coef_.T + oracle.intercept_
    np.testing.assert_allclose(
        scores - scores.mean(axis=1, keepdims=True), wanted - wanted.mean(axis=1, keepdims=True), atol=2e-3
    )
