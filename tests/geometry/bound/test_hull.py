from dataclasses import replace
from math import comb

import numpy as np
import pytest

from geometry.bound.divergence import proxy_a_distance
from geometry.bound.hull import simplex_lattice, source_hull

NAMES = {0: "p", 1: "q", 2: "r"}


def sources_and_target(mixture, n=600, seed=0):
    """Three sources far apart, and a target drawn from their mixture (None: a place of its own)."""
    rng = np.random.default_rng(seed)
    centres = 12.0 * np.eye(4)
    codes = np.concatenate([np.repeat([0, 1, 2], n), rng.choice(3, n, p=mixture) if mixture else np.full(n, 3)])
    target = np.arange(4 * n) >= 3 * n
    return rng.normal(size=(4 * n, 4)) + centres[codes], np.where(target, 3, codes), target


def hull(features, domains, target, pairs=(), **options):
    return source_hull(features, domains, target, NAMES, pairs, rng=np.random.default_rng(1), **options)


def test_a_target_inside_the_hull_is_near_its_mixture():
    inside = hull(*sources_and_target((0.5, 0.5, 0.0)))
    assert inside.gamma.estimate < 0.12
    np.testing.assert_allclose(inside.weights, [0.5, 0.5, 0.0], atol=0.2)
    far = hull(*sources_and_target(None))
    assert far.gamma.estimate > 0.95
    assert far.gamma.low <= far.gamma.estimate <= far.gamma.high


def test_the_nearest_mixture_beats_the_pooled_sources():
    features, domains, target = sources_and_target((0.0, 0.0, 1.0))
    pooled = proxy_a_distance(
        features, target.astype(int), domains, where="t", weighting="raw", rng=np.random.default_rng(0)
    )
    assert hull(features, domains, target).gamma.estimate < pooled.distance.estimate / 2 - 0.3


def test_eps_is_the_largest_pair_halved():
    one = proxy_a_distance(
        np.random.default_rng(0).normal(size=(80, 2)), np.arange(80) % 2, np.zeros(80, int), where="p | q",
        weighting="raw", rng=np.random.default_rng(0),
    )  # fmt: skip
    pairs = tuple(
        replace(one, distance=replace(one.distance, estimate=v, low=v - 0.2, high=v + w))
        for v, w in ((1.0, 0.6), (1.4, 0.1))
    )
    eps = hull(*sources_and_target(None, n=30), pairs, resamples=20).eps
    assert (eps.estimate, eps.low, eps.high) == pytest.approx((0.7, 0.6, 0.8))


def test_small_sources_are_named_and_small_targets_undefined():
    features, domains, target = sources_and_target(None, n=40)
    keep = (domains != 1) | (np.arange(160) % 20 == 0)
    found = hull(features[keep], domains[keep], target[keep], resamples=20)
    assert found.too_small == ("q",)
    assert found.sources == ("p", "r")
    keep = ~target | (np.arange(160) >= 155)
    found = hull(features[keep], domains[keep], target[keep], resamples=20)
    assert np.isnan(found.gamma.estimate)
    assert any("fewer than 10" in row.note for row in found.rows())


def test_lattice_is_the_finest_that_fits():
    for size in (1, 2, 3, 4, 5, 12):
        lattice = simplex_lattice(size)
        np.testing.assert_allclose(lattice.sum(axis=1), 1.0)
        assert lattice.min() >= 0
        assert len(np.unique(np.round(lattice, 12), axis=0)) == len(lattice) <= 101
        assert np.any(np.all(np.isclose(lattice, 1 / size), axis=1))
    assert len(simplex_lattice(3)) == comb(14, 2)
