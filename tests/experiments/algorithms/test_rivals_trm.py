"""TRM: its limits, its heads of each domain, the routes of its gradients, and resuming."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from experiments.algorithms import Batch, TrainingSet, build_algorithm
from experiments.models import Classifier
from geometry.errors import UsageError
from tests.experiments.algorithms.rivals import Counting


# TRM trains the features, so it gets a backbone that does: one layer.
def with_backbone(problem, name="trm", *, steps=12, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Classifier(nn.Sequential(nn.Linear(6, 5), nn.Tanh()), 5, problem.counts.shape[1], images=False)
    return build_algorithm(name, model, TrainingSet(problem.counts, steps=steps), options)


def run(problem, algorithm, steps):
    return problem.train(algorithm, problem.optimizer(algorithm), steps)


@pytest.mark.parametrize("options", [{"weight": 0, "anneal": 0}, {"anneal": 1}])
def test_trm_without_weight_is_erm_bit_for_bit(problem, options):
    trm, erm = with_backbone(problem, **options), with_backbone(problem, "erm")
    assert run(problem, trm, range(12)) == run(problem, erm, range(12))
    for one, other in zip(trm.model.parameters(), erm.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_trm_of_one_domain_is_erm(one_domain):
    trm, erm = with_backbone(one_domain, anneal=0), with_backbone(one_domain, "erm")
    assert run(one_domain, trm, range(12)) == run(one_domain, erm, range(12))


def test_trm_is_refused_where_no_feature_is_trained(problem):
    with pytest.raises(UsageError, match="On a frozen backbone trm is erm"):
        problem.build("trm")


@pytest.mark.parametrize("heads", ["own", "classifier"])
def test_trm_trains_the_features_and_leaves_the_classifier_to_the_cross_entropy(problem, heads):
    algorithm = with_backbone(problem, anneal=0, implicit=0.1, heads=heads)
    terms = algorithm.terms(problem.batch(0), np.random.default_rng(0))
    terms["loss/penalty"].backward()
    assert algorithm.model.head.weight.grad is None
    assert algorithm.model.backbone[0].weight.grad.abs().sum() > 0
    assert {name.split(".")[0] for name, _ in algorithm.named_parameters()} == {"model"}


def test_trm_adapts_heads_by_gradient_descent_and_weighs_domains_by_their_risks():
    """Three domains, one step, everything by autograd."""
    rng = np.random.default_rng(0)
    counts = np.full((3, 4), 9)
    model = Classifier(nn.Linear(6, 5).double(), 5, 4, images=False).double()
    algorithm = build_algorithm("trm", model, TrainingSet(counts, 1), {"anneal": 0, "implicit": 0, "eta": 0.7}).double()
    batch = Batch(torch.tensor(rng.normal(size=(15, 6))), torch.tensor(rng.integers(4, size=15)), torch.arange(15) // 5)
    features = model.features(batch.inputs).detach()
    total, shares = 0.0, torch.zeros(3, 3, dtype=torch.float64)
    for d in range(3):
        head = copy.deepcopy(model.head)
        optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
        for _ in range(30):
            optimizer.zero_grad()
            cross_entropy(head(features[5 * d : 5 * d + 5]), batch.labels[5 * d : 5 * d + 5]).backward()
            optimizer.step()
        for e in {0, 1, 2} - {d}:
            part = 0.5 * cross_entropy(head(features[5 * e : 5 * e + 5]), batch.labels[5 * e : 5 * e + 5]).item()
            total += part / 3
            shares[d, e] = 0.5 * np.exp(0.7 * part)
    terms = algorithm.terms(batch, np.random.default_rng(0))
    assert terms["loss/penalty"].item() == pytest.approx(total, rel=1e-10)
    torch.testing.assert_close(algorithm.shares, shares, rtol=1e-10, atol=0)


def test_trm_resumes_bit_for_bit_and_never_restarts(problem):
    whole = with_backbone(problem, anneal=0.25)
    rounds = Counting(problem.optimizer(whole), whole)
    for step in range(12):
        whole.update(problem.batch(step), np.random.default_rng([2, step]), rounds)
    assert rounds.restarts == []
    first = with_backbone(problem, anneal=0.25)
    optimizer = problem.optimizer(first)
    problem.train(first, optimizer, range(6))
    saved = copy.deepcopy((first.state_dict(), optimizer.state_dict()))
    second = with_backbone(problem, anneal=0.25)
    second.load_state_dict(saved[0])
    optimizer = problem.optimizer(second)
    optimizer.load_state_dict(saved[1])
    problem.train(second, optimizer, range(6, 12))
    for key, expected in whole.state_dict().items():
        torch.testing.assert_close(second.state_dict()[key], expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("labels", "domains"), [([2], [1]), ([0, 0, 1], [0, 0, 0]), ([0, 1, 2, 3], [0, 0, 1, 1]), ([0, 0], [0, 1])]
)
def test_trm_survives_singletons_and_absent_domains(problem, tiny_batch, labels, domains):
    algorithm = with_backbone(problem, anneal=0, implicit=1.0)
    for _ in range(3):
        algorithm.zero_grad()
        terms = algorithm.terms(tiny_batch(labels, domains), np.random.default_rng(0))
        terms["loss"].backward()
        assert all(torch.isfinite(term) for term in terms.values())
        assert all(torch.isfinite(p.grad).all() for p in algorithm.parameters() if p.grad is not None)
    assert torch.isfinite(algorithm.shares).all()


def test_trm_learns_and_lowers_what_its_heads_risk_elsewhere(problem):
    risks = {}
    for weight in (0.0, 1.0):
        algorithm = with_backbone(problem, anneal=0, weight=weight, implicit=0.01, heads="classifier", steps=40)
        run(problem, algorithm, range(40))
        algorithm.eval()
        risks[weight] = np.mean(
            [algorithm.terms(problem.batch(s), np.random.default_rng(0))["loss/penalty"].item() for s in range(40, 50)]
        )
        with torch.no_grad():
            right = algorithm.model(problem.features).argmax(dim=1) == problem.labels
        assert right.float().mean() > 0.5
    assert risks[1.0] < risks[0.0]
