"""Products of spheres."""

import numpy as np
import pytest
import torch

from experiments.free.minimise import minimise
from experiments.free.spaces import LayerPeeled, Logits, UnitVectors
from experiments.free.spheres import Spheres
from geometry.errors import UsageError

LABELS = np.repeat([0, 1, 2], [4, 2, 1])


def test_segments_of_unequal_length():
    spheres, rng = Spheres((3, 1, 4)), np.random.default_rng(0)
    point = spheres.random(rng)
    lengths = [np.linalg.norm(part) for part in np.split(point, [3, 4])]
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-14)
    tangent = spheres.tangent(point, rng.normal(size=8))
    np.testing.assert_allclose(spheres.inner(point, tangent), 0.0, atol=1e-15)


def test_least_eigenvector_of_each_segment():
    rng = np.random.default_rng(1)
    matrices = [m + m.T for m in rng.normal(size=(2, 5, 5))]

    def function(x):
        return sum(part @ torch.from_numpy(m) @ part for part, m in zip(x.split(5), matrices, strict=True))

    spheres = Spheres((5, 5))
    found = minimise(function, spheres, spheres.random(rng))
    assert found.value == pytest.approx(sum(np.linalg.eigvalsh(m)[0] for m in matrices), rel=1e-12)
    assert found.stationarity < 1e-9


def test_a_saddle_is_left():
    # The start is an eigenvector of the middle eigenvalue, but for rounding: no force, and a way down.
    matrix = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    found = minimise(lambda x: x @ matrix @ x, Spheres((3,)), np.array([1e-7, 1.0, 0.0]))
    assert found.value == pytest.approx(1.0, abs=1e-12)


def test_a_function_without_slope_rests_at_once():
    found = minimise(lambda x: 0.0 * x.sum(), Spheres((3,)), np.array([1.0, 0.0, 0.0]))
    assert (found.value, found.stationarity) == (0.0, 0.0)


@pytest.mark.parametrize("radius", [0.5, 3.0])
def test_logits_rest_inside_their_ball_or_on_its_boundary(radius):
    # The nearest point of the ball to a target logit: the target itself, or its radial projection.
    space, target = Logits(LABELS, radius), torch.tensor([1.2, -0.6, -0.6], dtype=torch.float64)
    found = minimise(
        lambda x: ((space.logits(x) - target) ** 2).sum(), space.spheres, space.start(np.random.default_rng(0))
    )
    logits = space.logits(torch.from_numpy(found.point)).numpy()
    length = float(target.norm())
    np.testing.assert_allclose(logits, np.tile(target * min(1.0, radius / length), (7, 1)), atol=1e-7)


@pytest.mark.parametrize(
    "space", [UnitVectors(LABELS, 4), UnitVectors(LABELS, 2, True), Logits(LABELS, 6.0), LayerPeeled(LABELS, 4)]
)
def test_the_simplex_of_every_space(space):
    point = torch.from_numpy(space.simplex)
    assert space.spheres.normalise(space.simplex) == pytest.approx(space.simplex, abs=1e-15)
    vectors = space.judged(point).numpy()
    means = np.stack([vectors[k == LABELS].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(means[LABELS], vectors, atol=1e-15)
    means -= means.mean(axis=0) if space.centred else 0.0
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose((means @ means.T)[np.triu_indices(3, 1)], -0.5, atol=1e-14)


def test_budgets_of_the_layer_peeled_model():
    space = LayerPeeled(LABELS, 4, 5.0, 2.0)
    point = torch.from_numpy(space.start(np.random.default_rng(0)))
    squared = (space.judged(point) ** 2).sum(dim=1).numpy()
    assert np.mean([squared[k == LABELS].mean() for k in range(3)]) == pytest.approx(5.0)
    assert float((space.classes(point) ** 2).sum()) / 3 == pytest.approx(2.0)


def test_spaces_refuse_what_is_none():
    for make in (lambda: UnitVectors(LABELS, 0), lambda: Logits(LABELS, 0.0), lambda: LayerPeeled(LABELS, 2, -1.0)):
        with pytest.raises(UsageError, match="Expected"):
            make()
