"""Effective and stable rank."""

import numpy as np
import pytest

from geometry.collapse import effective_rank, gram_ranks, stable_rank
from geometry.collapse.ranks import centred_singular_values


def test_definitions():
    values = np.array([5.0, 2.0, 1.0, 0.0])
    share = values[:3] / 8
    assert effective_rank(values) == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert stable_rank(values) == pytest.approx(30 / 25)
    assert effective_rank([3.0]) == stable_rank([3.0]) == 1
    assert np.isnan([effective_rank([0.0, 0.0]), stable_rank([0.0, 0.0])]).all()
    np.testing.assert_allclose(effective_rank([[1, 1], [1, 0]]), [2, 1])


@pytest.mark.parametrize("shape", [(30, 7), (7, 30)])
def test_singular_values_of_weighted_features(shape):
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=shape) + 3, rng.dirichlet(np.ones(shape[0]))
    centre = weights @ x
    scatter = sum(a * np.outer(h - centre, h - centre) for a, h in zip(weights, x, strict=True))
    expected = np.sqrt(np.maximum(np.linalg.eigvalsh(scatter), 0))[-7:]
    np.testing.assert_allclose(centred_singular_values(x, weights, centre)[-7:], expected, atol=1e-6)


def test_rounding_carries_no_rank():
    x = np.random.default_rng(1).normal(size=(60, 2)) @ np.random.default_rng(2).normal(size=(2, 50))
    values = centred_singular_values(x, np.full(60, 1 / 60), x.mean(axis=0))
    assert (values > 0).sum() == 2
    assert effective_rank(values) <= 2 + 1e-9


def test_gram_of_vectors_with_gaps():
    vectors = np.random.default_rng(3).normal(size=(4, 9))
    gram = np.full((6, 6), np.nan)
    places = np.array([0, 2, 3, 5])
    gram[places[:, None], places] = vectors @ vectors.T
    values = np.linalg.svd(vectors, compute_uv=False)
    assert gram_ranks(gram) == pytest.approx((effective_rank(values), stable_rank(values)))
    part = np.linalg.svd(vectors[1:3], compute_uv=False)
    assert gram_ranks(gram, [1, 2, 3]) == pytest.approx((effective_rank(part), stable_rank(part)))
    assert np.isnan(gram_ranks(gram, [1, 4])).all()
