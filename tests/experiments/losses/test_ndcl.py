"""NDCL's three terms against naive loops over classes and samples, written from the formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.losses.ndcl import negative_dominant_contrast, prototype_alignment, reweighted_cross_entropy


def cosine(a, b):
    return float(a @ b) / (float(a @ a) ** 0.5 * float(b @ b) ** 0.5)


def naive_contrast(probs, labels, negatives, negative_labels):
    """1/|K_b| sum_k 1/n_k sum_i log(1 + P_i / N_i), classes without negatives left out."""
    total, classes = 0.0, 0
    for k in sorted(set(labels.tolist())):
        anchors = [i for i in range(len(labels)) if labels[i] == k]
        mine = [n for n in range(len(negative_labels)) if negative_labels[n] == k]
        if not mine:
            continue
        classes += 1
        for i in anchors:
            attraction = sum(math.exp(1 - cosine(probs[i], probs[p])) for p in anchors if p != i)
            repulsion = sum(math.exp(1 - cosine(probs[i], negatives[n])) for n in mine)
            total += -math.log(repulsion / (attraction + repulsion)) / len(anchors)
    return total / classes if classes else 0.0


def naive_alignment(probs, labels, domains):
    cells = {}
    for i in range(len(labels)):
        cells.setdefault((int(labels[i]), int(domains[i])), []).append(probs[i])
    means = {cell: torch.stack(rows).mean(dim=0) for cell, rows in cells.items()}
    held = {k: [d for (c, d) in means if c == k] for k, _ in means}
    means = {(k, d): mean for (k, d), mean in means.items() if len(held[k]) > 1}
    if not means:
        return 0.0
    total = 0.0
    for (k, d), mean in means.items():
        same = sum(math.exp(cosine(mean, means[k, e])) for e in held[k] if e != d)
        every = sum(math.exp(cosine(mean, other)) for cell, other in means.items() if cell != (k, d))
        total += -math.log(same / every) / len(held[k])
    return total / len({k for k, _ in means})


def naive_cross_entropy(logits, labels, domains, weights):
    losses = [float(torch.logsumexp(logits[i], 0) - logits[i, labels[i]]) for i in range(len(labels))]
    total = 0.0
    present = sorted(set(labels.tolist()))
    for k in present:
        mine = [i for i in range(len(labels)) if labels[i] == k]
        normaliser = sum(math.exp(losses[i]) for i in mine)
        total += sum(float(weights[domains[i], k]) * math.exp(losses[i]) / normaliser * losses[i] for i in mine)
    return total / len(present)


def random_batch(num_classes, seed, *, kind="mixed", size=None):
    """A batch with singleton, absent and one-domain classes, as long tails make them."""
    rng = np.random.default_rng(seed)
    size = size or 48
    frequency = rng.pareto(1.0, num_classes) + 1e-3
    labels = rng.choice(num_classes, size=size, p=frequency / frequency.sum())
    domains = rng.integers(0, 3, size)
    if kind == "one domain a class":
        domains = labels % 3
    if kind == "all singletons":
        labels = rng.permutation(num_classes)[:size]
        domains = domains[: len(labels)]
    logits = torch.tensor(rng.normal(size=(len(labels), num_classes)) * 3)
    wanted = rng.choice(np.unique(labels), size=size)  # some classes may get no negative
    negatives = torch.tensor(rng.normal(size=(size, num_classes)) * 3)
    return logits, torch.tensor(labels), torch.tensor(domains), negatives, torch.tensor(wanted), rng


BATCHES = [
    (num_classes, seed, kind)
    for num_classes in (7, 65, 345)
    for seed in range(4)
    for kind in ("mixed", "one domain a class", "all singletons")
]


@pytest.mark.parametrize(("num_classes", "seed", "kind"), BATCHES)
def test_terms_equal_naive_loops(num_classes, seed, kind):
    logits, labels, domains, negatives, wanted, rng = random_batch(num_classes, seed, kind=kind)
    probs, negative_probs = logits.softmax(1), negatives.softmax(1)
    weights = torch.tensor(rng.uniform(0.01, 5, (3, num_classes)))
    contrast = negative_dominant_contrast(probs, labels, negative_probs, wanted)
    assert float(contrast) == pytest.approx(naive_contrast(probs, labels, negative_probs, wanted), rel=1e-10, abs=1e-12)
    alignment = prototype_alignment(probs, labels, domains)
    assert float(alignment) == pytest.approx(naive_alignment(probs, labels, domains), rel=1e-10, abs=1e-12)
    classification = reweighted_cross_entropy(logits, labels, domains, weights)
    assert float(classification) == pytest.approx(naive_cross_entropy(logits, labels, domains, weights), rel=1e-10)


def test_results_are_scalars_and_labels_may_be_floats():
    logits, labels, domains, negatives, wanted, _ = random_batch(7, 0)
    probs, negative_probs = logits.softmax(1), negatives.softmax(1)
    with_floats = negative_dominant_contrast(probs, labels, negative_probs, wanted.double())
    assert with_floats.shape == ()
    assert float(with_floats) == float(negative_dominant_contrast(probs, labels, negative_probs, wanted))
    assert prototype_alignment(probs, labels, domains).shape == ()
    assert reweighted_cross_entropy(logits, labels, domains, torch.ones(3, 7)).shape == ()


def test_known_floors_of_the_alignment():
    """One-hot, perfectly aligned prototypes of three domains: log(1 + 3 (K - 1) / (2 e))."""
    for num_classes in (5, 7, 65):
        probs = torch.eye(num_classes, dtype=torch.float64).repeat(3, 1)
        labels = torch.arange(num_classes).repeat(3)
        domains = torch.arange(3).repeat_interleave(num_classes)
        expected = math.log(1 + 3 * (num_classes - 1) / (2 * math.e))
        assert float(prototype_alignment(probs, labels, domains)) == pytest.approx(expected)


def test_singleton_class_has_zero_loss_and_zero_gradient_but_counts_in_the_mean():
    logits = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels, wanted = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 2, 0, 1])
    negatives = torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    loss = negative_dominant_contrast(logits.softmax(1), labels, negatives, wanted)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[4].abs().max() == 0
    assert gradient[:4].abs().min() > 0
    without = negative_dominant_contrast(logits.softmax(1)[:4], labels[:4], negatives, wanted)
    assert loss.item() == pytest.approx(without.item() * 2 / 3)


def test_batches_without_contrast_or_alignment_are_zero_and_keep_the_graph():
    probs = torch.full((4, 3), 1 / 3, requires_grad=True)
    labels, domains = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 0, 1, 2])
    nothing = negative_dominant_contrast(probs, labels, torch.zeros(0, 3), torch.zeros(0))
    one_domain_each = prototype_alignment(probs, labels, domains)
    for loss in (nothing, one_domain_each):
        (gradient,) = torch.autograd.grad(loss, probs, retain_graph=True)
        assert loss.item() == 0
        assert gradient.abs().max() == 0


@pytest.mark.parametrize("seed", range(3))
def test_gradients(seed):
    logits, labels, domains, negatives, wanted, _ = random_batch(7, seed, size=12)
    logits.requires_grad_(True)
    negatives.requires_grad_(True)
    assert torch.autograd.gradcheck(
        lambda z, n: negative_dominant_contrast(z.softmax(1), labels, n.softmax(1), wanted), (logits, negatives)
    )
    assert torch.autograd.gradcheck(lambda z: prototype_alignment(z.softmax(1), labels, domains), (logits,))


def test_cross_entropy_gradient_holds_the_hardness_constant():
    """dL/dz_i = w_i * hardness_i * (p_i - onehot) / |K_b|: the softmax over losses is not differentiated."""
    logits, labels, domains, _, _, rng = random_batch(7, 5, size=12)
    logits.requires_grad_(True)
    weights = torch.tensor(rng.uniform(0.1, 3, (3, 7)))
    (gradient,) = torch.autograd.grad(reweighted_cross_entropy(logits, labels, domains, weights), logits)
    losses = torch.nn.functional.cross_entropy(logits.detach(), labels, reduction="none")
    onehot = torch.nn.functional.one_hot(labels, 7)
    for i in range(len(labels)):
        hardness = losses[i].exp() / losses[labels == labels[i]].exp().sum()
        factor = weights[domains[i], labels[i]] * hardness / labels.unique().numel()
        torch.testing.assert_close(gradient[i], factor * (logits.detach()[i].softmax(0) - onehot[i]))


@st.composite
def any_batch(draw):
    size, num_classes = draw(st.integers(1, 8)), draw(st.integers(2, 5))
    number = st.floats(allow_nan=False, allow_infinity=False, width=32)
    table = st.lists(st.lists(number, min_size=num_classes, max_size=num_classes), min_size=size, max_size=size)
    codes = st.lists(st.integers(0, num_classes - 1), min_size=size, max_size=size)
    values = [torch.tensor(draw(table), dtype=torch.float32) for _ in range(2)]
    labels, wanted, domains = (torch.tensor(draw(codes)) for _ in range(3))
    weights = torch.tensor(draw(st.lists(st.floats(0, 2**100, width=32), min_size=num_classes, max_size=num_classes)))
    return *values, labels, wanted, domains, weights.repeat(num_classes, 1)


@settings(max_examples=200, deadline=None)
@given(any_batch())
def test_never_nan_or_infinite_on_finite_input(batch):
    first, second, labels, wanted, domains, weights = batch
    first.requires_grad_(True)
    losses = [
        negative_dominant_contrast(first, labels, second, wanted),
        prototype_alignment(first, labels, domains),
        reweighted_cross_entropy(first, labels, domains, weights),
    ]
    for loss in losses:
        assert torch.isfinite(loss)
        (gradient,) = torch.autograd.grad(loss, first, retain_graph=True)
        assert torch.isfinite(gradient).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31))
def test_order_of_samples_and_names_of_classes_do_not_matter(seed):
    logits, labels, domains, negatives, wanted, rng = random_batch(7, seed, size=20)
    probs, negative_probs = logits.softmax(1), negatives.softmax(1)
    weights = torch.tensor(rng.uniform(0.1, 3, (3, 7)))
    order, names = torch.tensor(rng.permutation(20)), torch.tensor(rng.permutation(7))
    back = torch.argsort(names)

    def all_terms(z, p, n, y, w, d, table):
        return torch.stack(
            [
                negative_dominant_contrast(p, y, n, w),
                prototype_alignment(p, y, d),
                reweighted_cross_entropy(z, y, d, table),
            ]
        )

    before = all_terms(logits, probs, negative_probs, labels, wanted, domains, weights)
    after = all_terms(
        logits[order][:, back], probs[order][:, back], negative_probs[:, back],
        names[labels[order]], names[wanted], domains[order], weights[:, back],
    )  # fmt: skip
    torch.testing.assert_close(before, after)
