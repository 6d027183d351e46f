"""Running statistics of BatchNorm: those of the samples, whatever else passes through it."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import batch_norm, normalize

from experiments.algorithms import Batch, TrainingSet, build_algorithm
from experiments.algorithms.batch_norms import unrecorded
from experiments.algorithms.spaces import Outputs
from experiments.losses.hard_negatives import plan_hard_negatives
from experiments.models.classifier import Classifier

COUNTS = np.array([[30, 12, 5, 2], [9, 9, 9, 9]])
MIXED = {"ndcl": {}, "infonce": {"negatives": "mixup"}, "supcon": {"negatives": "both"}}


def built(name, **options):
    """Around a backbone with BatchNorm and a projection head with another, in double precision."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        backbone = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU())
        model = Classifier(backbone, 8, 4, images=False, projection=8, projection_norm="batch")
    return build_algorithm(name, model, TrainingSet(COUNTS, 10), options).double().train()


def batch_of(seed, views=0):
    """Far from 0 in mean and from 1 in variance."""
    rng = np.random.default_rng(seed)
    inputs = [torch.as_tensor(3 + 2 * rng.normal(size=(12, 6))) for _ in range(1 + views)]
    return Batch(inputs[0], torch.arange(12) % 4, torch.arange(12) // 6, tuple(inputs[1:]))


def averages(values, momentum=0.1):
    """Running mean and variance after batches of ``(B, D)`` values, by hand from 0 and 1."""
    mean, variance = torch.zeros(values[0].shape[1]).double(), torch.ones(values[0].shape[1]).double()
    for found in values:
        mean = (1 - momentum) * mean + momentum * found.mean(dim=0)
        variance = (1 - momentum) * variance + momentum * found.var(dim=0)
    return mean, variance


def assert_statistics(norm, values):
    assert int(norm.num_batches_tracked) == len(values)
    for found, expected in zip((norm.running_mean, norm.running_var), averages(values), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("views", [0, 2])
def test_the_classifiers_rows_are_no_batch_of_bcls_projection(views):
    algorithm, hidden = built("bcl", contrast_space="projections", views=views), []
    model = algorithm.model
    first, norm, _, last = model.projection
    for step in range(4):
        batch = batch_of(step, views)
        with torch.no_grad():
            shown = torch.cat(batch.views) if views else batch.inputs
            features = copy.deepcopy(model).features(torch.cat([batch.inputs, shown]) if views else shown)
            hidden.append(first(features[-len(shown) :]))
        algorithm.terms(batch, np.random.default_rng(0))["loss"].backward()
    assert_statistics(norm, hidden)
    assert all(part.training for part in model.modules())
    assert (model.head.weight.grad.norm(dim=1) > 0).all()
    with torch.no_grad():
        scaled = (first(model.head.weight) - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
        expected = normalize(last((norm.weight * scaled + norm.bias).relu()), dim=1)
        torch.testing.assert_close(algorithm.prototypes(), expected)


@pytest.mark.parametrize("space", ["predictions", "projections"])
@pytest.mark.parametrize("name", sorted(MIXED))
def test_mixed_negatives_are_normalised_by_their_own_batch_and_recorded_nowhere(name, space):
    algorithm, values = built(name, contrast_space=space, **MIXED[name]), []
    model, loss, seen = algorithm.model, algorithm.contrast.loss, []

    def spy(vectors, labels, **given):
        seen.append(given["negatives"])
        return loss(vectors, labels, **given)

    object.__setattr__(algorithm.contrast, "loss", spy)
    for step in range(3):
        batch, apart = batch_of(step), copy.deepcopy(model)
        algorithm.terms(batch, np.random.default_rng(step))
        values.append(model.backbone[0](batch.inputs).detach())
        with torch.no_grad():
            probs = apart(batch.inputs).softmax(dim=1).float().numpy()
            plan = plan_hard_negatives(probs, batch.labels.numpy(), rho=0.2, rng=np.random.default_rng(step))
            expected = Outputs.of(apart, plan.mix(batch.inputs)).vectors(space)
        torch.testing.assert_close(seen[-1], expected)
    assert_statistics(model.backbone[1], values)
    assert int(model.projection[1].num_batches_tracked) == (3 if space == "projections" else 0)


@pytest.mark.parametrize("space", ["features", "projections"])
def test_a_map_of_prototypes_with_batchnorm_sees_a_step_once(space):
    algorithm, hidden = built("ecl", prototypes="mlp", contrast_space=space, views=0), []
    first, norm = algorithm.prototype_map[:2]
    for step in range(3):
        with torch.no_grad():
            algorithm.model.head.weight.mul_(1.5)
            hidden.append(first(algorithm.model.head.weight))
        algorithm.terms(batch_of(step), np.random.default_rng(0))["loss"].backward()
    assert_statistics(norm, hidden)


@pytest.mark.parametrize("normalised_by", ["running", "own"])
def test_only_layers_that_record_are_switched_and_all_are_switched_back(normalised_by):
    kinds = [nn.BatchNorm1d(3), nn.BatchNorm1d(3).eval(), nn.BatchNorm1d(3, track_running_stats=False), nn.Dropout()]
    layers = nn.ModuleList(kinds)

    def state():
        return [(layer.training, getattr(layer, "track_running_stats", None)) for layer in layers]

    before, x = state(), 5 + torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    with unrecorded(layers, normalised_by):
        recording, *others = state()
        found = layers[0](x)
    assert recording == ((False, True) if normalised_by == "running" else (True, False))
    assert others == before[1:]
    statistics = (torch.zeros(3), torch.ones(3)) if normalised_by == "running" else (None, None)
    torch.testing.assert_close(found, batch_norm(x, *statistics, training=normalised_by == "own"))
    with pytest.raises(ValueError, match="expected 2D"), unrecorded(layers, normalised_by):
        layers[0](x[0])
    assert state() == before
    assert int(layers[0].num_batches_tracked) == 0
    assert layers[0].running_mean.abs().max() == 0
