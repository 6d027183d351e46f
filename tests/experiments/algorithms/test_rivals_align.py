"""Rivals that align domains: what all share, and the formulas and limits of MMD, CausIRL and BoDA."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments.algorithms import Batch
from experiments.algorithms.causirl import split_domains
from experiments.losses.boda import boda
from experiments.losses.coral import coral
from experiments.losses.kernels import domain_mmd, mmd
from tests.experiments.algorithms.frozen_features import wanted_options
from tests.experiments.algorithms.rivals import COUNTS, LOGITS, gradients, trained_backbone

ALIGNERS = ("mmd", "causirl", "dann", "cdann", "tcri", "boda", "selfreg", "ginidg")
every_name = pytest.mark.parametrize("name", ALIGNERS)


@every_name
def test_with_weight_it_is_not_erm(problem, name):
    _, head = problem.trained(name, **wanted_options(name))
    assert (head - problem.trained("erm")[1]).abs().max() > 1e-4


@every_name
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_its_own_terms_reach_a_backbone_that_trains(batch, name, share):
    """Early and late in the training; what sets in late has a ramp or needs statistics first."""
    algorithm = trained_backbone(name, steps=10)
    algorithm.terms(batch, np.random.default_rng(0))
    if "updates" in dict(algorithm.named_buffers()):
        algorithm.updates.fill_(round(10 * share))
    terms = algorithm.terms(batch, np.random.default_rng(0))
    own = gradients(algorithm, terms["loss"] - terms["loss/ce"])["model.backbone.weight"]
    if name == "ginidg" and share == 0:  # the generator alone reconstructs, and the ramp is at 0
        assert own.abs().max() < 1e-15
    else:
        assert own.abs().max() > 1e-6


def test_a_frozen_backbone_has_no_domains_to_hide(problem):
    algorithm = problem.build("ginidg", reconstruction=0.0)
    assert algorithm.domain is None
    terms = algorithm.terms(problem.batch(0), np.random.default_rng(0))
    assert "loss/domain" not in terms
    assert gradients(algorithm, terms["loss/generated"])["model.head.weight"].abs().max() > 1e-3


# MMD and CausIRL


def test_mmd_adds_the_distances_of_all_pairs_of_domains(batch):
    algorithm = trained_backbone("mmd", weight=2.5)
    features = algorithm.model.features(batch.inputs)
    parts = [features[batch.domains == d] for d in range(3)]
    expected = (mmd(parts[0], parts[1]) + mmd(parts[0], parts[2]) + mmd(parts[1], parts[2])) / 3
    terms = algorithm.terms(batch, np.random.default_rng(0))
    assert terms["loss/distance"].item() == pytest.approx(expected.item(), rel=1e-12)
    ce = cross_entropy(algorithm.model(batch.inputs), batch.labels)
    assert terms["loss"].item() == pytest.approx((ce + 2.5 * expected).item(), rel=1e-12)


@pytest.mark.parametrize("name", ["mmd", "boda"])
def test_equal_domains_have_nothing_to_align(batch, name):
    same = Batch(batch.inputs[:9].repeat(2, 1), batch.labels[:9].repeat(2), torch.arange(2).repeat_interleave(9))
    algorithm = trained_backbone(name)
    own = algorithm.terms(same, np.random.default_rng(0))
    loss = own["loss"] - own["loss/ce"]
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert gradients(algorithm, loss)["model.backbone.weight"].abs().max() < 1e-12


def test_halves_hold_a_random_part_of_every_domain():
    domains = np.repeat([0, 2, 5], [4, 1, 6])
    sizes, firsts = set(), np.zeros(len(domains))
    for seed in range(300):
        halves = split_domains(domains, np.random.default_rng(seed))
        assert set(halves) <= {0, 1}
        sizes.add(tuple((halves[domains == d] == 0).sum() for d in (0, 2, 5)))
        firsts += halves == 0
    assert {one for one, _, _ in sizes} == {0, 1, 2, 3}
    assert {one for _, one, _ in sizes} == {0}
    assert {one for _, _, one in sizes} == {0, 1, 2, 3, 4, 5}
    np.testing.assert_allclose(firsts[domains == 0] / 300, 1.5 / 4, atol=0.1)  # whichever the sample
    np.testing.assert_allclose(firsts[domains == 5] / 300, 2.5 / 6, atol=0.1)


@pytest.mark.parametrize(("distance", "function"), [("mmd", domain_mmd), ("coral", coral)])
def test_causirl_compares_its_two_halves(batch, distance, function):
    algorithm = trained_backbone("causirl", distance=distance)
    features = algorithm.model.features(batch.inputs)
    compared = 0
    for seed in range(8):
        halves = torch.tensor(split_domains(batch.domains.numpy(), np.random.default_rng(seed)))
        expected = function(features, halves) if 2 <= halves.sum() <= 18 else features.sum() * 0
        compared += int(expected.item() > 0)
        found = algorithm.terms(batch, np.random.default_rng(seed))["loss/distance"]
        assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    assert compared > 4


# BoDA


def naive_boda(vectors, labels, domains, centroids, counts, nu, temperature):
    """Sample by sample and centroid by centroid; ``centroids``: {(domain, class): vector}."""
    terms = []
    for z, k, d in zip(vectors, labels.tolist(), domains.tolist(), strict=True):
        own = counts[d, k]
        scores = {
            (e, c): -math.dist(z.tolist(), mu.tolist()) / own * (counts[e, c] / own) ** nu / temperature
            for (e, c), mu in centroids.items()
            if (e, c) != (d, k)
        }
        every = math.log(math.fsum(math.exp(score) for score in scores.values())) if scores else 0.0
        terms += [every - score for (e, c), score in scores.items() if c == k]
    return math.fsum(terms) / len(terms)


@pytest.mark.parametrize(("nu", "temperature"), [(0.5, 1.0), (0.0, 0.2), (1.0, 3.0)])
def test_boda_equals_the_loop_with_absent_cells_left_out(batch, nu, temperature):
    centroids = torch.tensor(np.random.default_rng(2).normal(size=(3, 4, 6)))
    centroids[0, 2] = torch.nan  # not seen yet
    cells = {(d, k): centroids[d, k] for d in range(3) for k in range(4) if COUNTS[d, k] > 0 and (d, k) != (0, 2)}
    expected = naive_boda(batch.inputs, batch.labels, batch.domains, cells, COUNTS, nu, temperature)
    found = boda(
        batch.inputs,
        batch.labels,
        batch.domains,
        centroids,
        torch.tensor(COUNTS),
        nu=nu,
        temperature=temperature,
    )
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_a_centroid_that_is_not_there_is_not_the_nearest(batch):
    """With its count of 0 its logit would be 0, above all others; masked, its place does not matter."""
    centroids = torch.tensor(np.random.default_rng(2).normal(size=(3, 4, 6)))
    arguments = (batch.inputs, batch.labels, batch.domains)
    found = boda(*arguments, centroids, torch.tensor(COUNTS))
    for value in (0.0, 1e9, torch.nan):
        moved = centroids.clone()
        moved[1, 3] = value
        assert boda(*arguments, moved, torch.tensor(COUNTS)).item() == found.item()
    counted = boda(*arguments, centroids, torch.tensor(COUNTS).clamp_min(1))
    assert counted.item() != pytest.approx(found.item(), rel=1e-3)


@pytest.mark.parametrize("known", [[], [(0, 0)], [(0, 0), (0, 1)]])
def test_boda_without_positives_is_zero_with_finite_gradients(known):
    centroids = torch.full((2, 2, 3), torch.nan)
    for d, k in known:
        centroids[d, k] = 0.0
    x = torch.zeros(2, 3, requires_grad=True)  # on the centroid itself
    loss = boda(x, torch.tensor([0, 1]), torch.tensor([0, 0]), centroids, torch.ones(2, 2))
    assert loss.item() == 0 == torch.autograd.grad(loss, x)[0].abs().max()


def test_boda_refreshes_its_centroids_and_starts_when_due(problem):
    algorithm = problem.build("boda", start=0.5, refresh=0.25, centroid_momentum=0.3, weight=1.0, **LOGITS)
    optimizer = problem.optimizer(algorithm)
    expected, seen = {}, {}
    for step in range(12):
        batch = problem.batch(step)
        with torch.no_grad():
            logits = algorithm.model(batch.inputs)
        if step in (3, 6, 9):
            for cell, vectors in seen.items():
                mean = torch.stack(vectors).mean(dim=0)
                expected[cell] = 0.3 * expected[cell] + 0.7 * mean if cell in expected else mean
            seen = {}
        for z, k, d in zip(logits, batch.labels.tolist(), batch.domains.tolist(), strict=True):
            seen.setdefault((d, k), []).append(z)
        (value,) = problem.train(algorithm, optimizer, range(step, step + 1))
        for d in range(2):
            for k in range(4):
                wanted = expected.get((d, k), torch.full((4,), torch.nan))
                torch.testing.assert_close(algorithm.centroids[d, k], wanted, equal_nan=True)
        loss = cross_entropy(logits, batch.labels) + coral(logits, batch.domains)
        if step >= 6:
            loss += naive_boda(logits, batch.labels, batch.domains, expected, problem.counts, 0.5, 1.0)
        assert value == pytest.approx(loss.item(), rel=1e-5)
