"""Rivals that perturb: adversaries on the head or on all weights, muted gradients, exchanged styles."""

import copy

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from experiments.algorithms.parameter_vector import flatten
from experiments.algorithms.rsc import without_largest
from experiments.algorithms.sagnet import EPSILON, randomise
from experiments.descent import Descent
from experiments.losses.domain_gap import domain_gap
from experiments.losses.maximum_squares import maximum_squares
from tests.experiments.algorithms.rivals import (
    Fixed,
    Watched,
    doubled,
    small,
)


@pytest.mark.parametrize("radius", [0.05, 50.0])
def test_the_adversary_climbs_the_gap_inside_its_ball(problem, radius):
    algorithm = problem.build("transfer", gap_reaches="both", radius=radius, ascent_steps=4, ascent_lr=0.3)
    batch = problem.batch(0)
    found = algorithm.adversary(batch.inputs, batch)
    head = algorithm.model.head
    start = flatten(head.parameters())
    away = torch.zeros_like(start)

    def gap_at(vector):
        weight, bias = vector[: head.weight.numel()].view_as(head.weight), vector[head.weight.numel() :]
        logits = linear(batch.inputs, weight, bias)
        losses = [
            cross_entropy(logits[batch.domains == domain], batch.labels[batch.domains == domain]) for domain in (0, 1)
        ]
        return max(losses) - min(losses)

    for _ in range(4):
        point = (start + away).requires_grad_()
        (slope,) = torch.autograd.grad(gap_at(point), point)
        away = away + 0.3 * slope
        if away.norm() > radius:
            away = away * radius / away.norm()
    torch.testing.assert_close(flatten(found), start + away)
    terms = algorithm.terms(batch, np.random.default_rng(0))
    torch.testing.assert_close(terms["loss/gap"], gap_at(start + away).detach())
    assert terms["loss/gap"] > gap_at(start)
    (slope,) = torch.autograd.grad(gap_at(point := (start + away).requires_grad_()), point)
    torch.testing.assert_close(
        torch.autograd.grad(terms["loss/gap"], head.weight)[0], slope[: head.weight.numel()].view_as(head.weight)
    )


def test_as_published_the_gap_reaches_the_features_alone(problem):
    algorithm, batch = small("transfer", problem.counts), problem.batch(0)
    gap = algorithm.terms(batch, np.random.default_rng(0))["loss/gap"]
    names = [name for name, _ in algorithm.named_parameters()]
    reached = torch.autograd.grad(gap, list(algorithm.parameters()), allow_unused=True)
    reached = {name: found for name, found in zip(names, reached, strict=True) if found is not None}
    assert reached.keys() == {"model.backbone.weight", "model.backbone.bias"}
    features = algorithm.model.features(batch.inputs)
    constant = [part.detach() for part in algorithm.adversary(features, batch)]
    expected = domain_gap(linear(features, *constant), batch.labels, batch.domains)
    backbone = algorithm.model.backbone.weight
    torch.testing.assert_close(reached["model.backbone.weight"], torch.autograd.grad(expected, backbone)[0])


def test_equal_domains_have_no_gap():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    labels, domains = torch.tensor([0, 1, 2, 0]), torch.tensor([3, 3, 3, 3])
    assert domain_gap(logits, labels, domains) == 0
    twice = domain_gap(logits.repeat(2, 1), labels.repeat(2), torch.tensor([0, 0, 0, 0, 5, 5, 5, 5]))
    assert twice == 0


def test_rsc_mutes_what_its_percentiles_say(problem):
    algorithm = problem.build("rsc", feature_drop=1 / 3, batch_drop=0.4)
    batch = problem.batch(0)
    head = algorithm.model.head
    features = batch.inputs.clone().requires_grad_()
    logits = head(features)
    truth = logits.gather(1, batch.labels[:, None])
    slopes = torch.autograd.grad(truth.sum(), features)[0].numpy()
    keep = np.stack([row < np.percentile(row, 100 * (1 - 1 / 3)) for row in slopes])
    muted = head(batch.inputs * torch.as_tensor(keep)).softmax(dim=1)
    index = torch.arange(len(batch.labels))
    falls = (logits.softmax(dim=1)[index, batch.labels] - muted[index, batch.labels]).detach().numpy()
    spared = falls < np.percentile(falls, 100 * (1 - 0.4))
    mask = torch.as_tensor(keep | spared[:, None])
    expected = cross_entropy(head(batch.inputs * mask), batch.labels)
    torch.testing.assert_close(algorithm.terms(batch, np.random.default_rng(0))["loss"], expected)
    assert 0 < mask.sum() < mask.numel()


@pytest.mark.parametrize(("share", "left"), [(0.0, 10), (0.1, 9), (0.3, 7), (0.31, 6), (1.0, 0)])
def test_equal_entries_are_muted_in_the_number_asked_for(share, left):
    ties = torch.zeros(3, 10)
    assert without_largest(ties, share).sum(dim=1).tolist() == [left] * 3


