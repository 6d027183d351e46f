import numpy as np
import pytest

from geometry.bound.complexity import estimate_complexity

NAMES = ("a", "b", "c")


def complexity(margins, labels, counts, quantile=0.5, **options):
    rng = np.random.default_rng(0)
    return estimate_complexity(
        margins, labels, counts, NAMES, scale="logit", where="train", quantile=quantile, rng=rng, **options
    )


def test_value_by_hand():
    margins, labels = [1.0, 2.0, 3.0, 4.0, 0.5], [0, 0, 0, 1, 2]
    found = complexity(margins, labels, [25, 4, 100])
    assert found.value.estimate == pytest.approx((1 / (2 * 5) + 1 / (4 * 2) + 1 / (0.5 * 10)) / 3)
    assert found.value.estimate == found.among_positive.estimate
    assert not found.not_positive + found.absent


def test_no_positive_margin_makes_it_undefined_and_says_of_whom():
    found = complexity([1.0, 0.0, -2.0], [0, 1, 2], [9, 9, 9])
    assert np.isnan(found.value.estimate)
    assert found.not_positive == ("b", "c")
    assert found.among_positive.estimate == pytest.approx(1 / 3)
    first, second = found.rows()
    assert "not positive for b, c" in first.note
    assert "in 2 of 3 classes" in second.note


def test_absent_classes_are_counted():
    found = complexity([1.0, 1.0], [0, 1], [9, 0, 9])
    assert found.absent == ("b", "c")
    assert found.value.estimate == pytest.approx(1 / 3)
    nothing = complexity([], [], [9, 9, 9])
    assert np.isnan(nothing.value.estimate)
    assert nothing.value.method.endswith("no class has margins")


def test_interval_covers_the_term_of_the_population():
    rng, hits = np.random.default_rng(1), 0
    truth = np.mean([1 / (2.0 * np.sqrt(n)) for n in (200, 60, 100)])
    labels = np.repeat([0, 1, 2], [200, 60, 100])
    for _ in range(60):
        found = complexity(2.0 + 0.5 * rng.normal(size=360), labels, [200, 60, 100])
        hits += found.value.low <= truth <= found.value.high
    assert hits >= 50
