"""Rivals that hide domains: DANN and CDANN by an adversary, TCRI by classifiers of each domain."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from experiments.algorithms import Batch, TrainingSet, build_algorithm
from experiments.algorithms.adversary import reversal_ramp
from experiments.models import build_classifier
from geometry.errors import UsageError
from tests.experiments.algorithms.rivals import COUNTS, LOGITS, gradients, trained_backbone

# DANN and CDANN


@pytest.mark.parametrize("name", ["dann", "cdann"])
@pytest.mark.parametrize("grad_penalty", [0.0, 0.7])
def test_the_discriminator_descends_what_the_backbone_ascends(batch, name, grad_penalty):
    """Against the discriminator's loss written out without reversal, its penalty sample by sample."""
    algorithm = trained_backbone(name, weight=0.3, grad_penalty=grad_penalty, width=8)
    features = algorithm.model.features(batch.inputs)
    adversary = torch.zeros((), dtype=torch.float64)
    for i in range(20):
        read = features[i] + (algorithm.embedding.weight[batch.labels[i]] if name == "cdann" else 0)
        loss = cross_entropy(algorithm.discriminator(read), batch.domains[i])
        (slope,) = torch.autograd.grad(loss, read, create_graph=True)
        share = 1 / (4 * (batch.labels == batch.labels[i]).sum()) if name == "cdann" else 1 / 20
        adversary = adversary + share * loss + grad_penalty * slope.square().sum() / 20
    terms = algorithm.terms(batch, np.random.default_rng(0))
    assert terms["loss/adversary"].item() == pytest.approx(adversary.item(), rel=1e-6)
    found, plain = gradients(algorithm, terms["loss"]), gradients(algorithm, adversary)
    own = gradients(algorithm, cross_entropy(algorithm.model.head(features), batch.labels))
    for key, gradient in found.items():
        if key.startswith("model.backbone"):
            torch.testing.assert_close(gradient, own[key] - 0.3 * plain[key], rtol=1e-6, atol=1e-9)
        elif key.startswith("model.head"):
            torch.testing.assert_close(gradient, own[key])
        elif plain[key] is not None:  # with a penalty alone the last bias has no gradient
            torch.testing.assert_close(gradient, plain[key], rtol=1e-6, atol=1e-9)


def test_every_class_of_the_batch_has_the_same_part_of_the_adversary(batch):
    algorithm = trained_backbone("cdann")
    for labels in (batch.labels, torch.tensor([0, 0, 0, 3, 3]), torch.tensor([2])):  # absent classes lose no mass
        shares = algorithm.shares(Batch(torch.zeros(len(labels), 6), labels, torch.zeros_like(labels)))
        present = labels.unique()
        for k in present:
            assert shares[labels == k].sum().item() == pytest.approx(1 / len(present))


def test_the_ramp_of_the_reversal_follows_the_training(batch):
    algorithm = trained_backbone("dann", steps=4, schedule="ramp", weight=2.0)
    first = algorithm.terms(batch, np.random.default_rng(0))
    plain = gradients(algorithm, first["loss/ce"])["model.backbone.weight"]
    torch.testing.assert_close(gradients(algorithm, first["loss"])["model.backbone.weight"], plain)
    second = algorithm.terms(batch, np.random.default_rng(0))
    constant = trained_backbone("dann", steps=4, weight=2.0 * (2 / (1 + math.exp(-2.5)) - 1))
    expected = gradients(constant, constant.terms(batch, np.random.default_rng(0))["loss"])
    torch.testing.assert_close(
        gradients(algorithm, second["loss"])["model.backbone.weight"], expected["model.backbone.weight"]
    )
    with pytest.raises(UsageError, match="Expected the number of steps for schedule=ramp"):
        trained_backbone("dann", steps=0, schedule="ramp")


def test_the_adversary_of_one_domain_is_zero(one_domain):
    algorithm = one_domain.build("dann", **LOGITS)
    assert algorithm.terms(one_domain.batch(0), np.random.default_rng(0))["loss/adversary"].item() == 0


@pytest.mark.parametrize("name", ["dann", "cdann"])
def test_the_adversary_removes_what_tells_domains_apart_and_keeps_the_classes(name):
    """The first direction has the class, the second the domain; with a gradient penalty, for the plain game circles."""
    rng = np.random.default_rng(0)
    labels, domains = rng.integers(0, 2, 64), np.repeat([0, 1], 32)
    inputs = 0.3 * rng.normal(size=(64, 6))
    inputs[:, 0] += 2 * labels - 1
    inputs[:, 1] += 2 * domains - 1
    batch = Batch(torch.tensor(inputs), torch.tensor(labels), torch.tensor(domains))

    def gap(weight):
        algorithm = trained_backbone(name, counts=np.full((2, 2), 16), weight=weight, grad_penalty=1.0, width=16)
        optimizer, gaps = torch.optim.Adam(algorithm.parameters(), lr=0.01), []
        for _ in range(120):
            optimizer.zero_grad()
            algorithm.terms(batch, rng)["loss"].backward()
            optimizer.step()
            with torch.no_grad():
                features = algorithm.model.features(batch.inputs)
            gaps.append((features[batch.domains == 1].mean(0) - features[batch.domains == 0].mean(0)).norm().item())
        assert (algorithm.model(batch.inputs).argmax(dim=1) == batch.labels).all()
        return np.mean(gaps[60:])

    assert gap(1.0) < 0.6 * gap(0.0)


