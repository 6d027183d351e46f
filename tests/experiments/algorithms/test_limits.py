"""Where an algorithm's own term vanishes it is ERM; every batch there can be gives finite losses and gradients."""

import copy

import numpy as np
import pytest
import torch

from geometry.errors import UsageError
from tests.experiments.algorithms.frozen_features import NEED_FEATURES, ON_FEATURES, wanted_options
from tests.experiments.algorithms.rivals import LOGITS
from tests.experiments.algorithms.views import with_views

TRAINED = sorted(set(ON_FEATURES) - NEED_FEATURES)
STILL = {"weight": 0, "anneal": 0}


def assert_same_course(found, expected):
    """The same losses and head after a dozen steps, to the bit."""
    assert found[0] == expected[0]
    assert torch.equal(found[1], expected[1])


def assert_same_course_up_to_rounding(found, expected):
    np.testing.assert_allclose(found[0], expected[0], rtol=2e-5)
    torch.testing.assert_close(found[1], expected[1], rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("infonce", {"weight": 0}),
        ("infonce", {"weight": 0, "negatives": "mixup"}),
        ("supcon", {"weight": 0, "negatives": "both"}),
        ("bcl", {"weight": 0, "classification": "cross_entropy"}),
        ("bcl", {"weight": 0, "classification": "cross_entropy", "contrast_space": "features"}),
        ("ndcl", {"alpha": 0, "beta": 0, "classification": "cross_entropy"}),
        ("kcl", {"weight": 0}),
        ("kcl", {"weight": 0, "unused": "neutral", "positives": 0, "queue": 5}),
        ("proco", {"weight": 0, "classification": "cross_entropy"}),
        ("selfreg", {"weight": 0}),
        ("coral", {"weight": 0, **LOGITS}),
        ("mmd", {"weight": 0, **LOGITS}),
        ("causirl", {"weight": 0, **LOGITS}),
        ("causirl", {"weight": 0, "distance": "coral", "alignment_space": "predictions"}),
        ("boda", {"weight": 0, "macro_weight": 0, **LOGITS}),
        ("irm", STILL),
        ("irm", {**STILL, "estimate": "square"}),
        ("vrex", STILL),
        ("rdm", {**STILL, "variance_weight": 0}),
        ("rdm", {"anneal": 1}),
        ("eqrm", {"anneal": 1}),
        ("fishr", STILL),
        ("fishr", {"anneal": 1}),
        ("transfer", {"weight": 0, "gap_reaches": "both"}),
        ("samaltdg", {"rho": 0, "square_weight": 0, "adversarial_weight": 0, **LOGITS}),
        ("rsc", {"feature_drop": 0}),
        ("rsc", {"batch_drop": 0}),
        ("fixmatch", {"lambda_u": 0}),
        ("freematch", {"lambda_u": 0}),
        ("fixmatch", {"anneal": 1, "fixclr": 1, "fixclr_space": "predictions"}),
    ],
)
def test_without_weight_an_added_term_leaves_erm_bit_for_bit(problem, name, options):
    assert_same_course(problem.trained(name, **options), problem.trained("erm"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dann", {"weight": 0, **LOGITS}),
        ("cdann", {"weight": 0, "grad_penalty": 1.0, **LOGITS}),
        ("ginidg", {"weight": 0, "adversary": 0}),
    ],
)
def test_without_weight_what_trains_beside_the_classifier_leaves_it_alone(problem, name, options):
    """The loss has the adversary's own part, which only the adversary descends."""
    _, head = problem.trained(name, **options)
    assert torch.equal(head, problem.trained("erm")[1])


@pytest.mark.parametrize(
    ("name", "options"), [("fish", {"meta_lr": 1}), ("mldg", {"beta": 3}), ("transfer", {"gap_reaches": "both"})]
)
def test_on_one_domain_a_rule_between_domains_is_erm_bit_for_bit(one_domain, name, options):
    assert_same_course(one_domain.trained(name, **options), one_domain.trained("erm"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("groupdro", {"eta": 0}),
        ("groupdro", {"eta": 5.0}),  # a domain alone weighs one
        ("eqrm", {"anneal": 0}),  # and is its own quantile
        ("pgrad", {"splits": 1, "outer_lr": 1}),  # and a trajectory of one step, taken whole
    ],
)
def test_on_one_domain_a_weighing_of_domains_is_erm_up_to_rounding(one_domain, name, options):
    assert_same_course_up_to_rounding(one_domain.trained(name, **options), one_domain.trained("erm"))


