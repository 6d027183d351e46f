import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from geometry.alignment import (
    coordinates,
    cosines,
    double_centred,
    gram_error,
    kernel_alignment,
    planar,
    procrustes,
    relative_error,
)
from geometry.frames import simplex_etf

seeds = st.integers(0, 10**6)


def gram_of(rng, size=5, dim=4):
    vectors = rng.normal(size=(size, dim))
    return vectors @ vectors.T


def test_gram_errors_from_their_definitions():
    rng = np.random.default_rng(0)
    first, second = gram_of(rng), gram_of(rng)
    frobenius = np.sqrt(sum(first[i, j] ** 2 for i in range(5) for j in range(5)))
    other = np.sqrt(sum(second[i, j] ** 2 for i in range(5) for j in range(5)))
    error = np.sqrt(sum((first[i, j] / frobenius - second[i, j] / other) ** 2 for i in range(5) for j in range(5)))
    assert gram_error(first, second) == pytest.approx(error, rel=1e-12)
    assert gram_error(7 * first, second) == pytest.approx(error, rel=1e-12)
    assert relative_error(2 * first, first) == pytest.approx(1.0)


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_kernel_alignment_is_centred_and_blind_to_scale(seed):
    rng = np.random.default_rng(seed)
    first, second = gram_of(rng), gram_of(rng)
    h = np.eye(5) - 1 / 5
    naive = np.trace(h @ first @ h @ second) / np.linalg.norm(h @ first @ h) / np.linalg.norm(h @ second @ h)
    assert kernel_alignment(first, second) == pytest.approx(naive, rel=1e-10)
    assert kernel_alignment(3 * first + 2.0, second) == pytest.approx(naive, rel=1e-9)
    assert kernel_alignment(first, first) == pytest.approx(1.0)
    np.testing.assert_allclose(double_centred(first), h @ first @ h, atol=1e-12)


def test_alignment_with_a_constant_is_undefined():
    assert np.isnan(kernel_alignment(np.ones((3, 3)), simplex_etf(3)))


@given(seed=seeds)
@settings(max_examples=30, deadline=None)
def test_procrustes_equals_scipys_and_undoes_rotation_and_scale(seed):
    rng = np.random.default_rng(seed)
    vectors, other = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    turned = 3.0 * vectors @ ortho_group.rvs(4, random_state=rng)
    residual, mine, goal = procrustes(turned @ turned.T, vectors @ vectors.T)
    assert residual < 1e-7
    np.testing.assert_allclose(mine, goal, atol=1e-6)
    residual, mine, goal = procrustes(vectors @ vectors.T, other @ other.T)
    overlap = np.linalg.svd(vectors.T @ other, compute_uv=False).sum()
    disparity = 1 - (overlap / np.linalg.norm(vectors) / np.linalg.norm(other)) ** 2
    assert residual**2 == pytest.approx(disparity, abs=1e-9)
    np.testing.assert_allclose(goal @ goal.T, other @ other.T, atol=1e-9)
    # mirrored vectors have the same Gram matrix, so they are at distance zero
    assert procrustes((vectors * [1, 1, 1, -1]) @ (vectors * [1, 1, 1, -1]).T, vectors @ vectors.T)[0] < 1e-7


def test_cosines_of_deviations_and_of_nothing():
    vectors = np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    result = cosines(vectors @ vectors.T)
    np.testing.assert_array_equal(result[:2, :2], np.eye(2))
    assert np.isnan(result[2]).all()
    assert np.isnan(result[:, 2]).all()
    centred = vectors - vectors.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(cosines(vectors @ vectors.T, centre=True), unit @ unit.T, atol=1e-12)
    assert np.isnan(cosines(np.zeros((3, 3)))).all()
    vouched = np.diag([1.0, 1e-13, 1e-15])
    np.testing.assert_array_equal(np.isnan(np.diag(cosines(vouched))), [False, False, True])
    stack = np.stack([vectors @ vectors.T, np.eye(3)])
    np.testing.assert_array_equal(cosines(stack, centre=True), [cosines(gram, centre=True) for gram in stack])


def test_coordinates_reproduce_the_gram_matrix():
    gram = gram_of(np.random.default_rng(3))
    np.testing.assert_allclose(coordinates(gram) @ coordinates(gram).T, gram, atol=1e-10)
    assert (np.diff(np.linalg.norm(coordinates(gram), axis=0)) <= 1e-12).all()


def test_a_plane_shows_planar_vectors_whole():
    angles = np.radians([0, 100, 230])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gram = vectors @ vectors.T
    seen = planar(4 * gram, gram)
    for points, share in zip(seen.points, seen.shares, strict=True):
        assert points.shape == (3, 2)
        np.testing.assert_allclose(points @ points.T, gram, atol=1e-7)
        assert share == pytest.approx(1.0)
    np.testing.assert_allclose(*seen.points, atol=1e-7)


def test_a_simplex_and_itself_share_one_plane():
    seen = planar(simplex_etf(10), simplex_etf(10))
    np.testing.assert_allclose(*seen.points, atol=1e-7)
    assert seen.shares[0] == pytest.approx(2 / 9, abs=1e-9)  # nine equal axes, two kept
    alone = planar(simplex_etf(10))
    assert alone.shares == pytest.approx((2 / 9,))


def test_two_classes_fit_in_the_plane():
    seen = planar(simplex_etf(2))
    assert seen.points[0].shape == (2, 2)
    assert seen.shares[0] == pytest.approx(1.0)
