"""Recorded anchor gradients against finite differences, and the weights that each average gives."""

import numpy as np
import pytest
import torch

from experiments.algorithms.contrast import Contrast
from experiments.algorithms.spaces import Outputs
from experiments.losses.info_nce import info_nce
from experiments.losses.ndcl import negative_dominant_contrast
from experiments.losses.supcon import supcon
from experiments.probes.anchor_gradients import anchor_weights, record_anchor_gradients
from experiments.probes.contrast_forms import PAIR_PARTS, WithMemory, repaired_forms, standard_forms
from geometry.artifact import Artifact
from geometry.checks import gradient_share

PARTS = ("norm", "prediction_norm", "feature_norm", "label", "batch", "weight", *PAIR_PARTS)


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
    assert np.isnan(found["anchor_gradient/own/prediction_norm"]).all()


def test_the_three_norms_obey_the_chain_rule(problem):
    model, found = record(problem, batches=1)
    batch = problem.batch(0)
    vectors = Outputs(model, batch.inputs).predictions.detach().requires_grad_(True)
    outputs = Outputs(model, batch.inputs)
    outputs.__dict__["predictions"] = vectors
    form = standard_forms(0.2)["supcon"]
    (slope,) = torch.autograd.grad(form(batch, outputs, np.random.default_rng(0)), vectors)
    np.testing.assert_allclose(found["anchor_gradient/supcon/prediction_norm"], slope.norm(dim=1), rtol=1e-4)
    p = vectors.detach()
    logit_slope = p * (slope - (slope * p).sum(dim=1, keepdim=True))
    np.testing.assert_allclose(found["anchor_gradient/supcon/norm"], logit_slope.norm(dim=1), rtol=1e-4, atol=1e-9)
    feature_slope = logit_slope @ model.head.weight
    np.testing.assert_allclose(
        found["anchor_gradient/supcon/feature_norm"], feature_slope.norm(dim=1).detach(), rtol=1e-4, atol=1e-8
    )


LOSSES = {
    "exp": (negative_dominant_contrast, {}),
    "cold": (negative_dominant_contrast, {"tau": 0.1}),
    "mean": (negative_dominant_contrast, {"aggregate": "mean"}),
    "raw": (negative_dominant_contrast, {"dissimilarity": "raw"}),
    "raw mean": (negative_dominant_contrast, {"dissimilarity": "raw", "aggregate": "mean"}),
    "infonce": (info_nce, {"tau": 0.5, "anchor_reduction": "sample"}),
    "supcon out": (supcon, {"tau": 0.5}),
    "supcon in": (supcon, {"tau": 0.5, "form": "in"}),
}


@pytest.mark.parametrize("name", LOSSES)
def test_repulsion_is_the_slope_along_the_cosines_with_negatives(name):
    """One anchor of three whose cosines with its negatives are free coordinates: slopes are read off directly."""
    loss, options = LOSSES[name]
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    cosines = torch.as_tensor(np.random.default_rng(1).uniform(0.1, 0.9, (6, 6)), dtype=torch.float64)
    tau, anchor = options.get("tau", 1.0), 0
    s = cosines[anchor].clone().requires_grad_(True)
    near, far = s[1:3], s[3:]
    if loss is negative_dominant_contrast:
        kernel = (lambda x: 1 - x) if options.get("dissimilarity") == "raw" else (lambda x: ((1 - x) / tau).exp())
        total = torch.mean if options.get("aggregate") == "mean" else torch.sum
        term = torch.log1p(total(kernel(near)) / total(kernel(far)))
    elif loss is info_nce:
        term = torch.log1p((far / tau).exp().sum() / (near / tau).exp()).mean()
    else:
        share = (near / tau).exp() / ((near / tau).exp().sum() + (far / tau).exp().sum())
        term = -share.mean().log() if options.get("form") == "in" else -share.log().mean()
    (slope,) = torch.autograd.grad(term, s)

    from experiments.losses.pairs import Pairs
    from experiments.probes.contrast_forms import _dissimilar, _similar

    same = labels[:, None] == labels[None, :]
    pairs = Pairs(cosines, same & ~torch.eye(6, dtype=torch.bool), cosines, ~same)
    found = _dissimilar(pairs, **options) if loss is negative_dominant_contrast else _similar(pairs, loss, tau)
    assert float(found["repulsion"][anchor]) == pytest.approx(float(slope[3:].abs().sum()), rel=1e-9)
    if loss is negative_dominant_contrast and not options.get("aggregate"):
        per_pair = slope[3:].abs().mean() / slope[1:3].abs().mean()
        if options.get("dissimilarity") == "raw":  # the factor A of the paper
            assert float(found["positives"][anchor] / found["negatives"][anchor]) == pytest.approx(float(per_pair))


