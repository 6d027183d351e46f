"""Rivals that compare or mix samples of a class: SelfReg by its formula, GINIDG by the routes of its gradients."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss

from experiments.losses.class_partners import align_classes, shuffle_classes
from tests.experiments.algorithms.rivals import gradients, trained_backbone

# SelfReg


def test_partners_are_a_random_permutation_within_each_class(batch):
    labels, met = batch.labels.numpy(), set()
    for seed in range(200):
        partner = shuffle_classes(labels, np.random.default_rng(seed))
        assert sorted(partner) == list(range(20))
        np.testing.assert_array_equal(labels[partner], labels)
        met.add(int(partner[7]))  # the one sample of the last class in the first domain
    assert met == set(np.flatnonzero(labels == 3))


@pytest.mark.parametrize("scale", [1.0, 30.0])  # cross-entropy below and above the cap of 1
def test_selfreg_equals_its_formula(batch, scale):
    algorithm = trained_backbone("selfreg", weight=0.8, feature_share=0.4, alpha=0.9)
    with torch.no_grad():
        algorithm.model.head.weight *= scale
    reference = copy.deepcopy(algorithm)
    terms = algorithm.terms(batch, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    lam = rng.beta(0.9, 0.9)
    labels = batch.labels.numpy()
    one, other = shuffle_classes(labels, rng), shuffle_classes(labels, rng)
    f = reference.model.features(batch.inputs)
    z, g = reference.model.head(f), reference.perturbation(f)
    ce = cross_entropy(z, batch.labels)
    individual = mse_loss(z, z[one]) + 0.4 * mse_loss(f, g[one])
    mixed = mse_loss(z, lam * z[one] + (1 - lam) * z[other])
    mixed = mixed + 0.4 * mse_loss(f, lam * g[one] + (1 - lam) * g[other])
    expected = ce + 0.8 * min(ce.item(), 1.0) * (lam * individual + (1 - lam) * mixed)
    assert terms["loss"].item() == pytest.approx(expected.item(), rel=1e-12)
    found, wanted = gradients(algorithm, terms["loss"]), gradients(reference, expected)
    for key, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[key])


def test_one_sample_has_itself_for_a_partner_and_no_batch_statistics(batch):
    algorithm = trained_backbone("selfreg", feature_share=0.0)
    one = batch.at(torch.tensor([4]))
    terms = algorithm.terms(one, np.random.default_rng(0))
    assert terms["loss/penalty"].item() == 0
    algorithm = trained_backbone("selfreg")
    algorithm.terms(batch, np.random.default_rng(0))
    before = copy.deepcopy(algorithm.state_dict())
    algorithm.terms(one, np.random.default_rng(0))["loss"].backward()
    for key, value in algorithm.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)
    assert all(torch.isfinite(parameter.grad).all() for parameter in algorithm.parameters())
    algorithm.terms(batch, np.random.default_rng(0))  # and the next batch has statistics again
    assert int(algorithm.perturbation[1].num_batches_tracked) == 2


# GINIDG


def test_averages_hold_one_sample_of_every_domain_that_has_the_class(batch):
    labels, domains = batch.labels.numpy(), batch.domains.numpy()
    shares, classes = align_classes(labels, domains, np.random.default_rng(0))
    for k, holders in ((0, (0, 1, 2)), (1, (0, 1, 2)), (2, (0, 1, 2)), (3, (0, 2))):
        members = shares[classes == k]
        assert len(members) == -(-int((labels == k).sum()) // len(holders))
        assert (members[:, labels != k] == 0).all()
        for d in holders:
            np.testing.assert_allclose(members[:, domains == d].sum(axis=1), 1 / len(holders), rtol=1e-6)
            assert ((members[:, domains == d] > 0).sum(axis=1) == 1).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    counts = (align_classes(labels, domains, np.random.default_rng(1))[0] > 0).sum(axis=0)
    assert set(counts[(labels == 2)]) == {1}  # three domains with one sample each: each used once


def test_ginidg_routes_its_gradients(batch):
    """Early the generator alone learns from its features; late the head and the backbone do too, and it is fooled."""
    algorithm = trained_backbone("ginidg", steps=10, reconstruction=0.5, weight=0.6)

    def both(updates):
        algorithm.updates.fill_(updates)
        terms = algorithm.terms(batch, np.random.default_rng(0))
        return {key: gradients(algorithm, term) for key, term in terms.items()}

    def close(found, *weighted):
        wanted = sum(weight * part for weight, part in weighted if part is not None)
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-13)

    early = both(2)
    for key, total in early["loss"].items():
        named = {name: parts[key] for name, parts in early.items()}
        if key.startswith("model.head"):
            assert named["loss/generated"] is None
            close(total, (1, named["loss/ce"]))
        elif key.startswith("model.backbone"):
            assert named["loss/generated"] is named["loss/reconstruction"] is named["loss/fake"] is None
            close(total, (1, named["loss/ce"]), (1, named["loss/domain"]))
        elif key.startswith(("encoder", "decoder")):
            close(total, (0.6, named["loss/generated"]), (1, named["loss/reconstruction"]))
        elif key.startswith("fake"):
            assert total.abs().max() == 0
    late = both(7)
    for key, total in late["loss"].items():
        named = {name: parts[key] for name, parts in late.items()}
        if key.startswith("model"):
            assert named["loss/fake"] is None
            assert named["loss/generated"].abs().max() > 1e-6
            close(total, (1, named["loss/ce"]), (0.6, named["loss/generated"]), (1, named["loss/domain"]))
        elif key.startswith(("encoder", "decoder")):
            close(total, (0.6, named["loss/generated"]), (1, named["loss/fake"]))
            assert named["loss/fake"].abs().max() > 1e-9
        elif key.startswith("fake"):
            close(total, (1, named["loss/fake"]))


def test_generated_features_have_the_generators_moments(batch):
    """Of the code: mean and variance are the encoder's; seen through a decoder that only keeps what is positive."""
    algorithm = trained_backbone("ginidg", latent=6)
    with torch.no_grad():
        algorithm.encoder.weight.zero_()
        algorithm.encoder.bias[:6], algorithm.encoder.bias[6:] = 50.0, math.log(4.0)
        algorithm.decoder.weight.copy_(torch.eye(6))
        algorithm.decoder.bias.zero_()
        noise = torch.tensor(np.random.default_rng(0).standard_normal((4000, 2, 6)))
        made = algorithm.generate(torch.zeros(2, 6).double(), noise)
    torch.testing.assert_close(made.mean(dim=(0, 1)), torch.full((6,), 50.0).double(), atol=0.1, rtol=0)
    torch.testing.assert_close(made.flatten(0, 1).var(dim=0), torch.full((6,), 4.0).double(), atol=0.3, rtol=0)
