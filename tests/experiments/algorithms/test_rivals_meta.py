"""Rivals that do more with a batch than one step: inner steps and trajectories, of Fish, PGrad and MLDG."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from experiments.algorithms.mldg import MldgOptions, inner_step
from experiments.algorithms.parameter_vector import add, flatten, interpolate, restore, snapshot
from experiments.algorithms.pgrad import principal_gradient, split_domains
from experiments.descent import Descent
from geometry.errors import UsageError
from tests.experiments.algorithms.frozen_features import wanted_options
from tests.experiments.algorithms.rivals import (
    BATCHES,
    TRAINED_BACKBONE,
    Fixed,
    doubled,
    small,
)


@pytest.mark.parametrize("name", sorted(TRAINED_BACKBONE))
@pytest.mark.parametrize(("labels", "domains"), BATCHES)
def test_odd_batches_train_a_backbone(problem, tiny_batch, name, labels, domains):
    algorithm = small(name, problem.counts)
    batch = tiny_batch(labels, domains)
    terms = algorithm.terms(batch, np.random.default_rng(0))
    terms["loss"].backward()
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(torch.isfinite(weight.grad).all() for weight in algorithm.parameters())
    algorithm.zero_grad()
    descent = Descent(torch.optim.SGD(algorithm.parameters(), lr=0.1), algorithm)
    values = algorithm.update(batch, np.random.default_rng(0), descent)
    assert values.keys() == terms.keys()
    assert np.isfinite(list(values.values())).all()


@pytest.mark.parametrize("name", ["fish", "pgrad", "samaltdg", "transfer"])
@pytest.mark.parametrize(("labels", "domains"), BATCHES)
def test_odd_batches_update_a_head(problem, tiny_batch, name, labels, domains):
    algorithm = problem.build(name, **wanted_options(name))
    before = algorithm.model.head.weight.detach().clone()
    descent = Descent(problem.optimizer(algorithm), algorithm)
    values = algorithm.update(tiny_batch(labels, domains), np.random.default_rng(0), descent)
    after = algorithm.model.head.weight.detach()
    assert np.isfinite(list(values.values())).all()
    assert torch.isfinite(after).all()
    assert not torch.equal(before, after)


@pytest.mark.parametrize("name", sorted(TRAINED_BACKBONE))
def test_a_resumed_backbone_goes_on_bit_for_bit(problem, name):
    whole = small(name, problem.counts)
    problem.train(whole, problem.optimizer(whole), range(8))
    first = small(name, problem.counts)
    optimizer = problem.optimizer(first)
    problem.train(first, optimizer, range(3))
    second = small(name, problem.counts)
    again = problem.optimizer(second)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    losses = problem.train(second, again, range(3, 8))
    assert losses[-1] < losses[0]
    for key, expected in whole.state_dict().items():
        assert torch.equal(second.state_dict()[key], expected)


def test_what_needs_a_backbone_that_trains_says_so(problem):
    with pytest.raises(UsageError, match=r"SagNet .* needs a backbone that trains"):
        problem.build("sagnet")
    with pytest.raises(UsageError, match="take gap_reaches=both"):
        problem.build("transfer")
    with pytest.raises(UsageError, match="take alignment_space=logits"):
        problem.build("samaltdg")


def test_parameters_can_be_left_and_come_back_to():
    head = nn.Linear(3, 2)
    parameters = list(head.parameters())
    start = snapshot(parameters)
    add(parameters, torch.arange(8.0), 2.0)
    torch.testing.assert_close(flatten(parameters), flatten(start) + 2 * torch.arange(8.0))
    end = snapshot(parameters)
    interpolate(parameters, start, 1.0)
    assert all(torch.equal(one, other) for one, other in zip(parameters, end, strict=True))
    interpolate(parameters, start, 0.25)
    torch.testing.assert_close(flatten(parameters), flatten(start) + 0.5 * torch.arange(8.0))
    restore(parameters, start)
    assert all(torch.equal(one, other) for one, other in zip(parameters, start, strict=True))
    small = nn.Parameter(torch.tensor([1e-9]))
    interpolate([small], [torch.ones(1)], 1.0)  # 1 + (1e-9 - 1) would be 0
    assert small.item() == pytest.approx(1e-9)


def test_fish_goes_a_part_of_the_way_through_the_domains(problem):
    algorithm = problem.build("fish", meta_lr=0.5)
    batch = problem.batch(0)
    head = copy.deepcopy(algorithm.model.head)
    start = head.weight.detach().clone()
    for domain in (1, 0):
        part = batch.domains == domain
        loss = cross_entropy(head(batch.inputs[part]), batch.labels[part])
        for weight, gradient in zip(head.parameters(), torch.autograd.grad(loss, list(head.parameters())), strict=True):
            weight.data -= 0.3 * gradient
    descent = Descent(torch.optim.SGD(algorithm.parameters(), lr=0.3), algorithm)
    values = algorithm.update(batch, Fixed([1, 0]), descent)
    torch.testing.assert_close(algorithm.model.head.weight, (start + head.weight) / 2)
    assert values.keys() == {"loss"}


@pytest.mark.parametrize("components", [1, 3, 50])
def test_principal_gradients_are_those_of_a_singular_value_decomposition(components):
    trajectory = np.random.default_rng(0).normal(size=(7, 11)).cumsum(axis=0)
    _, singular, directions = np.linalg.svd(trajectory - trajectory.mean(axis=0), full_matrices=False)
    rank = min(components, 6)
    variances, directions = singular[:rank] ** 2, directions[:rank]
    way = trajectory[0] - trajectory[-1]
    signed = np.sign(directions @ way)[:, None] * directions
    expected = np.linalg.norm(way) * (variances / np.linalg.norm(variances)) @ signed
    found = principal_gradient(torch.tensor(trajectory), components).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(way))
    assert (signed @ found * (signed @ way) > 0).all()  # every direction descends the way the trajectory went
    backwards = principal_gradient(torch.tensor(trajectory[::-1].copy()), components).numpy()
    np.testing.assert_allclose(backwards, -expected, rtol=1e-9, atol=1e-12)


def test_a_trajectory_that_stays_or_goes_straight_has_no_other_direction():
    assert principal_gradient(torch.ones(4, 3), 4).tolist() == [0.0, 0.0, 0.0]
    way = torch.tensor([0.3, -0.4, 1.2])
    straight = torch.arange(5.0)[:, None] * way
    torch.testing.assert_close(principal_gradient(straight, 4), -4 * way)


def test_splits_hold_every_sample_once_whatever_is_absent(tiny_batch):
    batch = tiny_batch([0, 1, 2, 0, 1, 2, 3], [0, 0, 0, 0, 0, 2, 2])
    found = split_domains(batch, 3, Fixed([1, 0], [0, 1], [1, 0]))
    assert [part.domains[0].item() for part in found] == [0, 0, 2, 2, 0]  # two samples leave the first split empty
    assert [len(part.labels) for part in found] == [1, 2, 1, 1, 2]
    assert sorted(map(tuple, torch.cat([part.inputs for part in found]).tolist())) == sorted(
        map(tuple, batch.inputs.tolist())
    )


def test_pgrad_steps_along_the_principal_gradient_of_its_trajectory(problem):
    algorithm = problem.build("pgrad", splits=2, components=2, outer_lr=0.3)
    batch, order = problem.batch(0), ([0, 1], [1, 0])
    head = copy.deepcopy(algorithm.model.head)
    points = [flatten(head.parameters())]
    for split, domains in enumerate(order):
        for domain in domains:
            here = torch.nonzero(batch.domains == domain).squeeze(1).chunk(2)[split]
            loss = cross_entropy(head(batch.inputs[here]), batch.labels[here])
            step = torch.autograd.grad(loss, list(head.parameters()))
            add(head.parameters(), flatten(step), -0.2)
            points.append(flatten(head.parameters()))
    descent = Descent(torch.optim.SGD(algorithm.parameters(), lr=0.2), algorithm)
    algorithm.update(batch, Fixed(*order), descent)
    expected = points[0] - 0.3 * principal_gradient(torch.stack(points), 2)
    torch.testing.assert_close(flatten(algorithm.model.head.parameters()), expected)


def test_an_inner_step_keeps_the_second_order_only_where_asked():
    theta = {"a": torch.tensor([2.0], requires_grad=True), "unused": torch.tensor([1.0], requires_grad=True)}
    for differentiable, slope in ((True, 1 - 0.1 * 6 * 2), (False, 1.0)):  # d/dt (t - 0.1 3 t^2)
        stepped = inner_step(theta["a"].pow(3).sum(), theta, 0.1, differentiable=differentiable)
        assert stepped["a"].item() == pytest.approx(2 - 0.1 * 12)
        assert stepped["unused"] is theta["unused"]
        assert torch.autograd.grad(stepped["a"].sum(), theta["a"])[0].item() == pytest.approx(slope)


def three_domains(tiny_batch):
    return tiny_batch([0, 1, 2, 0, 1, 2, 3, 0], [0, 0, 0, 1, 1, 2, 2, 2])


@pytest.mark.parametrize("held", [1, 2])
def test_the_meta_gradient_is_that_of_finite_differences(problem, tiny_batch, held):
    algorithm = problem.build("mldg", n_meta_test=held, inner_lr=0.5, beta=0.7)
    algorithm, batch = doubled(algorithm, three_domains(tiny_batch))
    head = algorithm.model.head

    def loss():
        return algorithm.terms(batch, Fixed([2, 0, 1]))["loss"]

    loss().backward()
    found = head.weight.grad.clone()
    direction, size = torch.randn(found.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64), 1e-6
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            head.weight += sign * size * direction
        values.append(loss().item())
        with torch.no_grad():
            head.weight -= sign * size * direction
    slope = (values[0] - values[1]) / (2 * size)
    assert (found * direction).sum().item() == pytest.approx(slope, rel=1e-6)
    algorithm.options = MldgOptions(n_meta_test=held, inner_lr=0.5, beta=0.7, order="first")
    algorithm.zero_grad()
    loss().backward()
    assert abs((head.weight.grad * direction).sum().item() - slope) > 1e-3 * abs(slope)


def test_mldg_of_first_order_adds_the_gradients_at_both_points(problem, tiny_batch):
    algorithm = problem.build("mldg", n_meta_test=5, inner_lr=0.5, beta=0.7, order="first")
    batch = three_domains(tiny_batch)
    terms = algorithm.terms(batch, Fixed([2, 0, 1]))  # all but the last in the order are held out
    terms["loss"].backward()

    def mean_loss(head, domains):
        parts = [batch.domains == domain for domain in domains]
        return sum(cross_entropy(head(batch.inputs[part]), batch.labels[part]) for part in parts) / len(parts)

    here = copy.deepcopy(algorithm.model.head)
    here.zero_grad()
    train = mean_loss(here, [1])
    train.backward()
    there = copy.deepcopy(here)
    with torch.no_grad():
        there.weight -= 0.5 * here.weight.grad
        there.bias -= 0.5 * here.bias.grad
    there.zero_grad()
    test = mean_loss(there, [2, 0])
    test.backward()
    torch.testing.assert_close(terms["loss/meta_train"], train)
    torch.testing.assert_close(terms["loss/meta_test"], test)
    torch.testing.assert_close(algorithm.model.head.weight.grad, here.weight.grad + 0.7 * there.weight.grad)


def test_a_meta_step_of_no_length_weighs_all_domains(problem):
    algorithm, erm = problem.build("mldg", inner_lr=0), problem.build("erm")
    batch = problem.batch(0)
    found = algorithm.terms(batch, np.random.default_rng(0))["loss"]
    torch.testing.assert_close(found, 2 * erm.terms(batch, np.random.default_rng(0))["loss"])
