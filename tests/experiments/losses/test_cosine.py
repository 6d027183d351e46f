"""Cosines of vectors of every finite length."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from experiments.losses.cosine import cosine_matrix, unit_vectors


@pytest.mark.parametrize("length", [1e-6, 1.0, 1e30, 1e38])
def test_length_does_not_matter(length):
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.rand(4, 3, generator=generator), torch.rand(5, 3, generator=generator) - 0.5
    expected = cosine_similarity(rows[:, None].double(), columns[None, :].double(), dim=-1)
    torch.testing.assert_close(cosine_matrix(length * rows, columns).double(), expected, rtol=1e-5, atol=1e-6)


def test_zero_vectors_have_cosine_zero_and_zero_gradient_reaches_no_nan():
    rows = torch.zeros(1, 3, requires_grad=True)
    cosine = cosine_matrix(rows, torch.eye(3))
    (gradient,) = torch.autograd.grad(cosine.sum(), rows)
    assert cosine.abs().max() == 0
    assert torch.isfinite(gradient).all()


def test_no_vectors():
    assert unit_vectors(torch.zeros(0, 3)).shape == (0, 3)
    assert cosine_matrix(torch.eye(2), torch.zeros(0, 2)).shape == (2, 0)
