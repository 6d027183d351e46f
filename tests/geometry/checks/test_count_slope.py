"""The slope on log counts, its error and its permutation test."""

import numpy as np
import pytest
from scipy.special import stdtrit

from geometry.checks.count_slope import count_slope, permutation_p, plain_slopes
from geometry.errors import DataError


def delete_one(values, counts, columns_of):
    """HC3 by brute force: leave out each class, fit anew, add up the squares of what the slope moves."""
    domain, classes = np.nonzero(np.isfinite(values) & (counts > 0))
    x, y = np.log(counts[domain, classes]), values[domain, classes]

    def fit(keep):
        design = np.column_stack([x[keep], columns_of(domain[keep], classes[keep])])
        return np.linalg.lstsq(design, y[keep], rcond=1e-10)[0][0]

    whole = fit(np.ones(y.size, dtype=bool))
    return whole, np.sqrt(sum((fit(classes != k) - whole) ** 2 for k in np.unique(classes)))


def dummies(codes):
    return (codes[:, None] == np.unique(codes)).astype(float)


@pytest.mark.parametrize(("domains", "class_effects"), [(1, False), (3, False), (3, True)])
def test_slope_and_its_error_equal_refits_without_each_class(domains, class_effects):
    rng = np.random.default_rng(domains)
    counts = rng.integers(1, 300, (domains, 8))
    values = rng.normal(size=(domains, 8))
    if domains > 1:
        values[1, 2], counts[0, 5] = np.nan, 0
    slope, error = delete_one(
        values,
        counts,
        lambda d, k: np.column_stack([dummies(d), dummies(k)]) if class_effects else dummies(d),
    )
    found = count_slope(values, counts, class_effects=class_effects)
    assert found.estimate == pytest.approx(slope)
    assert (found.high - found.low) / 2 == pytest.approx(2.446912 * error, rel=1e-5)  # t quantile, 6 df
    assert found.n == 8


TABLES = {
    "classes": ([300, 120, 70, 33, 12, 5, 2], False),
    "step, two rare": ([100, 100, 100, 100, 7, 7], False),
    "cells": ([[200, 90, 60, 30, 14, 6, 1], [5, 80, 2, 12, 50, 20, 9]], False),
    "cells, class effects": ([[200, 90, 60, 30, 14, 6, 1], [5, 80, 2, 12, 50, 20, 9]], True),
    "a domain of one class": ([[200, 90, 60, 30, 14, 6, 1], [0, 80, 0, 0, 0, 0, 0]], False),
    "a domain of one class, class effects": (
        [[9, 80, 5, 12, 50, 20], [20, 9, 60, 30, 14, 6], [0, 0, 7, 0, 0, 0]],
        True,
    ),
    "one class of its own count in one domain": ([[50, 9, 9, 9, 9, 9], [200, 90, 60, 30, 14, 6]], False),
}


@pytest.mark.parametrize("name", TABLES)
def test_error_equals_refits_where_every_refit_has_a_slope(name):
    counts, class_effects = np.atleast_2d(TABLES[name][0]), TABLES[name][1]
    values = np.random.default_rng(0).normal(size=counts.shape)
    slope, error = delete_one(
        values,
        counts,
        lambda d, k: np.column_stack([dummies(d), dummies(k)]) if class_effects else dummies(d),
    )
    found = count_slope(values, counts, class_effects=class_effects)
    half = error * stdtrit(len(np.unique(np.nonzero(counts)[1])) - 2, 0.975)
    assert (found.estimate, found.low, found.high) == pytest.approx((slope, slope - half, slope + half), rel=1e-12)


ALONE = {
    "step of one class": ([500, 100, 100, 100, 100, 100, 100], False),
    "nearly equal counts": ([100_000, 100, 100, 100, 100], False),
    "in both domains": ([[500, 100, 100, 100, 100], [7, 30, 30, 30, 30]], False),
    "class effects": ([[500, 100, 100, 100, 100], [7, 30, 30, 30, 30]], True),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_slope_that_one_class_alone_carries_has_no_interval_in_any_order(name):
    """Without that class all counts are equal: its residual and what is left of it are both zero, and rounding."""
    counts, class_effects = np.array(ALONE[name][0]), ALONE[name][1]
    rng = np.random.default_rng(0)
    for _ in range(20):
        order = rng.permutation(counts.shape[-1])
        found = count_slope(rng.normal(size=counts.shape), counts[..., order], class_effects=class_effects)
        assert np.isnan([found.estimate, found.low, found.high]).all()
        assert found.method == "undefined: one class alone carries the slope"
        assert found.n == order.size


def test_vectors_are_cells_of_one_domain():
    rng = np.random.default_rng(0)
    values, counts = rng.normal(size=9), rng.integers(1, 99, 9)
    assert count_slope(values, counts) == count_slope(values[None], counts[None])
    assert plain_slopes(values, counts)[0] == pytest.approx(count_slope(values, counts).estimate)


def test_class_effects_see_through_difficulty_that_follows_the_counts():
    counts = np.array([[200, 120, 60, 30, 12, 5], [5, 12, 30, 60, 120, 200]])
    difficulty = np.log(counts[0])
    values = difficulty + 0.5 * np.log(counts) + np.array([[1.0], [2.0]])
    assert count_slope(values, counts, class_effects=True).estimate == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("values", "counts", "reason"),
    [
        ([1.0, 2, 3, 4], [1, 2, 3, 4], "fewer than 5"),
        ([1.0, 2, 3, 4, np.nan], [1, 2, 3, 4, 5], "4 classes"),
        ([1.0, 2, 3, 4, 5], [1, 2, 3, 4, 0], "4 classes"),
        ([1.0, 2, 3, 4, 5], [7] * 5, "counts do not vary"),
        ([0.1 + 0.2, 0.3, 0.3, 0.3, 0.3], [1, 2, 3, 4, 5], "values do not vary"),
    ],
)
def test_no_slope_without_classes_counts_or_values(values, counts, reason):
    found = count_slope(values, counts)
    assert np.isnan(found.estimate)
    assert reason in found.method


def test_shapes_must_agree():
    with pytest.raises(DataError, match=r"of one shape \(K,\) or \(M, K\)"):
        count_slope([1.0, 2.0], [[1, 2]])


def test_permutation_p_value_is_uniform_under_the_null_and_small_off_it():
    rng = np.random.default_rng(0)
    counts = np.geomspace(300, 3, 7)
    p = np.array([permutation_p(rng.standard_t(3, 7), counts, rng=rng, permutations=199) for _ in range(400)])
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.08)
    assert permutation_p(np.log(counts), counts, rng=rng) < 0.005
    assert np.isnan(permutation_p(np.ones(7), counts, rng=rng))
