"""Focal, balanced softmax and LDAM against their formulas entry by entry, their limits, and extreme logits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from experiments.losses.balanced_softmax import balanced_softmax
from experiments.losses.cross_entropy import cross_entropies
from experiments.losses.focal import focal
from experiments.losses.ldam import ldam, ldam_margins
from experiments.losses.prior_weights import prior_weights
from geometry.errors import UsageError

EXACT = {"rel": 1e-12, "abs": 1e-12}


def random_logits(seed, size=11, num_classes=5):
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.normal(size=(size, num_classes)) * 3)
    return logits, torch.tensor(rng.choice(num_classes - 1, size)), torch.tensor(rng.uniform(0.1, 3, num_classes))


def softmax_of(row):
    terms = [math.exp(z) for z in row]
    return [term / math.fsum(terms) for term in terms]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_focal_equals_its_formula(gamma, weighted):
    logits, labels, weights = random_logits(0)
    total = 0.0
    for row, y in zip(logits.tolist(), labels.tolist(), strict=True):
        p = softmax_of(row)[y]
        total -= (float(weights[y]) if weighted else 1.0) * (1 - p) ** gamma * math.log(p)
    value = focal(logits, labels, gamma=gamma, class_weights=weights if weighted else None)
    assert value.item() == pytest.approx(total / len(labels), **EXACT)


def test_focal_without_focus_is_cross_entropy():
    logits, labels, _ = random_logits(1)
    torch.testing.assert_close(focal(logits, labels, gamma=0.0), cross_entropy(logits, labels), rtol=1e-14, atol=0)


def test_focal_keeps_its_digits_near_certainty():
    """(1 - p)^2 (1 - p) with 1 - p = 3 e^-14, of which 1 minus a float32 p keeps one digit."""
    value = focal(torch.tensor([[14.0, 0.0, 0.0, 0.0]]), torch.tensor([0]), gamma=2.0)
    cross = cross_entropies(torch.tensor([[14.0, 0.0, 0.0, 0.0]]), torch.tensor([0])).item()
    assert value.item() == pytest.approx((3 * math.exp(-14.0)) ** 2 * cross, rel=1e-5)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("per_domain", [False, True])
def test_balanced_softmax_equals_its_formula(strength, per_domain):
    logits, labels, _ = random_logits(2)
    rng = np.random.default_rng(0)
    table = rng.integers(1, 50, (3, 5))
    table[:, -1] = 0  # a class nobody ever saw
    domains = rng.integers(0, 3, len(labels)) if per_domain else np.zeros(len(labels), dtype=int)
    total = 0.0
    for row, y, d in zip(logits.tolist(), labels.tolist(), domains, strict=True):
        terms = [n**strength * math.exp(z) for n, z in zip(table[d].tolist(), row, strict=True) if n]
        total -= math.log(table[d, y] ** strength * math.exp(row[y]) / math.fsum(terms))
    counts = torch.tensor(table[domains] if per_domain else table[0])
    value = balanced_softmax(logits, labels, counts, strength=strength)
    assert value.item() == pytest.approx(total / len(labels), **EXACT)


def test_balanced_softmax_of_equal_counts_is_cross_entropy():
    logits, labels, _ = random_logits(3)
    torch.testing.assert_close(
        balanced_softmax(logits, labels, torch.full((5,), 17)), cross_entropy(logits, labels), rtol=1e-13, atol=0
    )


def test_balanced_softmax_is_least_at_the_balanced_posterior():
    """With p(x|k) equal, the optimum of the adjusted loss has equal logits: the gradient vanishes at zero logits."""
    counts = torch.tensor([6, 3, 1])
    labels = torch.arange(3).repeat_interleave(counts)
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(balanced_softmax(logits.repeat(10, 1), labels, counts), logits)
    assert gradient.abs().max() < 1e-15


@pytest.mark.parametrize("weighted", [False, True])
def test_ldam_equals_its_formula(weighted):
    logits, labels, weights = random_logits(4)
    margins, scale = ldam_margins([500, 50, 20, 3, 0]).double(), 4.0
    top, bottom = 0.0, 0.0
    for row, y in zip(logits.tolist(), labels.tolist(), strict=True):
        shifted = [scale * (z - (float(margins[k]) if k == y else 0.0)) for k, z in enumerate(row)]
        w = float(weights[y]) if weighted else 1.0
        top -= w * math.log(softmax_of(shifted)[y])
        bottom += w
    value = ldam(logits, labels, margins, scale=scale, class_weights=weights if weighted else None)
    assert value.item() == pytest.approx(top / bottom, **EXACT)


def test_ldam_without_margins_is_scaled_cross_entropy():
    logits, labels, weights = random_logits(5)
    expected = cross_entropy(7.0 * logits, labels, weight=weights)
    found = ldam(logits, labels, torch.zeros(5), scale=7.0, class_weights=weights)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)


def test_ldam_margins_are_the_fourth_root_rule():
    counts = [5000, 81, 16, 0, 1]
    margins = ldam_margins(counts, max_margin=0.3).tolist()
    assert margins[3] == 0
    constants = [m * n**0.25 for m, n in zip(margins, counts, strict=True) if n]
    assert constants == pytest.approx([0.3] * 4, rel=1e-6)
    assert ldam_margins([0, 0]).tolist() == [0, 0]


def test_deferred_weights_are_the_published_ones():
    """(1 - beta)/(1 - beta^n), normalised to the number of classes, as LDAM's code has them."""
    counts, beta = [5000, 100, 5], 0.9999
    raw = [(1 - beta) / (1 - beta**n) for n in counts]
    expected = [3 * w / sum(raw) for w in raw]
    assert prior_weights([counts], "effective", beta=beta)[0].tolist() == pytest.approx(expected, rel=1e-6)


