"""Recorded anchor gradients against finite differences, and the weights that each average gives."""

import numpy as np
import pytest
import torch

from experiments.algorithms.contrast import Contrast
from experiments.algorithms.spaces import Outputs
from experiments.losses.supcon import supcon
from experiments.probes.anchor_gradients import anchor_weights, record_anchor_gradients, standard_forms
from geometry.artifact import Artifact
from geometry.checks import gradient_share

PARTS = ("norm", "label", "batch", "weight")


def record(problem, own=None, batches=2):
    model = problem.build("erm").model
    rngs = [np.random.default_rng(i) for i in range(batches)]
    return model, record_anchor_gradients(model, [problem.batch(i) for i in range(batches)], rngs, rho=0.2, own=own)


def test_three_forms_are_recorded_on_the_same_batches_and_the_runs_own_beside_them(problem):
    _, found = record(problem)
    assert set(found) == {f"anchor_gradient/{form}/{part}" for form in ("ndcl", "infonce", "supcon") for part in PARTS}
    for form in ("infonce", "supcon"):
        for part in ("label", "batch"):
            assert np.array_equal(found[f"anchor_gradient/{form}/{part}"], found[f"anchor_gradient/ndcl/{part}"])
        assert not np.allclose(found[f"anchor_gradient/{form}/norm"], found["anchor_gradient/ndcl/norm"])
    _, found = record(problem, own=problem.build("ndcl").contrast)
    for part in PARTS:
        assert np.array_equal(found[f"anchor_gradient/own/{part}"], found[f"anchor_gradient/ndcl/{part}"])


@pytest.mark.parametrize("form", ["ndcl", "infonce", "supcon"])
def test_norms_are_those_of_finite_differences_in_the_logits(problem, form):
    model, found = record(problem, batches=1)
    model = model.double()
    batch = problem.batch(0)
    batch = type(batch)(batch.inputs.double(), batch.labels, batch.domains)
    contrast, step = standard_forms(0.2)[form], 1e-5
    logits = model(batch.inputs).detach()

    def loss(moved):
        outputs = Outputs(model, batch.inputs)
        outputs.__dict__["logits"] = moved
        return contrast(batch, outputs, np.random.default_rng(0)).item()

    for i in (0, 5, 17):
        slope = []
        for k in range(4):
            up, down = logits.clone(), logits.clone()
            up[i, k] += step
            down[i, k] -= step
            slope.append((loss(up) - loss(down)) / (2 * step))
        expected = np.linalg.norm(slope)
        assert found[f"anchor_gradient/{form}/norm"][i] == pytest.approx(expected, rel=1e-2, abs=1e-6)


def test_the_model_is_left_as_found(problem):
    algorithm = problem.build("ndcl")
    algorithm.train()
    algorithm.model.head.bias.requires_grad_(False)
    before = {name: value.clone() for name, value in algorithm.state_dict().items()}
    record_anchor_gradients(algorithm.model, [problem.batch(0)], [np.random.default_rng(0)], rho=0.2)
    assert algorithm.model.training
    assert algorithm.model.head.weight.requires_grad
    assert not algorithm.model.head.bias.requires_grad
    assert algorithm.model.head.weight.grad is None
    assert all(torch.equal(value, before[name]) for name, value in algorithm.state_dict().items())


def test_a_form_that_compares_features_is_derived_by_them(problem):
    own = Contrast(supcon, space="features", negatives="real", anchor_reduction="sample")
    _, found = record(problem, own=own, batches=1)
    batch = problem.batch(0)
    leaf = batch.inputs.clone().requires_grad_(True)
    (expected,) = torch.autograd.grad(supcon(leaf, batch.labels), leaf)
    np.testing.assert_allclose(found["anchor_gradient/own/norm"], expected.norm(dim=1).numpy(), rtol=1e-5)


def test_weights_are_the_shares_of_the_average():
    labels = np.array([0, 0, 0, 1, 1, 2])
    by_class = Contrast(supcon, anchor_reduction="class", singles_count=True)
    np.testing.assert_allclose(anchor_weights(labels, by_class), [1 / 9] * 3 + [1 / 6] * 2 + [1 / 3])
    without_singles = Contrast(supcon, anchor_reduction="class")
    np.testing.assert_allclose(anchor_weights(labels, without_singles), [1 / 6] * 3 + [1 / 4] * 2 + [1 / 2])
    by_sample = Contrast(supcon, anchor_reduction="sample")
    np.testing.assert_allclose(anchor_weights(labels, by_sample), [1 / 5] * 6)
    alone = np.array([0, 1])
    assert np.all(np.isfinite(anchor_weights(alone, by_sample)) & np.isfinite(anchor_weights(alone, without_singles)))


def test_the_check_judges_every_recorded_form_ndcls_first(problem):
    _, found = record(problem, own=problem.build("bcl").contrast, batches=25)
    artifact = Artifact(
        features=problem.features.numpy(),
        labels=problem.labels.numpy(),
        class_names=tuple("abcd"),
        domains=problem.domains.numpy(),
        domain_names=("one", "two"),
        train_counts=problem.counts,
        probes=found,
    )
    verdicts = gradient_share(artifact, rng=np.random.default_rng(0), resamples=50)
    assert [verdict.subject for verdict in verdicts] == ["ndcl", "infonce", "own", "supcon"]
    for verdict in verdicts:
        assert 0 < verdict.details["groups"]["many"].norm_share.estimate < 1
