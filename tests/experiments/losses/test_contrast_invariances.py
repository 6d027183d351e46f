"""What holds of every contrastive loss in every variant: invariances, gradients, and finite values everywhere."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.losses.balanced_contrast import balanced_contrast
from experiments.losses.fixclr import repel_only
from experiments.losses.info_nce import info_nce
from experiments.losses.ndcl import negative_dominant_contrast, prototype_alignment
from experiments.losses.supcon import supcon

CLASSES, DIM = 5, 3


def with_made(loss, **options):
    return lambda x, y, d, n, w: loss(x, y, negatives=n, negative_labels=w, **options)


def with_batch(loss, **options):
    return lambda x, y, d, n, w: loss(x, y, **options)


def with_prototypes(**options):
    return lambda x, y, d, n, w: balanced_contrast(x, y, n[:CLASSES], **options)


def with_domains(loss, **options):
    return lambda x, y, d, n, w: loss(x, y, domains=d, **options)


ndcl = negative_dominant_contrast
LOSSES = {
    "infonce": with_batch(info_nce, tau=0.2),
    "infonce cold": with_batch(info_nce, tau=0.01),
    "infonce mean": with_batch(info_nce, tau=0.5, q=2.0, include_anchor=True, anchor_reduction="class"),
    "infonce made": with_made(info_nce, tau=1.0),
    "infonce both": with_made(info_nce, tau=0.3, batch_negatives=True),
    "supcon out": with_batch(supcon, tau=0.1),
    "supcon cold": with_batch(supcon, tau=0.01, anchor_reduction="class"),
    "supcon in": with_batch(supcon, tau=0.5, form="in", include_anchor=True),
    "supcon made": with_made(supcon, tau=0.5, form="in"),
    "ndcl": with_made(ndcl),
    "ndcl real": with_batch(ndcl, tau=0.5, anchor_reduction="sample"),
    "ndcl both mean": with_made(ndcl, batch_negatives=True, aggregate="mean"),
    "ndcl cold": with_batch(ndcl, tau=0.01),
    "ndcl raw": with_batch(ndcl, dissimilarity="raw"),
    "ndcl raw made mean": with_made(ndcl, dissimilarity="raw", aggregate="mean", anchor_reduction="sample"),
    "bcl": with_prototypes(tau=0.07),
    "bcl separate": with_prototypes(tau=0.5, denominator="separate", anchor_reduction="class"),
    "ecl": with_prototypes(tau=0.01, prototype_share="equal"),
    "prototypes alone": with_prototypes(prototype_share=1.0),
    "repel": with_domains(repel_only, tau=0.05),
    "repel means": with_domains(repel_only, tau=0.5, level="domain-class", aggregate="mean", other_domains_only=True),
    "alignment": with_domains(prototype_alignment, tau=0.3),
}
WITH_PROTOTYPES = {"bcl", "bcl separate", "ecl", "prototypes alone"}  # these read their negatives by class
every_loss = pytest.mark.parametrize("name", LOSSES)


def batch_of(seed, size=14, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    labels = torch.tensor(rng.choice(CLASSES, size=size, p=[0.5, 0.3, 0.1, 0.1, 0.0]))
    labels[:4] = torch.tensor([0, 0, 1, 1])
    vectors, negatives = (torch.tensor(rng.normal(size=(n, DIM)), dtype=dtype) for n in (size, 9))
    domains, wanted = torch.tensor(rng.integers(0, 3, size)), torch.tensor(rng.integers(0, CLASSES, 9))
    domains[:4] = torch.tensor([0, 1, 0, 1])  # two classes in two domains: every loss has something to say
    return vectors, labels, domains, negatives, wanted


@every_loss
def test_gradients_equal_finite_differences(name):
    for seed in range(2):
        vectors, labels, domains, negatives, wanted = batch_of(seed)
        inputs = (vectors.requires_grad_(True), negatives.requires_grad_(True))

        def loss(x, n, y=labels, d=domains, w=wanted):
            return LOSSES[name](x, y, d, n, w) + 0 * n.sum()  # some losses take no negatives

        assert loss(*inputs).item() != 0
        assert torch.autograd.gradcheck(loss, inputs, eps=1e-7, atol=1e-5)


@every_loss
def test_second_derivatives_are_finite(name):
    vectors, labels, domains, negatives, wanted = batch_of(0)
    hessian = torch.autograd.functional.hessian(lambda x: LOSSES[name](x, labels, domains, negatives, wanted), vectors)
    assert torch.isfinite(hessian).all()
    assert hessian.abs().max() > 0


@every_loss
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_order_rotation_scale_and_names_of_domains_do_not_matter(name, seed):
    vectors, labels, domains, negatives, wanted = batch_of(seed)
    rng = np.random.default_rng(seed)
    rotation = torch.tensor(np.linalg.qr(rng.normal(size=(DIM, DIM)))[0])
    order, renamed = torch.tensor(rng.permutation(14)), torch.tensor(rng.permutation(3))
    # A prototype table is read by class, so only the rows past it may move.
    behind = torch.cat([torch.arange(CLASSES), CLASSES + torch.tensor(rng.permutation(4))])
    length = torch.tensor(rng.uniform(0.1, 10))
    before = LOSSES[name](vectors, labels, domains, negatives, wanted)
    after = LOSSES[name](
        length * vectors[order] @ rotation, labels[order], renamed[domains][order],
        3.0 * negatives[behind] @ rotation, wanted[behind],
    )  # fmt: skip
    torch.testing.assert_close(before, after, rtol=1e-10, atol=1e-12)


@every_loss
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_names_of_classes_do_not_matter(name, seed):
    vectors, labels, domains, negatives, wanted = batch_of(seed)
    names = torch.tensor(np.random.default_rng(seed).permutation(CLASSES))
    table = negatives.clone()
    if name in WITH_PROTOTYPES:
        table[names] = negatives[:CLASSES]  # the prototypes follow their classes
    before = LOSSES[name](vectors, labels, domains, negatives, wanted)
    after = LOSSES[name](vectors, names[labels], domains, table, names[wanted])
    torch.testing.assert_close(before, after, rtol=1e-10, atol=1e-12)


@every_loss
def test_single_precision_agrees_with_double(name):
    for seed in range(3):
        exact = batch_of(seed)
        rounded = [part.float() if part.is_floating_point() else part for part in exact]
        value = LOSSES[name](*rounded)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), LOSSES[name](*exact), rtol=1e-4, atol=1e-4)


@every_loss
@pytest.mark.parametrize("kind", ["one class", "all singletons", "one sample", "one point", "zero vectors", "no made"])
def test_odd_batches_have_finite_values_and_gradients(name, kind):
    vectors, labels, domains, negatives, wanted = batch_of(0, dtype=torch.float32)
    if kind == "one class":
        labels = torch.zeros_like(labels)
    elif kind == "all singletons":
        vectors, labels, domains = vectors[:CLASSES], torch.arange(CLASSES), domains[:CLASSES]
    elif kind == "one sample":
        vectors, labels, domains = vectors[:1], labels[:1], domains[:1]
    elif kind == "one point":
        vectors, negatives = torch.ones_like(vectors), torch.ones_like(negatives)
    elif kind == "zero vectors":
        vectors, negatives = torch.zeros_like(vectors), torch.zeros_like(negatives)
    elif kind == "no made" and name not in WITH_PROTOTYPES:
        negatives, wanted = negatives[:0], wanted[:0]
    vectors.requires_grad_(True)
    loss = LOSSES[name](vectors, labels, domains, negatives, wanted)
    with torch.autograd.set_detect_anomaly(True):  # no NaN on the way either, for users who look for theirs
        (gradient,) = torch.autograd.grad(loss, vectors)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()


@st.composite
def any_batch(draw):
    size = draw(st.integers(1, 6))
    number = st.floats(allow_nan=False, allow_infinity=False, width=32)
    rows = [
        torch.tensor(draw(st.lists(st.lists(number, min_size=DIM, max_size=DIM), min_size=n, max_size=n)))
        for n in (size, CLASSES)
    ]
    codes = [
        torch.tensor(draw(st.lists(st.integers(0, CLASSES - 1), min_size=n, max_size=n))) for n in (size, size, CLASSES)
    ]
    return rows[0], codes[0], codes[1], rows[1], codes[2]


@settings(max_examples=40, deadline=None)
@given(any_batch())
def test_never_nan_or_infinite_on_finite_vectors(batch):
    vectors, labels, domains, negatives, wanted = batch
    vectors.requires_grad_(True)
    for name, loss in LOSSES.items():
        value = loss(vectors, labels, domains, negatives, wanted)
        assert torch.isfinite(value), name
        (gradient,) = torch.autograd.grad(value, vectors)
        assert torch.isfinite(gradient).all(), name