def logit_losses(logits, labels):
    num_classes = logits.shape[1]
    counts = torch.arange(num_classes) + 1
    return {
        "cross-entropy": cross_entropies(logits, labels).mean(),
        "focal": focal(logits, labels),
        "focal half": focal(logits, labels, gamma=0.5),
        "focal none": focal(logits, labels, gamma=0.0),
        "balanced softmax": balanced_softmax(logits, labels, counts),
        "ldam": ldam(logits, labels, ldam_margins(counts), class_weights=1.0 / counts),
    }


@pytest.mark.parametrize("name", logit_losses(torch.zeros(1, 2), torch.tensor([0])))
def test_gradients_equal_finite_differences(name):
    for seed in range(2):
        logits, labels, _ = random_logits(seed, size=5)
        logits = (logits / 10).requires_grad_(True)
        assert torch.autograd.gradcheck(lambda z, y=labels: logit_losses(z, y)[name], (logits,))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_finite_at_every_finite_logit(data):
    size, num_classes = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    number = st.floats(allow_nan=False, allow_infinity=False, width=32)
    table = st.lists(st.lists(number, min_size=num_classes, max_size=num_classes), min_size=size, max_size=size)
    logits = torch.tensor(data.draw(table), dtype=torch.float32, requires_grad=True)
    labels = torch.tensor(data.draw(st.lists(st.integers(0, num_classes - 1), min_size=size, max_size=size)))
    for name, loss in logit_losses(logits, labels).items():
        (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
        assert torch.isfinite(loss), name
        assert torch.isfinite(gradient).all(), name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_a_common_shift_and_the_order_of_samples_do_not_matter(seed):
    logits, labels, _ = random_logits(seed)
    rng = np.random.default_rng(seed)
    order, shift = torch.tensor(rng.permutation(11)), torch.tensor(rng.normal(size=(11, 1)) * 10)
    before, after = logit_losses(logits, labels), logit_losses((logits + shift)[order], labels[order])
    for name in before:
        torch.testing.assert_close(before[name], after[name], rtol=1e-9, atol=1e-12)


def test_no_samples_is_zero():
    logits = torch.zeros(0, 3, requires_grad=True)
    labels = torch.zeros(0, dtype=torch.int64)
    for loss in (focal(logits, labels), ldam(logits, labels, torch.zeros(3), class_weights=torch.ones(3))):
        assert loss.item() == 0


def test_bad_options_are_one_sentence():
    logits, labels, _ = random_logits(0)
    with pytest.raises(UsageError, match="gamma"):
        focal(logits, labels, gamma=-1.0)
    with pytest.raises(UsageError, match="scale"):
        ldam(logits, labels, torch.zeros(5), scale=0.0)
