from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from geometry.bound.posterior import (
    MEASURES,
    class_discrepancies,
    cosine_distance,
    estimate_posterior,
    jensen_shannon,
    largest_gap,
    prototypes,
)
from geometry.bound.prior import total_variation


def predictions(n=240, k=4, domains=3, seed=0, tilt=0.0):
    rng = np.random.default_rng(seed)
    labels, where = rng.choice(k, n, p=[0.6, 0.25, 0.1, 0.05]), rng.integers(0, domains, n)
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), labels] += 1.5 - tilt * where
    probs = np.exp(logits)
    return probs / probs.sum(axis=1, keepdims=True), labels, where


def test_prototypes_equal_explicit_loops_and_are_nan_for_empty_cells():
    probs, labels, where = predictions()
    where[labels == 3] = 0
    table = prototypes(probs, labels, where, 4)
    for d in range(4):
        for k in range(4):
            own = [p for p, y, e in zip(probs, labels, where, strict=True) if y == k and e == d]
            if own:
                np.testing.assert_allclose(table[d, k], np.mean(own, axis=0))
            else:
                assert np.isnan(table[d, k]).all()
    assert np.isnan(table[1:, 3]).all()


def test_discrepancies_equal_explicit_loops():
    probs, labels, where = predictions()
    where[labels == 3] = 2
    table = prototypes(probs, labels, where, 3)
    values = class_discrepancies(table)
    plain = (
        lambda p, q: max(abs(p - q)),
        lambda p, q: 0.5 * sum(abs(p - q)),
        lambda p, q: jensenshannon(p, q, base=2) ** 2,
        lambda p, q: np.sqrt(1 - p @ q / np.linalg.norm(p) / np.linalg.norm(q)),
    )
    for m, measure in enumerate(plain):
        for k in range(3):
            expected = max(measure(table[a, k], table[b, k]) for a, b in combinations(range(3), 2))
            assert values[m, k] == pytest.approx(expected)
    assert np.isnan(values[:, 3]).all()


simplex = st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4).filter(lambda v: sum(v) > 0.01)


@given(simplex, simplex)
@settings(max_examples=60, deadline=None)
def test_measures_are_symmetric_in_the_unit_interval_and_ordered(first, second):
    p, q = (np.asarray(v) / np.sum(v) for v in (first, second))
    for measure in MEASURES.values():
        assert 0.0 <= measure(p, q) <= 1.0
        assert measure(p, q) == pytest.approx(measure(q, p))
        assert measure(p, p) == pytest.approx(0.0, abs=1e-7)
    assert largest_gap(p, q) <= total_variation(p, q) + 1e-12
    assert jensen_shannon(p, q) <= total_variation(p, q) + 1e-12  # Lin 1991
    assert cosine_distance(p, q) >= 0.0


def run(probs, labels, where, domains, seed=0, **options):
    rng = np.random.default_rng(seed)
    return estimate_posterior(probs, labels, where, domains, where="sources", rng=rng, **options)


def test_order_of_samples_and_names_of_domains_do_not_matter():
    probs, labels, where = predictions()
    order = np.random.default_rng(1).permutation(len(labels))
    first = run(probs, labels, where, 3)
    second = run(probs[order], labels[order], (where[order] + 1) % 3, 3)
    for a, b in zip(first, second, strict=True):
        assert a.overall.raw == pytest.approx(b.overall.raw)
        np.testing.assert_allclose(a.class_raw, b.class_raw)


def test_p_values_are_uniform_and_the_excess_centred_without_a_difference():
    p_values, covered, excesses = [], 0, []
    for seed in range(150):
        tv = run(*predictions(n=120, seed=seed), 3, seed=seed, permutations=60, resamples=60)[1]
        p_values.append(tv.overall.p_value)
        excesses.append(tv.overall.excess.estimate)
        covered += tv.overall.excess.low <= 0.0 <= tv.overall.excess.high
        assert tv.overall.raw > 0.02  # the plug-in value alone would report a difference
    from scipy.stats import kstest

    assert kstest(p_values, "uniform").pvalue > 0.01
    assert 1 <= sum(p <= 0.05 for p in p_values) <= 17  # binomial(150, 0.05), central 99.9%
    assert abs(np.mean(excesses)) < 3 * np.std(excesses) / np.sqrt(150)
    assert covered >= 129


def test_a_real_difference_is_found():
    tv = run(*predictions(n=600, tilt=1.0), 3)[1]
    assert tv.overall.p_value < 0.01
    assert tv.overall.excess.low > 0.0
    assert tv.overall.excess.estimate == pytest.approx(tv.overall.raw - tv.overall.null_mean)


def test_the_corrected_value_is_near_the_population_value_where_raw_and_excess_are_not():
    population = run(*predictions(n=60_000, tilt=0.4), 3, permutations=20, resamples=20)
    samples = [run(*predictions(n=300, tilt=0.4, seed=s), 3, permutations=40, resamples=60) for s in range(40)]
    for m, result in enumerate(population):
        truth, found = result.overall.raw, [s[m].overall for s in samples]
        gap = abs(np.mean([f.corrected.estimate for f in found]) - truth)
        assert gap < 0.5 * abs(np.mean([f.raw for f in found]) - truth)
        if result.measure != "JS":
            assert gap < 0.5 * abs(np.mean([f.excess.estimate for f in found]) - truth)
        assert sum(f.corrected.low <= truth <= f.corrected.high for f in found) >= 31


def test_one_domain_and_unshared_classes_are_undefined():
    probs, labels, _ = predictions()
    for result in run(probs, labels, np.zeros(len(labels), dtype=int), 1):
        assert np.isnan(result.overall.raw)
        assert result.overall.classes == 0
        assert np.isnan(result.class_excess).all()
        assert "no class is seen in two domains" in next(result.rows()).note
    alone = run(probs, labels, labels % 2, 2)
    assert all(np.isnan(r.overall.excess.estimate) for r in alone)


def test_singleton_cells_are_used_and_counted():
    probs, labels, where = predictions()
    where[labels == 3] = 0
    where[np.flatnonzero(labels == 3)[0]] = 1
    groups = {"few": np.arange(4) == 3, "none": np.zeros(4, dtype=bool)}
    result = run(probs, labels, where, 3, groups=groups)[1]
    assert np.isfinite(result.class_raw[3])
    assert result.note == "cells of one sample: 1"
    assert result.groups["few"].classes == 1
    assert np.isnan(result.groups["none"].raw)
