"""NC2, GNC2 and the ETF error: the simplex, loops, K > D + 1, absent classes."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.collapse import class_statistics, cosines, etf_error, gnc2, nc2


def random_gram(seed, classes=6, dimension=4):
    vectors = np.random.default_rng(seed).normal(size=(classes, dimension))
    return vectors, vectors @ vectors.T


@pytest.mark.parametrize("classes", [2, 3, 7, 50])
def test_simplex_is_perfect(classes):
    simplex = 4.2 * (np.eye(classes) - 1 / classes)
    result = nc2(simplex)
    assert [result.norm_cov, result.cosine_std, result.max_equiangularity] == pytest.approx([0, 0, 0], abs=1e-12)
    assert etf_error(simplex) == pytest.approx(0, abs=1e-12)
    assert gnc2(simplex).mean == pytest.approx(-0.5 * np.log(2 * classes / (classes - 1)), abs=1e-12)
    assert gnc2(simplex).variance == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("subset", [None, [0, 2, 5]])
def test_against_loops(subset):
    vectors, gram = random_gram(0)
    chosen = range(6) if subset is None else subset
    pairs = list(itertools.combinations(chosen, 2))
    lengths = np.array([np.linalg.norm(vectors[k]) for k in chosen])
    cos = np.array(
        [vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j]) for i, j in pairs]
    )
    result = nc2(gram, subset)
    assert result.norm_cov == pytest.approx(lengths.std() / lengths.mean())
    assert result.cosine_std == pytest.approx(cos.std())
    assert result.max_equiangularity == pytest.approx(np.mean(np.abs(cos + 1 / 5)))
    assert (result.vectors, result.pairs) == (len(chosen), len(pairs))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    energy = [np.log(1 / np.linalg.norm(unit[i] - unit[j])) for i, j in pairs]
    assert gnc2(gram, subset).mean == pytest.approx(np.mean(energy))
    assert gnc2(gram, subset).variance == pytest.approx(np.var(energy))
    block = np.array([[vectors[i] @ vectors[j] for j in chosen] for i in chosen])
    target = np.array([[(i == j) - 1 / 6 for j in chosen] for i in chosen])
    expected = np.linalg.norm(block / np.linalg.norm(block) - target / np.linalg.norm(target))
    assert etf_error(gram, subset) == pytest.approx(expected)


def test_literal_formula_of_the_etf_error():
    _, gram = random_gram(1)
    literal = np.linalg.norm(gram / np.linalg.norm(gram) - (np.eye(6) - np.ones((6, 6)) / 6) / np.sqrt(5))
    assert etf_error(gram) == pytest.approx(literal)


def test_more_classes_than_dimensions_allow():
    """K > D + 1: no simplex exists, and on the circle equal spacing has the lowest log energy."""
    angle = 2 * np.pi * np.arange(6) / 6
    even = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    uneven = np.stack([np.cos(angle**1.1), np.sin(angle**1.1)], axis=1)
    assert etf_error(even @ even.T) > 0.5
    assert nc2(even @ even.T).norm_cov == pytest.approx(0, abs=1e-12)
    assert gnc2(even @ even.T).mean < gnc2(uneven @ uneven.T).mean
    # the product of the distances from one of K equally spaced points to the others is K
    assert gnc2(even @ even.T).mean == pytest.approx(-np.log(6) / 5)


def test_coinciding_directions_and_vanishing_vectors():
    vectors = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    gram = vectors @ vectors.T
    assert gnc2(gram).mean == np.inf
    assert np.isnan(gnc2(gram).variance)
    assert np.isnan(cosines(gram)[3]).all()
    assert nc2(gram, [0, 2, 3]).max_equiangularity == pytest.approx(1 / 3)  # the one pair with directions
    assert np.isnan(nc2(np.zeros((3, 3))).norm_cov)
    assert np.isnan(etf_error(np.zeros((3, 3))))


def test_absent_classes_are_left_out_and_fewer_than_two_undefined():
    _, gram = random_gram(2)
    holed = np.full((8, 8), np.nan)
    places = np.array([0, 1, 3, 4, 6, 7])
    holed[places[:, None], places] = gram
    assert nc2(holed).max_equiangularity == nc2(gram).max_equiangularity
    assert etf_error(holed) == etf_error(gram)
    assert gnc2(holed).mean == gnc2(gram).mean
    for subset in ([2, 5], [2, 3], []):
        assert np.isnan([nc2(holed, subset).norm_cov, etf_error(holed, subset), gnc2(holed, subset).mean]).all()


def test_pooled_and_balanced_centres_differ_under_imbalance():
    y = np.repeat([0, 1, 2], [100, 10, 2])
    x = np.eye(3)[y]
    balanced, pooled = (class_statistics(x, y, weighting=w) for w in ("balanced", "pooled"))
    assert etf_error(balanced.gram) == pytest.approx(0, abs=1e-12)
    assert etf_error(pooled.gram) > 0.3
    assert nc2(pooled.gram).norm_cov > 0.5


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-6, 1e6))
def test_scale_and_order_do_not_matter(seed, scale):
    _, gram = random_gram(seed)
    order = np.random.default_rng(seed).permutation(6)
    moved = scale * gram[order[:, None], order]
    for before, after in ((nc2(gram), nc2(moved)), (gnc2(gram), gnc2(moved))):
        for name in before.__dataclass_fields__:
            assert getattr(after, name) == pytest.approx(float(getattr(before, name)), rel=1e-6, abs=1e-9)
    assert etf_error(moved) == pytest.approx(float(etf_error(gram)))
    assert 0 <= etf_error(gram) <= np.sqrt(2)
