"""CORAL against covariances formed one by one."""

import itertools

import numpy as np
import pytest
import torch

from experiments.losses.coral import coral


def naive(vectors, domains):
    gaps = []
    for d, e in itertools.combinations(sorted(set(domains.tolist())), 2):
        a, b = vectors[domains == d].numpy(), vectors[domains == e].numpy()
        gap = np.mean((a.mean(0) - b.mean(0)) ** 2)
        if min(len(a), len(b)) > 1:
            gap += np.mean((np.cov(a, rowvar=False, ddof=1) - np.cov(b, rowvar=False, ddof=1)) ** 2)
        gaps.append(gap)
    return np.mean(gaps)


@pytest.mark.parametrize("sizes", [(5, 7), (4, 1, 6), (1, 1), (3, 9, 2, 30)])
@pytest.mark.parametrize("dim", [2, 40])
def test_equals_its_formula(sizes, dim):
    rng = np.random.default_rng(0)
    domains = torch.tensor(rng.permutation(np.repeat(np.arange(len(sizes)) * 3, sizes)))  # numbers with gaps
    vectors = torch.tensor(
        rng.normal(size=(sum(sizes), dim)) * (1 + domains.numpy()[:, None]) + domains.numpy()[:, None]
    )
    assert coral(vectors, domains).item() == pytest.approx(naive(vectors, domains), rel=1e-12)


def test_gradients():
    vectors, *_ = torch.tensor(np.random.default_rng(1).normal(size=(1, 7, 3)))
    vectors.requires_grad_(True)
    domains = torch.tensor([0, 0, 0, 1, 1, 1, 2])
    assert torch.autograd.gradcheck(lambda x: coral(x, domains), (vectors,))
    assert torch.autograd.gradgradcheck(lambda x: coral(x, domains), (vectors,))


def test_one_domain_and_equal_domains_are_zero():
    vectors = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    alone = coral(vectors, torch.zeros(6))
    (gradient,) = torch.autograd.grad(alone, vectors)
    assert alone.item() == 0 == gradient.abs().max()
    assert coral(vectors.repeat(2, 1), torch.arange(2).repeat_interleave(6)).item() == pytest.approx(0, abs=1e-6)


def test_moving_or_scaling_one_domain_is_seen_by_its_own_moment():
    """A shift by c changes means alone: c^2. A reflection about the mean changes neither moment."""
    x = torch.tensor(np.random.default_rng(2).normal(size=(8, 3)))
    domains = torch.arange(2).repeat_interleave(8)
    assert coral(torch.cat([x, x + 2.0]), domains).item() == pytest.approx(4.0, rel=1e-12)
    mirrored = 2 * x.mean(0) - x
    assert coral(torch.cat([x, mirrored]), domains).item() == pytest.approx(0, abs=1e-14)
