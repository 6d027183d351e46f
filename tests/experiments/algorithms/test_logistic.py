"""The closed convex fit: its optimum against scikit-learn and the conditions of optimality."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from experiments.algorithms import TrainingSet, build_algorithm
from experiments.algorithms.logistic import STRENGTHS
from experiments.algorithms.logistic_fit import ABSENT_BIAS, fit_logistic
from experiments.models import build_classifier
from geometry.errors import DataError, UsageError


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels = rng.choice(4, size=120, p=[0.6, 0.25, 0.1, 0.05])
    return rng.normal(size=(4, 5))[labels] + rng.normal(size=(120, 5)) + 3.0, labels


@pytest.mark.parametrize("strength", [1e-3, 0.1])
@pytest.mark.parametrize("balanced", [False, True])
def test_the_fit_is_scikit_learns(data, strength, balanced):
    features, labels = data
    weights = 1 / np.bincount(labels)[labels] if balanced else np.ones(len(labels))
    weight, bias, _ = fit_logistic(features, labels, 4, strength, weights=weights)
    reference = LogisticRegression(C=1 / (strength * weights.sum()), tol=1e-8, max_iter=10_000)
    reference.fit(features, labels, sample_weight=weights)
    np.testing.assert_allclose(weight, reference.coef_, atol=1e-3)
    np.testing.assert_allclose(bias, reference.intercept_ - reference.intercept_.mean(), atol=3e-3)


def test_the_gradient_vanishes_and_any_start_gives_the_same(data):
    features, labels = data
    weight, bias, objective = fit_logistic(features, labels, 4, 0.01)
    z = torch.tensor(weight, requires_grad=True)
    b = torch.tensor(bias, requires_grad=True)
    logits = torch.as_tensor(features) @ z.T + b
    loss = torch.nn.functional.cross_entropy(logits, torch.as_tensor(labels)) + 0.005 * z.square().sum()
    loss.backward()
    assert loss.item() == pytest.approx(objective)
    # The fit stops at 1e-6 for centred features; uncentred, errors of the bias are as large as the features.
    assert z.grad.abs().max() < 1e-5
    assert b.grad.abs().max() < 1e-5
    other = fit_logistic(features, labels, 4, 0.01, start=np.random.default_rng(1).normal(size=(4, 5)))
    np.testing.assert_allclose(other[0], weight, atol=2e-4)


def test_the_features_origin_moves_the_bias_alone(data):
    features, labels = data
    weight, bias, _ = fit_logistic(features, labels, 4, 0.01)
    moved, moved_bias, _ = fit_logistic(features + 7.0, labels, 4, 0.01)
    np.testing.assert_allclose(moved, weight, atol=1e-6)
    shift = bias - weight.sum(axis=1) * 7.0
    np.testing.assert_allclose(moved_bias, shift - shift.mean(), atol=1e-5)


def test_an_absent_class_is_never_predicted_and_one_class_is_enough(data):
    features, labels = data
    labels = np.where(labels == 1, 2, labels)
    weight, bias, _ = fit_logistic(features, labels, 4, 0.01)
    assert not weight[1].any()
    assert bias[1] == ABSENT_BIAS
    weight, bias, objective = fit_logistic(features, np.zeros(120, dtype=np.int64), 2, 0.01)
    assert (objective, bias[0]) == (0, 0)
    assert not weight.any()


def test_a_fit_that_cannot_converge_says_so(data):
    features, labels = data
    with pytest.raises(DataError, match="did not converge"):
        fit_logistic(features * 1e12, labels, 4, 1e-30)


def test_the_strength_is_chosen_on_balanced_validation(data):
    features, labels = (torch.as_tensor(part) for part in data)
    features = features.float()
    validation = np.random.default_rng(3)
    shown = validation.permutation(120)

    def part(name):
        return (
            (features[shown[:60]], labels[shown[:60]])
            if name == "train"
            else (features[shown[60:]], labels[shown[60:]])
        )

    counts = np.bincount(labels[shown[:60]], minlength=4)[None]

    def fitted(**options):
        model = build_classifier("features", 4, seed=0, num_inputs=5)
        algorithm = build_algorithm("logistic", model, TrainingSet(counts, features=part), options)
        terms = algorithm.terms(None, np.random.default_rng(0))
        with torch.no_grad():
            right = model(part("validation")[0]).argmax(dim=1) == part("validation")[1]
        score = np.mean([right[part("validation")[1] == k].float().mean() for k in np.unique(part("validation")[1])])
        return algorithm, terms, score

    _, terms, score = fitted()
    scores = {strength: fitted(strength=strength)[2] for strength in STRENGTHS}
    best = max(scores.values())
    assert score == pytest.approx(best)
    assert terms["strength"].item() == max(s for s in STRENGTHS if scores[s] == best)
    balanced, _, _ = fitted(strength=0.01, prior_weights="inverse")
    expected = fit_logistic(
        part("train")[0].numpy(), part("train")[1].numpy(), 4, 0.01,
        weights=1 / counts[0][part("train")[1].numpy()],
    )  # fmt: skip
    np.testing.assert_allclose(balanced.model.head.weight.detach(), expected[0], atol=1e-4)


def test_no_optimiser_touches_the_fit(problem):
    algorithm = problem.build("logistic", strength=0.1)
    optimizer = torch.optim.SGD(algorithm.parameters(), lr=1.0, weight_decay=0.5, momentum=0.9)
    losses = problem.train(algorithm, optimizer, range(1))
    fitted = algorithm.model.head.weight.detach().clone()
    losses += problem.train(algorithm, optimizer, range(1, 5))
    assert len(set(losses)) == 1
    assert torch.equal(algorithm.model.head.weight, fitted)
    assert fitted.abs().sum() > 0


def test_images_and_missing_samples_are_refused(problem):
    with pytest.raises(UsageError, match="fitted to frozen features"):
        build_algorithm("logistic", build_classifier("small_cnn", 4, seed=0), TrainingSet(problem.counts), {})
    model = build_classifier("features", 4, seed=0, num_inputs=6)
    with pytest.raises(DataError, match="Expected the training features"):
        build_algorithm("logistic", model, TrainingSet(problem.counts), {}).terms(None, np.random.default_rng(0))

    def part(name):
        return problem.part(name) if name == "train" else (torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64))

    chosen = build_algorithm("logistic", model, TrainingSet(problem.counts, features=part), {})
    with pytest.raises(DataError, match="give a strength"):
        chosen.terms(None, np.random.default_rng(0))
