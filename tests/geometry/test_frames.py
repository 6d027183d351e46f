import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.alignment import cosines
from geometry.errors import UsageError
from geometry.frames import orthogonal_frame, seli_classifiers, seli_embeddings, simplex_etf


@pytest.mark.parametrize("size", [2, 3, 10, 100])
def test_simplex_is_balanced_tight_and_of_full_rank(size):
    gram = simplex_etf(size)
    np.testing.assert_allclose(gram.sum(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.eigvalsh(gram)[1:], size / (size - 1))
    assert gram[0, 1] == -1 / (size - 1)


def test_orthogonal_frame_centred_is_the_simplex():
    np.testing.assert_array_equal(orthogonal_frame(4), np.eye(4))
    np.testing.assert_allclose(cosines(orthogonal_frame(4), centre=True), simplex_etf(4), atol=1e-15)


@pytest.mark.parametrize("frame", [simplex_etf, orthogonal_frame])
def test_one_class_has_no_frame(frame):
    with pytest.raises(UsageError, match="two classes"):
        frame(1)


counts_lists = st.lists(st.integers(1, 30), min_size=2, max_size=5)


@given(counts=counts_lists)
@settings(max_examples=30, deadline=None)
def test_seli_equals_the_singular_value_decomposition_of_the_encoded_labels(counts):
    """Thrampoulidis et al. 2022 from the definition: Z (K, N) = P Y = V L U^T; W^T W = V L V^T, H^T H = U L U^T."""
    size, labels = len(counts), np.repeat(np.arange(len(counts)), counts)
    encoded = np.eye(size)[:, labels] - 1 / size
    left, values, right = np.linalg.svd(encoded, full_matrices=False)
    left, values, right = left[:, : size - 1], values[: size - 1], right[: size - 1]
    np.testing.assert_allclose(seli_classifiers(counts), (left * values) @ left.T, atol=1e-10)
    samples = (right.T * values) @ right
    first = np.searchsorted(labels, np.arange(size))  # one sample of each class; the others are equal to it
    np.testing.assert_allclose(samples, samples[np.ix_(first[labels], first[labels])], atol=1e-10)
    np.testing.assert_allclose(seli_embeddings(counts), samples[np.ix_(first, first)], atol=1e-10)


@given(counts=counts_lists)
@settings(max_examples=30, deadline=None)
def test_seli_classifiers_and_embeddings_are_inverse(counts):
    size = len(counts)
    np.testing.assert_allclose(seli_classifiers(counts) @ seli_embeddings(counts), np.eye(size) - 1 / size, atol=1e-9)


@pytest.mark.parametrize(("majority", "minority", "large", "small"), [(2, 2, 10, 1), (5, 5, 1000, 10), (3, 7, 20, 3)])
def test_seli_steps_have_their_closed_form(majority, minority, large, small):
    size = majority + minority
    counts = [large] * majority + [small] * minority
    middle = (minority * large + majority * small) / size
    for gram, e in ((seli_classifiers(counts), 0.5), (seli_embeddings(counts), -0.5)):
        a, b, m = large**e, small**e, middle**e
        assert gram[0, 0] == pytest.approx(a * (1 - 1 / majority) + m * minority / (majority * size))
        assert gram[0, 1] == pytest.approx(-a / majority + m * minority / (majority * size))
        assert gram[-1, -1] == pytest.approx(b * (1 - 1 / minority) + m * majority / (minority * size))
        assert gram[-1, -2] == pytest.approx(-b / minority + m * majority / (minority * size))
        assert gram[0, -1] == pytest.approx(-m / size)


def test_seli_numbers_of_the_reference():
    classifiers, embeddings = (cosines(f([10, 10, 1, 1])) for f in (seli_classifiers, seli_embeddings))
    for gram, expected in (
        (classifiers, (-0.458991, 0.079446, -0.382096)),
        (embeddings, (-0.194601, -0.648532, -0.266023)),
    ):
        np.testing.assert_allclose((gram[0, 1], gram[2, 3], gram[0, 2]), expected, atol=1e-6)
    for ratio, expected in ((10, 0.0334), (100, 0.3380), (1e3, 0.6707), (1e4, 0.8730)):
        assert cosines(seli_classifiers([ratio] * 5 + [1] * 5))[8, 9] == pytest.approx(expected, abs=5e-5)


def test_balanced_seli_is_the_simplex():
    for frame in (seli_classifiers, seli_embeddings):
        np.testing.assert_allclose(cosines(frame([6] * 5)), simplex_etf(5), atol=1e-12)


@pytest.mark.parametrize("counts", [[3, 0, 1], [3, -1], [3, float("nan")], [[1, 2], [3, 4]], [4]])
def test_bad_counts(counts):
    with pytest.raises(UsageError, match=r"positive count|two classes"):
        seli_classifiers(counts)
