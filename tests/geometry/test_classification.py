"""Accuracies and calibration against naive loops."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.classification import (
    METRICS,
    calibration,
    class_accuracies,
    classwise_calibration_errors,
    evaluate,
    evaluate_intervals,
)
from geometry.errors import DataError, UsageError
from geometry.shots import group_masks

GROUPS = group_masks(("many", "many", "medium", "few"))


def drawn(n=400, classes=4, seed=0, scale=2.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) * scale
    logits[np.arange(n), labels] += 1.0
    return logits, labels


def naive_calibration(confidence, right, bins):
    """Guo et al. 2017, eq. 3, sample by sample."""
    members = [[] for _ in range(bins)]
    for sure, true in zip(confidence, right, strict=True):
        place = next(b for b in range(bins) if sure <= (b + 1) / bins or b == bins - 1)
        members[place].append((sure, float(true)))
    total = 0.0
    for found in members:
        if found:
            total += abs(sum(t for _, t in found) - sum(s for s, _ in found)) / len(confidence)
    return total


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_against_loops(bins):
    logits, labels = drawn()
    found = evaluate(logits, labels, GROUPS, bins=bins)
    predicted = [max(range(4), key=lambda k: row[k]) for row in logits]
    right = [p == y for p, y in zip(predicted, labels, strict=True)]
    per_class = [np.mean([r for r, y in zip(right, labels, strict=True) if y == k]) for k in range(4)]
    assert found.accuracy == pytest.approx(np.mean(right))
    assert found.balanced_accuracy == pytest.approx(np.mean(per_class))
    assert found.many == pytest.approx(np.mean(per_class[:2]))
    assert found.medium == pytest.approx(per_class[2])
    assert found.few == pytest.approx(per_class[3])
    assert found.worst_class == pytest.approx(min(per_class))
    p = softmax(logits)
    assert found.ece == pytest.approx(naive_calibration(p.max(axis=1), right, bins), abs=1e-12)
    classwise = [naive_calibration(p[:, k], labels == k, bins) for k in range(4)]
    assert classwise_calibration_errors(p, labels, bins=bins) == pytest.approx(classwise, abs=1e-12)
    assert found.classwise_ece == pytest.approx(np.mean(classwise), abs=1e-12)
    assert found.n == 400


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 40))
def test_order_and_names_of_classes_do_not_matter(seed, classes, n):
    logits, labels = drawn(n, classes, seed)
    rng = np.random.default_rng(seed)
    groups = {"many": rng.random(classes) < 0.5, "few": rng.random(classes) < 0.5}
    order, names = rng.permutation(n), rng.permutation(classes)
    renamed = np.empty_like(logits)
    renamed[:, names] = logits
    there = {}
    for group, mask in groups.items():
        there[group] = np.zeros(classes, dtype=bool)
        there[group][names] = mask
    before, after = evaluate(logits, labels, groups), evaluate(renamed[order], names[labels[order]], there)
    for name in METRICS:
        assert getattr(after, name) == pytest.approx(getattr(before, name), nan_ok=True, abs=1e-12)
    values = [getattr(before, name) for name in METRICS]
    assert all(np.isnan(value) or 0 <= value <= 1 for value in values)


def test_absent_classes_and_one_sample():
    logits, labels = drawn()
    kept = labels != 3
    found = evaluate(logits[kept], labels[kept], GROUPS)
    assert np.isnan(found.few)
    assert found.balanced_accuracy == pytest.approx(
        np.mean([evaluate(logits[labels == k], labels[labels == k], {}).accuracy for k in range(3)])
    )
    one = evaluate(logits[:1], labels[:1], {})
    assert one.accuracy == one.balanced_accuracy == one.worst_class
    assert one.n == 1


def test_no_sample_is_undefined_everywhere():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(np.zeros((0, 3)), np.zeros(0, dtype=int), {})
        intervals = evaluate_intervals(np.zeros((0, 3)), [], {}, rng=np.random.default_rng(0))
    assert found.n == 0
    assert all(np.isnan(getattr(found, name)) for name in METRICS)
    assert all(np.isnan(interval.estimate) for interval in intervals.values())


def test_a_tie_is_an_error():
    assert evaluate([[1.0, 1.0]], [0], {}).accuracy == 0.0


def test_a_calibrated_forecast_has_a_small_error_and_a_sure_wrong_one_a_large():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), size=200_000)
    labels = (p.cumsum(axis=1) > rng.random((p.shape[0], 1))).argmax(axis=1)
    assert evaluate(np.log(p), labels, {}).ece < 0.005
    assert evaluate(np.log(p), labels, {}).classwise_ece < 0.005
    assert evaluate([[0.0, 50.0]] * 3, [0, 0, 0], {}).ece == pytest.approx(1.0)


def test_weights_balance_the_classes():
    confidence, right, labels = np.array([0.9, 0.9, 0.9, 0.9]), np.array([1, 1, 1, 0]), np.array([0, 0, 0, 1])
    weights = 1 / np.bincount(labels)[labels]
    assert calibration(confidence, right, weights=weights).error == pytest.approx(0.4)
    assert calibration(confidence, right).error == pytest.approx(0.15)


def test_reliability_diagram_adds_up():
    logits, labels = drawn()
    p = softmax(logits)
    right = p.argmax(axis=1) == labels
    found = calibration(p.max(axis=1), right, bins=10)
    full = found.count > 0
    assert found.count.sum() == 400
    assert np.isnan(found.accuracy[~full]).all()
    gaps = np.abs(found.accuracy - found.confidence)[full]
    assert (gaps * found.count[full]).sum() / 400 == pytest.approx(found.error)
    inside = (found.confidence >= found.edges[:-1]) & (found.confidence <= found.edges[1:])
    assert inside[full].all()


def test_class_accuracies_of_an_absent_class():
    assert class_accuracies([1, 0, 1], [0, 0, 2], 4) == pytest.approx([0.5, np.nan, 1.0, np.nan], nan_ok=True)


def test_intervals_hold_the_estimate_and_cover():
    logits, labels = drawn(300)
    found = evaluate_intervals(logits, labels, GROUPS, rng=np.random.default_rng(1))
    point = evaluate(logits, labels, GROUPS)
    assert set(found) == set(METRICS)
    for name, interval in found.items():
        assert interval.estimate == getattr(point, name)
        assert 0 <= interval.low <= interval.high <= 1
    # The truth is that of a large sample of the same kind.
    truth = evaluate(*drawn(200_000, seed=99), GROUPS)
    hits = {"balanced_accuracy": 0, "accuracy": 0}
    for seed in range(40):
        draws = evaluate_intervals(*drawn(300, seed=seed), GROUPS, rng=np.random.default_rng(seed), resamples=100)
        for name in hits:
            hits[name] += draws[name].low <= getattr(truth, name) <= draws[name].high
    assert min(hits.values()) >= 33  # 95 % of 40 is 38; P(fewer than 33) is below 0.003


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        ([[1.0, 2.0]], [2]),
        ([[1.0, 2.0]], [0, 1]),
        ([[1.0]], [0]),
        ([[np.nan, 1.0]], [0]),
        ([1.0, 2.0], [0, 1]),
    ],
)
def test_bad_input_is_named(logits, labels):
    with pytest.raises(DataError):
        evaluate(logits, labels, {})


def test_bad_confidences():
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        calibration([1.5], [1])
    with pytest.raises(UsageError, match="bin"):
        calibration([0.5], [1], bins=0)
