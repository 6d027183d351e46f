"""DeepFool against closed forms, exact minima of small ReLU networks, its own single samples, and foolbox."""

from itertools import combinations, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from experiments.models import build_classifier
from experiments.probes.deepfool import deepfool, gaps_and_gradients
from geometry.checks import signed_boundary_distance

# --- linear models: the closed form


def linear(rng, k, d):
    return torch.tensor(rng.normal(size=(k, d))), torch.tensor(rng.normal(size=k))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 14), st.integers(1, 9), st.floats(0.01, 100.0))
def test_a_linear_model_gives_the_exact_signed_distance(seed, k, d, scale):
    rng = np.random.default_rng(seed)
    weight, bias = linear(rng, k, d)
    points, labels = torch.tensor(scale * rng.normal(size=(25, d))), rng.integers(0, k, 25)
    found = deepfool(lambda x: x @ weight.T + bias, points, candidates=None)
    scores = (points @ weight.T + bias).numpy()
    exact = signed_boundary_distance(scores, labels, weight.numpy())
    np.testing.assert_allclose(found.signed(labels), exact, rtol=1e-8)
    assert np.array_equal(found.predicted, scores.argmax(axis=1))
    np.testing.assert_allclose(found.logits, scores)
    assert found.converged.all()
    assert (found.iterations == 1).all()


def test_single_precision_is_exact_to_its_own_digits():
    rng = np.random.default_rng(0)
    weight, bias = (part.float() for part in linear(rng, 7, 50))
    points, labels = torch.tensor(rng.normal(size=(40, 50))).float(), rng.integers(0, 7, 40)
    found = deepfool(lambda x: x @ weight.T + bias, points, candidates=None)
    exact = signed_boundary_distance((points.double() @ weight.double().T + bias).numpy(), labels, weight.numpy())
    np.testing.assert_allclose(found.signed(labels), exact, rtol=1e-3)
    assert np.median(np.abs(found.signed(labels) / exact - 1)) < 3e-5


def test_fewer_candidates_give_a_larger_distance():
    rng = np.random.default_rng(0)
    weight, bias = linear(rng, 12, 3)
    points = torch.tensor(rng.normal(size=(200, 3)))
    few, all_ = (deepfool(lambda x: x @ weight.T + bias, points, candidates=c).distance for c in (2, None))
    assert (few >= all_ * (1 - 1e-9)).all()
    assert (few > all_ * 1.01).any()


def test_a_tie_is_on_the_boundary_and_a_flat_model_has_none():
    tie = deepfool(lambda x: torch.stack([x[:, 0], -x[:, 0]], dim=1), torch.zeros(2, 1))
    assert tie.distance.tolist() == [0, 0]
    assert tie.converged.all()
    flat = deepfool(lambda x: torch.stack([0 * x[:, 0] + 1, 0 * x[:, 0]], dim=1), torch.ones(3, 1))
    assert np.isnan(flat.distance).all()
    assert not flat.converged.any()
    alone = deepfool(lambda x: x[:, :1], torch.ones(3, 1))
    assert np.isnan(alone.distance).all()
    unreachable = deepfool(lambda x: torch.stack([torch.exp(-x[:, 0]) + 1, 0 * x[:, 0]], dim=1), torch.zeros(1, 1))
    assert np.isnan(unreachable.distance).all()
    assert unreachable.iterations.max() <= 50
    assert len(deepfool(lambda x: x, torch.zeros(0, 3)).distance) == 0


# --- one hidden layer of ReLU: the exact minimum, region by region


class Relu(nn.Module):
    def __init__(self, rng, hidden, k):
        super().__init__()
        self.a, self.b = torch.tensor(rng.normal(size=(hidden, 2))), torch.tensor(rng.normal(size=hidden))
        self.v, self.c = torch.tensor(rng.normal(size=(k, hidden))), torch.tensor(rng.normal(size=k))

    def forward(self, x):
        return torch.relu(x @ self.a.T + self.b) @ self.v.T + self.c


def nearest_in_polygon(point, normals, offsets):
    """Distance from a point in the plane to ``{x: normals @ x >= offsets}``; infinite where that is empty.

    The nearest point is the point itself, its projection on one line, or where two lines meet.
    """
    found = [point]
    for n, o in zip(normals, offsets, strict=True):
        if n @ n > 1e-18:
            found.append(point + (o - n @ point) / (n @ n) * n)
    for i, j in combinations(range(len(normals)), 2):
        pair = normals[[i, j]]
        if abs(np.linalg.det(pair)) > 1e-12:
            found.append(np.linalg.solve(pair, offsets[[i, j]]))
    inside = [p for p in found if np.all(normals @ p >= offsets - 1e-9 * (1 + np.abs(offsets)))]
    return min((np.linalg.norm(p - point) for p in inside), default=np.inf)


