"""What the probe of hard negatives records: four kinds, by the plan, with the model's own logits."""

import numpy as np
import pytest
import torch

from experiments.algorithms import Batch
from experiments.losses.hard_negatives import plan_hard_negatives
from experiments.models import build_classifier
from experiments.probes.hard_negatives import plain_hard_negatives, random_mixups, record_hard_negatives
from geometry.checks.hard_negative_records import KINDS

LABELS = torch.tensor([0] * 8 + [1] * 3 + [2] * 2 + [3])


def batch(seed, labels=LABELS):
    x = torch.as_tensor(np.random.default_rng(seed).normal(size=(len(labels), 5)), dtype=torch.float32)
    x[:, 0] += labels
    return Batch(x, labels, torch.zeros_like(labels))


@pytest.fixture
def model():
    return build_classifier("features", 4, seed=1, num_inputs=5)


@pytest.fixture
def found(model):
    batches = [batch(0), batch(1, torch.zeros(4, dtype=torch.long)), batch(2)]
    return record_hard_negatives(model, batches, [np.random.default_rng(i) for i in range(3)], rho=0.2)


def part(found, name, kind):
    return found[f"hard_negative/{name}"][found["hard_negative/kind"] == KINDS.index(kind)]


def test_synthesised_ones_are_those_of_the_loss(model, found):
    x = batch(0).inputs
    probs = model(x).softmax(dim=1).detach().numpy()
    plan = plan_hard_negatives(probs, LABELS.numpy(), rho=0.2, rng=np.random.default_rng(0))
    mine = part(found, "batch", "synthesised") == 0
    np.testing.assert_allclose(
        part(found, "logits", "synthesised")[mine], model(plan.mix(x)).detach(), rtol=1e-5, atol=1e-6
    )
    assert np.array_equal(part(found, "label", "synthesised")[mine], plan.labels)
    assert np.array_equal(part(found, "coefficient", "synthesised")[mine], plan.lam)


def test_random_mixups_differ_in_their_pairs_alone(found):
    for name in ("label", "coefficient", "batch"):
        assert np.array_equal(part(found, name, "random"), part(found, name, "synthesised"))
    assert not np.allclose(part(found, "logits", "random"), part(found, "logits", "synthesised"))
    plan = plan_hard_negatives(np.full((14, 4), 0.25), LABELS.numpy(), rho=0.2, rng=np.random.default_rng(0))
    mixed = random_mixups(plan, LABELS.numpy(), np.random.default_rng(1))
    assert np.array_equal(LABELS.numpy()[mixed.positive], plan.labels)
    assert np.all(LABELS.numpy()[mixed.negative] != plan.labels)
    assert np.array_equal(mixed.other, mixed.negative)
    assert np.all(mixed.mu == 1)


def test_plain_ones_are_the_others_most_mistaken_for_the_class():
    probs = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    place, classes = plain_hard_negatives(probs, np.array([0, 1, 1, 1]), np.array([0, 0, 1, 1, 1]))
    assert place.tolist() == [2, 3, 0]  # both wanted of class 0's, and the only one of class 1's
    assert classes.tolist() == [0, 0, 1]


def test_real_samples_stand_with_their_own_class(found, model):
    assert part(found, "label", "real").tolist() == LABELS.tolist() * 2
    assert np.all(part(found, "coefficient", "real") == 1)
    assert np.all(part(found, "coefficient", "plain") == 0)
    np.testing.assert_allclose(part(found, "logits", "real")[:14], model(batch(0).inputs).detach(), atol=1e-5)


def test_a_batch_of_one_class_is_left_out(found, model):
    assert set(found["hard_negative/batch"]) == {0, 2}
    assert (
        record_hard_negatives(model, [batch(1, torch.zeros(3, dtype=torch.long))], [np.random.default_rng(0)], rho=0.2)
        == {}
    )


def test_features_of_at_most_600_samples_are_kept_with_their_places(found, model):
    features, index = found["hard_negative/feature"], found["hard_negative/feature_index"]
    assert len(features) == len(index) <= 600
    logits = torch.as_tensor(features) @ model.head.weight.T + model.head.bias
    np.testing.assert_allclose(logits.detach(), found["hard_negative/logits"][index], atol=1e-5)
    many = record_hard_negatives(
        model, [batch(i) for i in range(30)], [np.random.default_rng(i) for i in range(30)], rho=0.2
    )
    kinds = many["hard_negative/kind"][many["hard_negative/feature_index"]]
    assert np.bincount(kinds).tolist() == [150, 150, 150, 150]


def test_the_model_is_left_as_found(model):
    model.train()
    record_hard_negatives(model, [batch(0)], [np.random.default_rng(0)], rho=0.2)
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
