"""IRMv1's penalty against autograd by a scale, its expectation over orders, and where it is zero."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn.functional import cross_entropy

from experiments.losses.irm import irm, scale_gradients
from geometry.errors import UsageError


def batch(sizes, seed=0, classes=3):
    rng = np.random.default_rng(seed)
    domains = rng.permutation(np.repeat(np.arange(len(sizes)) * 2, sizes))  # numbers with gaps
    logits = torch.tensor(2 * rng.normal(size=(len(domains), classes)))
    return logits, torch.tensor(rng.integers(classes, size=len(domains))), torch.tensor(domains)


def slope(logits, labels):
    scale = torch.ones((), dtype=logits.dtype, requires_grad=True)
    return torch.autograd.grad(cross_entropy(scale * logits, labels), scale)[0].item()


@pytest.mark.parametrize("sizes", [(6, 6), (5, 2, 8), (1, 4), (3,)])
def test_equals_autograd_by_a_scale_of_the_logits(sizes):
    logits, labels, domains = batch(sizes)
    halves, squares = [], []
    for d in sorted(set(domains.tolist())):
        z, y = logits[domains == d], labels[domains == d]
        squares.append(slope(z, y) ** 2)
        if len(z) > 1:
            halves.append(slope(z[::2], y[::2]) * slope(z[1::2], y[1::2]))
    assert irm(logits, labels, domains).item() == pytest.approx(np.mean(halves), rel=1e-12)
    assert irm(logits, labels, domains, "square").item() == pytest.approx(np.mean(squares), rel=1e-12)


def test_halves_are_unbiased_and_squares_are_not():
    """Over all orders of four samples the halves' product has the mean of g_i g_j over i != j."""
    logits, labels, domains = batch((4,), seed=3)
    g = scale_gradients(logits, labels)
    orders = [irm(logits[list(o)], labels[list(o)], domains).item() for o in itertools.permutations(range(4))]
    independent = (g.sum() ** 2 - g.square().sum()).item() / 12
    assert np.mean(orders) == pytest.approx(independent, rel=1e-12)
    assert irm(logits, labels, domains, "square").item() > independent + 1e-3


def test_halves_of_class_aware_batches_overestimate_by_the_variance_between_classes():
    """Over all batches of two classes, two images of each side by side: more than the mean's square, less than square.

    Both halves hold the same classes, so that their means vary together as means of two class means do.
    """
    rng = np.random.default_rng(4)
    logits, labels = torch.tensor(rng.normal(size=(9, 3)) + 2 * np.eye(3).repeat(3, axis=0)), torch.arange(9) // 3
    found = {"halves": [], "square": []}
    for classes in itertools.combinations(range(3), 2):
        pairs = [list(itertools.permutations(range(3 * k, 3 * k + 3), 2)) for k in classes]
        for one, other in itertools.product(*pairs):
            of = [*one, *other]
            for estimate, values in found.items():
                values.append(irm(logits[of], labels[of], torch.zeros(4), estimate).item())
    means = scale_gradients(logits, labels).reshape(3, 3).mean(dim=1).numpy()
    gradients = scale_gradients(logits, labels).reshape(3, 3).numpy()
    drawn = [np.mean(pair) for pair in itertools.combinations(means, 2)]
    # Two draws without replacement from one class of three: covariance -s^2 / 3 of its sample variance s^2.
    within = -np.mean(gradients.var(axis=1, ddof=1)) / 3 / 2
    assert np.mean(found["halves"]) == pytest.approx(means.mean() ** 2 + np.var(drawn) + within, rel=1e-10)
    assert np.var(drawn) > 1e-3
    assert np.mean(found["square"]) > np.mean(found["halves"])


def test_zero_where_the_scale_is_optimal_on_every_domain():
    logits, labels, domains = batch((20, 20), classes=2)
    labels = torch.where(torch.arange(40) % 3 == 0, labels, logits.argmax(dim=1))
    scaled = logits.clone()
    for d in (0, 2):
        of = domains == d
        risk = lambda w, of=of: cross_entropy(w * logits[of], labels[of]).item()  # noqa: E731
        best = minimize_scalar(risk, bounds=(0, 10), method="bounded", options={"xatol": 1e-10}).x
        scaled[of] = best * logits[of]
    assert irm(scaled, labels, domains, "square").item() == pytest.approx(0, abs=1e-12)
    assert irm(2 * scaled, labels, domains, "square").item() > 1e-4


@pytest.mark.parametrize("estimate", ["halves", "square"])
def test_equal_domains_give_one_domains_own_value(estimate):
    logits, labels, _ = batch((9,))
    alone = irm(logits, labels, torch.zeros(9), estimate)
    thrice = irm(logits.repeat(3, 1), labels.repeat(3), torch.arange(3).repeat_interleave(9), estimate)
    assert thrice.item() == pytest.approx(alone.item(), rel=1e-12)
    assert abs(alone.item()) > 1e-3


def test_single_samples_have_no_halves():
    logits, labels, domains = batch((1, 1))
    logits.requires_grad_(True)
    found = irm(logits, labels, domains)
    (gradient,) = torch.autograd.grad(found, logits)
    assert found.item() == 0 == gradient.abs().max()


@pytest.mark.parametrize("estimate", ["halves", "square"])
def test_gradients(estimate):
    logits, labels, domains = batch((3, 4, 1))
    logits.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda z: irm(z, labels, domains, estimate), (logits,))


def test_an_unknown_estimate_is_refused():
    logits, labels, domains = batch((2,))
    with pytest.raises(UsageError, match="estimate"):
        irm(logits, labels, domains, "thirds")