def exact_distance(model, point):
    """Least change of a point that lets another class draw level, over all activation patterns and rivals."""
    a, b, v, c = (part.numpy() for part in (model.a, model.b, model.v, model.c))
    predicted = int(model(torch.tensor(point)[None]).argmax())
    best = np.inf
    for pattern in product((0.0, 1.0), repeat=len(b)):
        on = np.array(pattern)
        sign = 2 * on - 1
        for rival in set(range(len(c))) - {predicted}:
            lead = (v[rival] - v[predicted]) * on
            normals = np.vstack([sign[:, None] * a, lead @ a])
            offsets = np.append(-sign * b, -(lead @ b) - c[rival] + c[predicted])
            best = min(best, nearest_in_polygon(point, normals, offsets))
    return best


@pytest.fixture(scope="module")
def relu_cases():
    """Points of a few random networks with their exact distances, infinite ones left out."""
    cases = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        model = Relu(rng, 4, 3)
        points = 1.5 * rng.normal(size=(8, 2))
        exact = np.array([exact_distance(model, point) for point in points])
        kept = np.isfinite(exact)
        cases.append((model, points[kept], exact[kept]))
    return cases


def test_the_exact_minimum_is_one(relu_cases):
    rng = np.random.default_rng(0)
    for model, points, exact in relu_cases:
        for point, radius in zip(points, exact, strict=True):
            angles = np.linspace(0, 2 * np.pi, 720)
            circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
            before = model(torch.tensor(point)[None]).argmax()
            reach = radius * rng.uniform(0, 0.9999, (720, 1)) ** 0.25
            assert (model(torch.tensor(point + reach * circle)).argmax(dim=1) == before).all()
            assert (model(torch.tensor(point + (1.02 * radius + 1e-6) * circle)).argmax(dim=1) != before).any()


def test_never_below_the_exact_minimum_of_a_relu_network_and_mostly_near_it(relu_cases):
    ratios = []
    for model, points, exact in relu_cases:
        found = deepfool(model, torch.tensor(points))
        assert (found.distance[found.converged] >= exact[found.converged] * (1 - 1e-8) - 1e-12).all()
        assert np.isnan(found.distance[~found.converged]).all()
        ratios += (found.distance / exact)[found.converged].tolist()
    assert len(ratios) >= 0.7 * sum(len(exact) for *_, exact in relu_cases)
    assert np.median(ratios) < 1.01
    assert np.mean(np.array(ratios) < 1.25) > 0.7


def test_the_distance_is_where_the_prediction_changes_not_beyond(relu_cases):
    model, points, _ = relu_cases[0]
    small, large = (deepfool(model, torch.tensor(points), overshoot=o) for o in (0.02, 0.5))
    once = (small.iterations == 1) & (large.iterations == 1)
    assert once.any()
    np.testing.assert_allclose(small.distance[once], large.distance[once], rtol=1e-8)


# --- images


@pytest.fixture(scope="module")
def network():
    """The digits' network, untrained."""
    return build_classifier("small_cnn", 6, seed=0).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images():
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_a_batch_gives_what_its_samples_give_alone(network, images):
    network, images = network.double(), images.double()
    together = deepfool(network, images)
    alone = [deepfool(network, images[i : i + 1]) for i in range(len(images))]
    np.testing.assert_allclose(together.distance, np.concatenate([one.distance for one in alone]), rtol=1e-7)
    assert together.iterations.tolist() == [int(one.iterations[0]) for one in alone]
    network.float()


def test_gradients_are_those_of_one_sample_and_one_rival_at_a_time(network, images):
    predicted = network(images).argmax(dim=1)
    rivals = torch.stack([(predicted + 1) % 6, (predicted + 4) % 6], dim=1)
    gaps, gradients = gaps_and_gradients(network, images, predicted, rivals)
    for i in (0, 5):
        for j in range(2):
            x = images[i : i + 1].clone().requires_grad_(True)
            logits = network(x)[0]
            gap = logits[predicted[i]] - logits[rivals[i, j]]
            (expected,) = torch.autograd.grad(gap, x)
            assert gaps[i, j].item() == pytest.approx(gap.item(), abs=1e-5)
            torch.testing.assert_close(gradients[i, j], expected[0], rtol=1e-3, atol=1e-6)


def test_close_to_foolbox_and_not_above_it(network, images):
    foolbox = pytest.importorskip("foolbox")
    bounded = foolbox.PyTorchModel(network, bounds=(-100.0, 100.0), device="cpu")
    labels = network(images).argmax(dim=1)
    moved, _, _ = foolbox.attacks.L2DeepFoolAttack(steps=50, candidates=10, overshoot=0.02)(
        bounded, images, labels, epsilons=None
    )
    theirs = (moved - images).flatten(1).norm(dim=1).numpy()
    ratio = deepfool(network, images).distance / theirs
    # Theirs ends beyond the boundary by the overshoot.
    assert np.all(ratio <= 1.001)
    assert np.median(ratio) > 0.95