@pytest.mark.parametrize(
    ("name", "options", "reference"),
    [
        ("focal", {"gamma": 0}, ("erm", {})),
        ("balanced_softmax", {"strength": 0, "prior": "pooled"}, ("erm", {})),
        ("ldam", {"max_margin": 0, "scale": 1}, ("erm", {})),
        ("reweight", {"rule": "none"}, ("erm", {})),
        ("groupdro", {"eta": 0}, ("erm", {})),
        ("paco", {"alpha": 0, "gamma": 0, "prior": "none"}, ("erm", {})),
        ("paco", {"alpha": 0, "gamma": 0, "prior": "none", "encoder": "same", "beta": 0.3}, ("erm", {})),
        ("paco", {"alpha": 0, "gamma": 0}, ("balanced_softmax", {"prior": "pooled"})),
        ("paco", {"alpha": 0, "gamma": 0, "prior": "domain"}, ("balanced_softmax", {"prior": "domain"})),
        ("proco", {"weight": 0}, ("balanced_softmax", {"prior": "pooled"})),
    ],
)
def test_other_limits_up_to_rounding(problem, name, options, reference):
    expected = problem.trained(reference[0], **reference[1])
    assert_same_course_up_to_rounding(problem.trained(name, **options), expected)


def test_samples_mixed_with_themselves_are_erms(one_domain):
    alone = copy.copy(one_domain)
    alone.per_domain = 1  # every sample mixed half and half with itself
    assert_same_course_up_to_rounding(alone.trained("mixup", alpha=1e5), alone.trained("erm"))


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize(
    ("labels", "domains"),
    [
        ([0, 1, 2, 3], [0, 0, 1, 1]),
        ([0, 0, 0, 0], [0, 0, 1, 1]),
        ([0, 0, 0, 1], [0, 0, 0, 0]),
        ([2], [1]),
        ([0, 0, 1, 1, 2], [0, 1, 0, 1, 1]),
    ],
)
def test_singletons_absent_classes_and_domains_are_normal(problem, tiny_batch, name, labels, domains):
    if [3, 1] in [list(cell) for cell in zip(labels, domains, strict=True)]:
        labels = [*labels[:-1], 1]  # the training set has no such cell, so no batch has it
    algorithm = problem.build(name, **wanted_options(name))
    for seed in range(3):
        batch = with_views(algorithm, tiny_batch(labels, domains), np.random.default_rng(7))
        terms = algorithm.terms(batch, np.random.default_rng(seed))
        algorithm.zero_grad()
        terms["loss"].backward()
        assert all(torch.isfinite(term) for term in terms.values())
        assert all(torch.isfinite(parameter.grad).all() for parameter in algorithm.parameters())


@pytest.mark.parametrize("name", TRAINED)
def test_one_source_domain_with_an_absent_class_trains(one_domain, name):
    losses, head = one_domain.trained(name, **wanted_options(name))
    assert np.isfinite(losses).all()
    assert torch.isfinite(head).all()
    assert losses[-1] < losses[0]


STATEFUL = {
    "ndcl": {"prototypes": "moving", "negatives": "both", "mixing": "pair"},
    "ldam": {"drw": 0.4},
    "supcon": {"negatives": "mixup"},
    "fixmatch": {"fixclr": 0.5, "fixclr_space": "predictions", "threshold": 0.5},
    "freematch": {"fixclr": 0.5, "fixclr_space": "predictions", "momentum": 0.9, "anneal": 0.5},
}


@pytest.mark.parametrize("name", ON_FEATURES)
def test_a_resumed_algorithm_goes_on_bit_for_bit(problem, name):
    options = wanted_options(name) | STATEFUL.get(name, {})
    whole = problem.build(name, **options)
    problem.train(whole, problem.optimizer(whole), range(12))

    first = problem.build(name, **options)
    optimizer = problem.optimizer(first)
    problem.train(first, optimizer, range(5))
    saved = copy.deepcopy((first.state_dict(), optimizer.state_dict()))
    second = problem.build(name, **options)
    optimizer = problem.optimizer(second)
    second.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    problem.train(second, optimizer, range(5, 12))

    end, expected = second.state_dict(), whole.state_dict()
    assert end.keys() == expected.keys()
    for key in expected:
        torch.testing.assert_close(end[key], expected[key], rtol=0, atol=0, equal_nan=True)


def test_spaces_that_would_train_nothing_are_refused(problem):
    with pytest.raises(UsageError, match="never reaches the classifier; take contrast_space=predictions"):
        problem.build("supcon", contrast_space="features")
    with pytest.raises(UsageError, match="take alignment_space=logits"):
        problem.build("coral")
    with pytest.raises(UsageError, match="Expected a projection head for alignment_space=projections"):
        problem.build("ndcl", alignment_space="projections")
    with pytest.raises(UsageError, match="never reaches the classifier"):
        problem.build("ndcl", alignment_space="projections", projection=3)
    problem.build("bcl", contrast_space="features")
