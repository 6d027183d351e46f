"""Losses of unlabelled samples against loops over samples and classes."""

import math

import numpy as np
import pytest
import torch

from experiments.losses.adaptive_threshold import PredictionAverages, adaptive_thresholds
from experiments.losses.fairness import fairness_cross_entropy
from experiments.losses.pseudo_labels import PseudoLabels, pseudo_label_loss, pseudo_labels

CLASSES = 5


def softmax(row):
    powers = [math.exp(z - max(row)) for z in row]
    return [p / math.fsum(powers) for p in powers]


@pytest.fixture
def unlabelled():
    """Logits of weak and strong views of 12 samples; the last class is nowhere predicted."""

    def make(seed):
        rng = np.random.default_rng(seed)
        weak, strong = 2 * rng.normal(size=(2, 12, CLASSES)) - [0, 0, 0, 0, 9]
        return torch.tensor(weak), torch.tensor(strong, requires_grad=True)

    return make


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("threshold", [0.0, 0.6, 1.0])
def test_pseudo_label_loss_equals_its_formula(unlabelled, seed, threshold):
    weak, strong = unlabelled(seed)
    expected, believed = [], []
    for w, s in zip(weak.tolist(), strong.tolist(), strict=True):
        q = softmax(w)
        believed.append(max(q) >= threshold)
        expected.append(-math.log(softmax(s)[q.index(max(q))]) if believed[-1] else 0.0)
    found = pseudo_labels(weak.softmax(dim=1), threshold)
    assert found.kept.tolist() == believed
    loss = pseudo_label_loss(strong, found)
    assert loss.item() == pytest.approx(math.fsum(expected) / len(expected), rel=1e-12)
    loss.backward()
    assert [bool(row.abs().sum() > 0) for row in strong.grad] == believed


def test_a_threshold_of_each_class_is_that_of_the_predicted_one():
    probabilities = torch.tensor([[0.6, 0.4], [0.4, 0.6]])
    assert pseudo_labels(probabilities, torch.tensor([0.5, 0.7])).kept.tolist() == [True, False]
    assert pseudo_labels(probabilities, torch.tensor([0.6, 0.6])).kept.tolist() == [True, True]


def test_whole_numbers_are_thresholds_too():
    probabilities = torch.tensor([[1.0, 0.0], [0.4, 0.6]])
    assert pseudo_labels(probabilities, 1).kept.tolist() == [True, False]
    assert pseudo_labels(probabilities, 0).kept.tolist() == [True, True]


def test_no_gradient_reaches_the_weak_view():
    weak = torch.tensor([[3.0, 0.0]], requires_grad=True)
    found = pseudo_labels(weak.softmax(dim=1), 0.5)
    assert not found.kept.requires_grad
    assert not pseudo_label_loss(torch.zeros(1, 2), found).requires_grad


def test_nothing_believed_and_nothing_at_all_are_zero():
    for size in (0, 3):
        logits = torch.zeros(size, 2, requires_grad=True)
        nothing = PseudoLabels(torch.zeros(size, dtype=torch.int64), torch.zeros(size, dtype=torch.bool))
        even = torch.full((2,), 0.5)
        for loss in (pseudo_label_loss(logits, nothing), fairness_cross_entropy(logits, nothing.kept, even, even)):
            loss.backward()
            assert loss.item() == 0
            assert logits.grad.abs().sum() == 0


def test_averages_are_those_of_a_loop(unlabelled):
    momentum, averages = 0.9, PredictionAverages(CLASSES, 0.9).double()
    confidence, mean, histogram = 1 / CLASSES, [1 / CLASSES] * CLASSES, [1 / CLASSES] * CLASSES
    for seed in range(4):
        weak, _ = unlabelled(seed)
        rows = [softmax(row) for row in weak.tolist()]
        winners = [row.index(max(row)) for row in rows]
        confidence = momentum * confidence + (1 - momentum) * sum(map(max, rows)) / len(rows)
        for k in range(CLASSES):
            mean[k] = momentum * mean[k] + (1 - momentum) * sum(row[k] for row in rows) / len(rows)
            histogram[k] = momentum * histogram[k] + (1 - momentum) * winners.count(k) / len(rows)
        averages.follow(weak.softmax(dim=1))
    assert averages.confidence.item() == pytest.approx(confidence, rel=1e-6)
    np.testing.assert_allclose(averages.mean, mean, rtol=1e-7)
    np.testing.assert_allclose(averages.histogram, histogram, rtol=1e-7)
    expected = [confidence * p / max(mean) for p in mean]
    np.testing.assert_allclose(averages.thresholds(), expected, rtol=1e-7)
    before = averages.mean.clone()
    averages.follow(torch.zeros(0, CLASSES))
    assert torch.equal(averages.mean, before)


def test_thresholds_are_at_most_the_confidence_and_reach_it():
    found = adaptive_thresholds(torch.tensor(0.7), torch.tensor([0.1, 0.6, 0.3]))
    assert found.max() == found[1] == pytest.approx(0.7)


@pytest.mark.parametrize("seed", range(6))
def test_fairness_equals_its_formula(unlabelled, seed):
    _, strong = unlabelled(seed)
    rng = np.random.default_rng(seed)
    kept = torch.tensor(rng.random(12) < 0.6)
    mean, histogram = (torch.tensor(rng.dirichlet(np.ones(CLASSES))) for _ in range(2))
    rows = [softmax(row) for row, on in zip(strong.tolist(), kept.tolist(), strict=True) if on]
    winners = [row.index(max(row)) for row in rows]
    shares = [winners.count(k) / len(rows) for k in range(CLASSES)]
    smoothed = [p / h for p, h in zip(mean.tolist(), histogram.tolist(), strict=True)]
    batch = [sum(row[k] for row in rows) / len(rows) / shares[k] if shares[k] else 0.0 for k in range(CLASSES)]
    assert 0.0 in batch
    expected = -math.fsum(
        a / math.fsum(smoothed) * math.log(b / math.fsum(batch)) for a, b in zip(smoothed, batch, strict=True) if b
    )
    value = fairness_cross_entropy(strong, kept, mean, histogram)
    assert value.item() == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(lambda z: fairness_cross_entropy(z, kept, mean, histogram), strong)


def test_descending_the_published_sign_moves_the_shares_apart():
    """Minus the cross-entropy is what FreeMatch minimises: its minimum is not where the two ratios agree."""
    logits = torch.tensor([[1.0, 0.0], [1.2, 0.0], [0.0, 0.8]], dtype=torch.float64, requires_grad=True)
    even = torch.tensor([0.5, 0.5], dtype=torch.float64)
    kept = torch.ones(3, dtype=torch.bool)

    def gap(z):
        """Of the batch's ratio from the smoothed one, which is even."""
        ratio = z.softmax(dim=1).mean(dim=0) / torch.tensor([2 / 3, 1 / 3])
        return float((ratio / ratio.sum() - 0.5).abs().sum())

    (gradient,) = torch.autograd.grad(-fairness_cross_entropy(logits, kept, even, even), logits)
    now = logits.detach()
    assert gap(now - 0.1 * gradient) > gap(now) > gap(now + 0.1 * gradient)
