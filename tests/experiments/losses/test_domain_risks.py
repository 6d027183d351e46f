"""Risks of domains with gaps in their numbers and of unequal size."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments.losses.domain_gap import domain_gap
from experiments.losses.domain_risks import domain_risks


def test_equals_means_taken_one_by_one():
    rng = np.random.default_rng(0)
    domains = rng.permutation(np.repeat([7, 0, 3], [5, 1, 9]))
    losses = rng.normal(size=15)
    found = domain_risks(torch.tensor(losses), torch.tensor(domains))
    assert found.domains.tolist() == [0, 3, 7]
    assert found.counts.tolist() == [1, 9, 5]
    np.testing.assert_allclose(found.risks, [losses[domains == d].mean() for d in (0, 3, 7)], rtol=1e-14)
    assert (found.domains[found.place].numpy() == domains).all()


def test_each_loss_has_its_share_of_the_gradient():
    losses = torch.zeros(4, requires_grad=True)
    domain_risks(losses, torch.tensor([1, 1, 1, 0])).risks.sum().backward()
    torch.testing.assert_close(losses.grad, torch.tensor([1 / 3, 1 / 3, 1 / 3, 1.0]))


def test_the_gap_is_that_of_means_taken_one_by_one():
    rng = np.random.default_rng(1)
    domains = torch.as_tensor(rng.permutation(np.repeat([7, 0, 3], [5, 1, 9])))
    logits = torch.tensor(rng.normal(size=(15, 3)), requires_grad=True)
    labels = torch.as_tensor(rng.integers(3, size=15))
    risks = [cross_entropy(logits[domains == d], labels[domains == d]) for d in (0, 3, 7)]
    expected = max(risks) - min(risks)
    found = domain_gap(logits, labels, domains)
    assert found.item() == pytest.approx(expected.item(), rel=1e-14)
    torch.testing.assert_close(*(torch.autograd.grad(each, logits)[0] for each in (found, expected)))
