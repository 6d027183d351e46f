"""Gradients by parameters, split by class: the parts sum to the whole and are what a class's own terms give."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.algorithms import Batch
from experiments.algorithms.contrast import Contrast
from experiments.algorithms.spaces import Outputs
from experiments.losses.supcon import supcon
from experiments.models import build_classifier
from experiments.probes.contrast_forms import repaired_forms, standard_forms
from experiments.probes.parameter_gradients import class_gradients, record_parameter_gradients

LABELS = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
FORMS = standard_forms(0.2) | repaired_forms(0.2)


def batch(seed=0, labels=LABELS, dimensions=6):
    rng = np.random.default_rng(seed)
    x = torch.as_tensor(rng.normal(size=(len(labels), dimensions)) + labels.numpy()[:, None], dtype=torch.float32)
    return Batch(x, labels, torch.zeros_like(labels))


@pytest.fixture
def head():
    return build_classifier("features", 5, seed=1, num_inputs=6)


@pytest.fixture
def deep(head):
    """A linear layer before the head, so that more than the head is trained."""
    from experiments.models.classifier import Classifier

    torch.manual_seed(0)
    return Classifier(torch.nn.Sequential(torch.nn.Linear(6, 7), torch.nn.Tanh()), 7, 5, images=False)


def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize("name", FORMS)
def test_the_classes_sum_to_the_whole_gradient(deep, name):
    parameters = list(deep.parameters())
    parts = class_gradients(deep, batch(), (standard_forms(0.2) | repaired_forms(0.2))[name], rng(), parameters)
    assert len(parts) == 4
    fresh = (standard_forms(0.2) | repaired_forms(0.2))[name]
    whole = torch.autograd.grad(fresh(batch(), Outputs.of(deep, batch().inputs), rng()), parameters)
    expected = torch.cat([each.flatten() for each in whole]).double()
    np.testing.assert_allclose(sum(parts), expected, atol=1e-6 * float(expected.norm()) + 1e-8)


@pytest.mark.parametrize("name", ["ndcl", "ndcl_raw_mean", "ndcl_tau_0.1"])
def test_with_mixed_negatives_a_class_has_the_gradient_of_its_own_terms(deep, name):
    parameters, form = list(deep.parameters()), FORMS[name]
    parts = class_gradients(deep, batch(), form, rng(), parameters)
    keep = {}

    def only(vectors, labels, *, negatives, negative_labels, **options):
        k = keep["class"]
        mine, made = labels == k, negative_labels == k
        loss = form.loss(vectors[mine], labels[mine], negatives=negatives[made], negative_labels=negative_labels[made])
        return loss / len(torch.unique(labels))  # a mean over the classes of the batch

    for k, part in zip((0, 1, 2, 3), parts, strict=True):
        keep["class"] = k
        term = replace(form, loss=only)(batch(), Outputs.of(deep, batch().inputs), rng())
        expected = torch.autograd.grad(term, parameters, allow_unused=True, materialize_grads=True)
        expected = torch.cat([each.flatten() for each in expected]).double()
        np.testing.assert_allclose(part, expected, rtol=1e-4, atol=1e-6)
    assert float(parts[3].norm()) == 0  # alone in its class
    assert float(parts[0].norm()) > 0


def test_the_record_holds_norms_and_shares_of_head_and_of_all_that_is_trained(deep):
    forms = {"ndcl": standard_forms(0.2)["ndcl"]}
    batches = [batch(0), batch(1)]
    found = record_parameter_gradients(deep, batches, [rng(), rng()], forms=forms, own=forms["ndcl"])
    for form in ("ndcl", "own"):
        assert found[f"parameter_gradient/{form}/count"].tolist() == [[6, 3, 2, 1, 0]] * 2
        for part in ("head", "trained"):
            norm, along, total = (
                found[f"parameter_gradient/{form}/{part}/{what}"] for what in ("norm", "along", "total")
            )
            assert norm.shape == along.shape == (2, 5)
            assert total.shape == (2,)
            assert np.isnan(norm[:, 4]).all()
            assert np.isnan(along[:, 4]).all()
            np.testing.assert_allclose(np.nansum(along, axis=1), total, rtol=1e-9)
            assert np.all(np.abs(along[:, :4]) <= norm[:, :4] * (1 + 1e-9))
    head = list(deep.head.parameters())
    whole = torch.autograd.grad(forms["ndcl"](batches[0], Outputs.of(deep, batches[0].inputs), rng()), head)
    expected = torch.cat([each.flatten() for each in whole]).norm()
    assert found["parameter_gradient/ndcl/head/total"][0] == pytest.approx(float(expected), rel=1e-5)


def test_a_frozen_backbone_has_the_head_alone_and_the_model_is_left_as_found(head):
    head.train()
    found = record_parameter_gradients(head, [batch()], [rng()], forms={"supcon": FORMS["supcon"]})
    assert not any("trained" in name for name in found)
    assert head.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in head.parameters())


def test_one_class_in_a_batch_gives_zeros_and_features_give_the_head_nothing(head):
    alone = batch(labels=torch.tensor([2, 2, 2]))
    by_features = Contrast(supcon, space="features", negatives="real", anchor_reduction="sample")
    found = record_parameter_gradients(head, [alone], [rng()], forms={"ndcl": FORMS["ndcl"], "plain": by_features})
    for form in ("ndcl", "plain"):
        assert found[f"parameter_gradient/{form}/head/norm"][0, 2] == 0
        assert found[f"parameter_gradient/{form}/head/along"][0, 2] == 0
        assert found[f"parameter_gradient/{form}/head/total"].tolist() == [0.0]