def test_styles_and_contents_are_exchanged_as_the_formulas_say():
    rng = np.random.default_rng(0)
    features, order, shares = rng.normal(size=(4, 5)), [2, 0, 3, 1], rng.random(4)
    mean, variance = features.mean(axis=1), features.var(axis=1, ddof=1)
    content = (features - mean[:, None]) / np.sqrt(variance + EPSILON)[:, None]
    style, other = np.empty_like(features), np.empty_like(features)
    for i, (j, share) in enumerate(zip(order, shares, strict=True)):
        mixed = share * variance[i] + (1 - share) * variance[j]
        style[i] = content[i] * np.sqrt(mixed + EPSILON) + share * mean[i] + (1 - share) * mean[j]
        other[i] = content[j] * np.sqrt(variance[i] + EPSILON) + mean[i]
    vectors = torch.tensor(features, requires_grad=True)
    np.testing.assert_allclose(randomise(vectors, "style", Fixed(order, shares=shares)).detach(), style)
    np.testing.assert_allclose(randomise(vectors, "content", Fixed(order, shares=shares)).detach(), other)
    alone = randomise(vectors, "style", Fixed([0, 1, 2, 3], shares=shares))
    torch.testing.assert_close(alone, vectors)


def test_each_sagnet_step_trains_what_it_should(problem):
    algorithm = small("sagnet", problem.counts)
    watched = Watched(algorithm)
    values = algorithm.update(problem.batch(0), np.random.default_rng(0), watched)
    reached = [
        {name.rsplit(".", 1)[0] for name, found in step.items() if found is not None} for step in watched.gradients
    ]
    assert reached == [{"model.backbone", "model.head"}, {"style_head"}, {"model.backbone"}]
    whole = values["loss/content"] + values["loss/style"] + 0.1 * values["loss/adversarial"]
    assert values["loss"] == pytest.approx(whole)


@pytest.mark.parametrize("balance", [0.0, 0.2, 1.0])
def test_maximum_squares_are_those_of_a_loop(balance):
    logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    predictions = logits.detach().softmax(dim=1).numpy()
    classes = predictions.argmax(axis=1)
    total = 0.0
    for row, predicted in zip(predictions, classes, strict=True):
        size = (classes == predicted).sum()
        total -= (row**2).sum() / (2 * size**balance * 9 ** (1 - balance))
    assert maximum_squares(logits, balance=balance).item() == pytest.approx(total)
    assert torch.autograd.gradcheck(lambda z: maximum_squares(z, balance=balance), logits)


def test_samaltdg_descends_the_task_at_its_perturbed_weights(problem):
    algorithm, batch = doubled(small("samaltdg", problem.counts), problem.batch(0))
    options, model = algorithm.options, algorithm.model
    before = copy.deepcopy(algorithm.state_dict())

    def task(weights):
        logits = torch.func.functional_call(model, weights, (batch.inputs,))
        return cross_entropy(logits, batch.labels) + options.square_weight * maximum_squares(logits)

    weights = {name: weight.detach().requires_grad_() for name, weight in model.named_parameters()}
    steepest = torch.autograd.grad(task(weights), list(weights.values()))
    norm = torch.cat([found.flatten() for found in steepest]).norm()
    moved = {
        name: (weight + options.rho * found / norm).detach().requires_grad_()
        for (name, weight), found in zip(weights.items(), steepest, strict=True)
    }
    expected = dict(zip(moved, torch.autograd.grad(task(moved), list(moved.values())), strict=True))
    told = cross_entropy(algorithm.discriminator(model.features(batch.inputs)), batch.domains)
    for name, found in zip(
        ("backbone.weight", "backbone.bias"),
        torch.autograd.grad(told, list(model.backbone.parameters()), retain_graph=True),
        strict=True,
    ):
        expected[name] = expected[name] - options.adversarial_weight * found  # the features ascend
    for (name, _), found in zip(
        algorithm.discriminator.named_parameters(),
        torch.autograd.grad(told, list(algorithm.discriminator.parameters())),
        strict=True,
    ):
        expected[f"discriminator.{name}"] = options.adversarial_weight * found

    watched = Watched(algorithm)
    algorithm.update(batch, np.random.default_rng(0), watched)
    assert all(torch.equal(weight, before[name]) for name, weight in algorithm.state_dict().items())
    for name, found in watched.gradients[0].items():
        torch.testing.assert_close(found, expected[name.removeprefix("model.")])


def test_samaltdg_perturbs_along_the_gradient_of_all_processes(problem):
    """Where the processes' gradients cancel nothing is perturbed, and the step is the plain one."""
    calls = []

    def cancelled_at_first(parameters):
        calls.append(len(calls))
        for parameter in parameters:
            if calls == [0] and parameter.grad is not None:
                parameter.grad.zero_()

    heads = []
    for options, average in (({"rho": 0.5}, cancelled_at_first), ({"rho": 0.5}, None), ({"rho": 0.0}, None)):
        algorithm = problem.build("samaltdg", alignment_space="logits", **options)
        descent = Descent(torch.optim.SGD(algorithm.parameters(), lr=0.5), algorithm, average=average)
        algorithm.update(problem.batch(0), np.random.default_rng(0), descent)
        heads.append(algorithm.model.head.weight.detach())
    assert calls == [0, 1]
    torch.testing.assert_close(heads[0], heads[2])
    assert (heads[1] - heads[2]).abs().max() > 1e-4