def test_pair_sums_follow_the_loss_that_was_called(problem):
    _, found = record(problem, batches=8)
    value = {part: found[f"anchor_gradient/ndcl/{part}"] for part in PAIR_PARTS}
    label, batch = found["anchor_gradient/ndcl/label"], found["anchor_gradient/ndcl/batch"]
    for i in range(len(label)):
        assert value["positive_count"][i] == np.sum((label == label[i]) & (batch == batch[i])) - 1
    made = value["negative_count"] > 0
    expected = value["positives"] / (value["positives"] + value["negatives"])
    np.testing.assert_allclose(value["repulsion"][made], expected[made], rtol=1e-5)
    alone = value["positive_count"] == 0
    assert alone.any()
    assert np.all(value["repulsion"][alone] == 0)
    assert np.all(found["anchor_gradient/ndcl/norm"][alone] == 0)
    mean_loss = (np.log1p(value["positives"] / value["negatives"]) * found["anchor_gradient/ndcl/weight"])[batch == 0]
    form, model = standard_forms(0.2)["ndcl"], problem.build("erm").model
    one = form(problem.batch(0), Outputs.of(model, problem.batch(0).inputs), np.random.default_rng(0))
    assert mean_loss.sum() == pytest.approx(one.item(), rel=1e-5)


def test_a_loss_that_is_not_known_has_no_closed_form(problem):
    _, found = record(problem, own=problem.build("bcl").contrast, batches=1)
    assert np.isnan(found["anchor_gradient/own/repulsion"]).all()
    assert np.isfinite(found["anchor_gradient/own/positive_count"]).all()


def test_one_class_in_a_batch_pulls_nothing(tiny_batch):
    from experiments.models import build_classifier

    batch = tiny_batch([1, 1, 1], [0, 0, 1])
    model = build_classifier("features", 4, seed=0, num_inputs=batch.inputs.shape[1])
    forms = standard_forms(0.2) | repaired_forms(0.2)
    found = record_anchor_gradients(model, [batch], [np.random.default_rng(0)], rho=0.2, forms=forms)
    for form in forms:
        assert np.all(found[f"anchor_gradient/{form}/norm"] == 0)
        assert np.all(found[f"anchor_gradient/{form}/negative_count"] == 0)


def test_a_memory_gives_an_anchor_alone_in_its_class_a_positive(problem):
    batches = [problem.batch(i) for i in range(4)]
    model = problem.build("erm").model
    rngs = [np.random.default_rng(i) for i in range(4)]
    forms = standard_forms(0.2) | repaired_forms(0.2)
    found = record_anchor_gradients(model, batches, rngs, rho=0.2, forms=forms)
    alone = found["anchor_gradient/ndcl/positive_count"] == 0
    later = found["anchor_gradient/ndcl/batch"] > 0
    assert np.all(found["anchor_gradient/ndcl/norm"][alone] == 0)
    seen = found["anchor_gradient/ndcl_memory/norm"][alone & later]
    assert (seen > 0).any()
    assert np.all(found["anchor_gradient/ndcl_memory/positive_count"] >= 1)
    weight, batch = (found[f"anchor_gradient/ndcl_memory/{part}"] for part in ("weight", "batch"))
    assert np.all([weight[batch == b].sum() < 1 for b in range(4)])  # the prototypes have a share of the average


def test_a_memory_moves_towards_class_means_and_is_no_source_of_gradient():
    memory = WithMemory(lambda vectors, labels: vectors.sum(), momentum=0.5)
    first = torch.tensor([[1.0, 0.0], [3.0, 0.0]], requires_grad=True)
    memory(first, torch.tensor([2, 2]))
    vectors, labels = memory.joined(first, torch.tensor([2, 2]))
    assert vectors[2].tolist() == [2.0, 0.0]
    assert labels.tolist() == [2, 2, 2]
    memory(torch.tensor([[4.0, 2.0], [0.0, 1.0]]), torch.tensor([2, 3]))
    vectors, labels = memory.joined(first, torch.tensor([3, 2]))
    assert vectors[2:].tolist() == [[3.0, 1.0], [0.0, 1.0]]
    (slope,) = torch.autograd.grad(memory(first, torch.tensor([2, 2])), first)
    assert torch.equal(slope, torch.ones(2, 2))


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
