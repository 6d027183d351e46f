"""The program's losses on free vectors: against a loop over all draws, and against the certified optimum."""

import itertools

import numpy as np
import pytest
import torch

from experiments.free.experiment import free_optimum
from experiments.free.population import NAMES, population_loss
from geometry.errors import UsageError
from geometry.optimum import Program, class_proportions, named_loss, solve

LABELS = np.repeat([0, 1, 2], [3, 2, 1])


def looped(name, vectors, labels, tau, collisions, limit):
    """The expectation over anchor, positive and one negative (or the mean of all), term by term."""
    loss, total = named_loss(name, negatives=None if limit else 1), 0.0
    everyone = range(len(labels))
    for i in everyone:
        inside = [p for p in everyone if labels[p] == labels[i]]
        pool = [j for j in everyone if collisions or labels[j] != labels[i]]
        for p in inside:
            t = np.array([vectors[i] @ (vectors[j] - vectors[p]) / tau for j in pool])
            if limit:
                psi = loss.expectation(t[None], np.full((1, len(pool)), 1 / len(pool)))[0]
            else:
                psi = np.mean([loss.expectation(np.array([[s]]), np.ones((1, 1)))[0] for s in t])
            total += psi / (len(inside) * len(labels))
    return total


@pytest.mark.parametrize(("name", "collisions", "negatives"), list(itertools.product(NAMES, [False, True], [None, 1])))
def test_against_every_draw(name, collisions, negatives):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = population_loss(name, LABELS, tau=0.7, collisions=collisions, negatives=negatives)
    expected = looped(name, vectors, LABELS, 0.7, collisions, negatives is None)
    assert float(found(torch.from_numpy(vectors))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_collapsed_vectors_have_the_programs_loss(name):
    rng = np.random.default_rng(1)
    means = rng.normal(size=(3, 4))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    program = Program(class_proportions([3, 2, 1]), named_loss(name), 0.5)
    found = population_loss(name, LABELS, tau=0.5)(torch.from_numpy(means[LABELS]))
    assert float(found) == pytest.approx(program.value(means @ means.T), rel=1e-12)


CASES = [
    ("infonce", (20, 10, 4, 2), {"tau": 0.5}),
    ("infonce", (20, 10, 4, 2), {"tau": 0.1}),
    ("infonce", (60, 3, 3, 3, 3), {"tau": 1.0}),  # the minorities collapse onto one vector
    ("infonce", (12, 6, 3), {"tau": 0.5, "negatives": 1.0, "q": 2.0}),
    ("infonce", (9, 3, 1), {"tau": 0.5, "collisions": True}),
    ("lme", (20, 10, 4, 2), {"tau": 0.5, "collisions": True}),  # SupCon's population form
    ("lme", (30, 2, 2, 2), {"tau": 1.0}),
    ("exp", (12, 6, 3, 1), {"tau": 0.5}),
    ("quadratic", (12, 6, 3), {"tau": 1.0}),
    ("linear", (8, 6, 5), {"tau": 1.0}),
    ("hinge", (12, 6, 3), {"tau": 1.0, "margin": 2.0}),
    ("infonce-batch", (12, 6, 3, 2), {"tau": 0.5, "q": 1.0, "include_anchor": True}),  # the loss that trains
]


@pytest.mark.parametrize(("loss", "counts", "options"), CASES)
def test_free_vectors_reach_the_certified_optimum(loss, counts, options):
    found = free_optimum(loss, counts, starts=2, options=options)
    assert found.program is not None
    assert abs(found.program.gap) < 1e-9
    assert found.agreeing == 2
    if loss != "hinge":  # whose optimum is not unique
        assert found.stationarity < 1e-8
        assert found.geometry.spread < 1e-6
    if loss not in ("hinge", "linear"):
        assert found.program.gram_difference < 1e-5
        assert found.gram_disagreement < 1e-5


def test_a_collapsed_optimum_is_reported_as_one():
    found = free_optimum("infonce", (60, 3, 3, 3, 3), starts=1, options={"tau": 1.0})
    optimum = solve((60, 3, 3, 3, 3))
    assert (found.geometry.rank, found.geometry.distinct) == (optimum.rank, optimum.distinct) == (1, 2)
    assert found.verdict == "objective"


def test_refusals():
    with pytest.raises(UsageError, match="infonce, lme"):
        population_loss("nope", LABELS, tau=1.0)
    with pytest.raises(UsageError, match="1 negative"):
        population_loss("infonce", LABELS, tau=1.0, negatives=5)
    for bad in ({"tau": 0.0}, {"tau": 1.0, "q": "plain"}, {"tau": 1.0, "margin": -1.0}):
        with pytest.raises(UsageError, match="positive number"):
            population_loss("infonce", LABELS, **bad)