@pytest.mark.parametrize(("share", "value"), [(0.0, 0.0), (1.0, math.tanh(5.0)), (0.3, math.tanh(1.5))])
def test_the_ramp_is_a_hyperbolic_tangent(share, value):
    assert reversal_ramp(share) == pytest.approx(value, abs=1e-12)


# TCRI


def test_the_composed_head_is_one_linear_map_that_predicts(batch):
    for width in (0, 3):
        algorithm = trained_backbone("tcri", width=width)
        head, features = algorithm.model.head, algorithm.model.features(batch.inputs)
        assert head.featuriser.out_features == (width or 6)
        through = head.classifier(head.featuriser(features))
        torch.testing.assert_close(algorithm.model(batch.inputs), through)
        torch.testing.assert_close(linear(features, head.weight, head.bias), through)
        assert (head.in_features, head.out_features) == (6, 4)


def test_tcri_has_no_cosine_classifier():
    """The composed head has a bias, and rows of any length."""
    model = build_classifier("features", 4, seed=0, num_inputs=6, cosine=True)
    with pytest.raises(UsageError, match=r"^TCRI predicts with a linear .*; leave out --classifier cosine\.$"):
        build_algorithm("tcri", model, TrainingSet(COUNTS, 12), {})


def test_without_its_terms_tcri_is_erm_of_the_factored_head(problem):
    algorithm = problem.build("tcri", alpha=0, weight=0, anneal=0)
    twin = copy.deepcopy(algorithm.model)
    problem.train(algorithm, problem.optimizer(algorithm), range(12))
    optimizer = torch.optim.Adam(twin.parameters(), lr=0.05)
    for step in range(12):
        batch = problem.batch(step)
        optimizer.zero_grad()
        cross_entropy(twin(batch.inputs), batch.labels).backward()
        optimizer.step()
    torch.testing.assert_close(algorithm.model.head.weight, twin.head.weight, rtol=1e-5, atol=1e-6)


def test_tcri_reads_each_domain_with_its_own_classifier(batch):
    algorithm = trained_backbone("tcri", weight=7.0, alpha=0.5, anneal=0.5, steps=10)
    terms = algorithm.terms(batch, np.random.default_rng(0))
    features = algorithm.model.features(batch.inputs)
    both = torch.cat([algorithm.model.head.featuriser(features), algorithm.specific(features)], dim=1)
    weight, bias = algorithm.domain_classifiers.weight.reshape(3, 4, 12), algorithm.domain_classifiers.bias.view(3, 4)
    losses = [
        cross_entropy(weight[d] @ both[i] + bias[d], batch.labels[i]) for i, d in enumerate(batch.domains.tolist())
    ]
    assert terms["loss/domain_ce"].item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-12)

    def total(dependence):
        return (terms["loss/ce"] + 0.5 * terms["loss/domain_ce"] + dependence * terms["loss/hsic"]).item()

    assert terms["loss"].item() == pytest.approx(total(1.0), rel=1e-12)
    algorithm.updates.fill_(5)
    assert algorithm.terms(batch, np.random.default_rng(0))["loss"].item() == pytest.approx(total(7.0), rel=1e-12)


def test_everything_goes_on_training_after_the_weight_of_tcri_jumps(problem):
    algorithm = problem.build("tcri", anneal=0.5)
    optimizer = problem.optimizer(algorithm)
    problem.train(algorithm, optimizer, range(6))
    before = copy.deepcopy(dict(algorithm.named_parameters()))
    problem.train(algorithm, optimizer, range(6, 8))
    for name, parameter in algorithm.named_parameters():
        assert (parameter - before[name]).abs().max() > 1e-3, name


def test_tcri_makes_its_representations_less_dependent(problem):
    def dependence(weight):
        algorithm = problem.build("tcri", weight=weight, anneal=0, steps=60)
        problem.train(algorithm, torch.optim.Adam(algorithm.parameters(), lr=0.01), range(60))
        return algorithm.terms(problem.batch(999), np.random.default_rng(0))["loss/hsic"].item()

    assert dependence(30.0) < 0.7 * dependence(0.0)
