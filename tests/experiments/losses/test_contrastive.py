"""InfoNCE, SupCon and every form of the negatives-dominant contrast against loops over anchors; closed forms."""

import itertools
import math

import numpy as np
import pytest
import torch

from experiments.losses.info_nce import info_nce
from experiments.losses.ndcl import negative_dominant_contrast
from experiments.losses.supcon import supcon
from geometry.errors import UsageError
from geometry.frames import simplex_etf
from geometry.optimum import InfoNCE, LogMeanExp, Program

EXACT = {"rel": 1e-12, "abs": 1e-12}
REDUCTIONS = ("sample", "class")
SOURCES = ("batch", "made", "both")


def rivals_of(source, negatives, wanted):
    if source == "batch":
        return {}
    return {"negatives": negatives, "negative_labels": wanted, "batch_negatives": source == "both"}


def neighbours(cosine, batch, source, i, *, include_anchor=False):
    """Cosines of anchor i with its positives and with its negatives."""
    vectors, labels, _, negatives, wanted = batch
    samples = range(len(labels))
    positives = [
        cosine(vectors[i], vectors[j]) for j in samples if labels[j] == labels[i] and (include_anchor or j != i)
    ]
    found = []
    if source in ("batch", "both"):
        found += [cosine(vectors[i], vectors[j]) for j in samples if labels[j] != labels[i]]
    if source in ("made", "both"):
        found += [cosine(vectors[i], negatives[n]) for n in range(len(wanted)) if wanted[n] == labels[i]]
    return positives, found


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("tau", "q"), [(1.0, "plain"), (0.1, "plain"), (0.5, 2.5), (0.05, 1)])
@pytest.mark.parametrize("include_anchor", [False, True])
def test_info_nce_equals_its_formula(
    tailed_batch, cosine, mean_over_anchors, source, reduction, tau, q, include_anchor
):
    for seed in range(3):
        batch = tailed_batch(seed)
        vectors, labels, _, negatives, wanted = batch
        losses = {}
        for i in range(len(labels)):
            positives, rivals = neighbours(cosine, batch, source, i, include_anchor=include_anchor)
            if not positives or not rivals:
                continue
            each = []
            for s in positives:
                terms = [math.exp((n - s) / tau) for n in rivals]
                each.append(math.log1p(math.fsum(terms) if q == "plain" else q * math.fsum(terms) / len(terms)))
            losses[i] = math.fsum(each) / len(each)
        value = info_nce(
            vectors, labels, tau=tau, q=q, include_anchor=include_anchor, anchor_reduction=reduction,
            **rivals_of(source, negatives, wanted),
        )  # fmt: skip
        assert value.item() == pytest.approx(mean_over_anchors(losses, labels, reduction), **EXACT)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("form", ["out", "in"])
@pytest.mark.parametrize("include_anchor", [False, True])
def test_supcon_equals_its_formula(tailed_batch, cosine, mean_over_anchors, source, reduction, form, include_anchor):
    for seed, tau in itertools.product(range(3), (1.0, 0.1)):
        batch = tailed_batch(seed)
        vectors, labels, _, negatives, wanted = batch
        losses = {}
        for i in range(len(labels)):
            positives, rivals = neighbours(cosine, batch, source, i, include_anchor=include_anchor)
            if not positives:
                continue
            total = math.fsum(math.exp(s / tau) for s in positives + rivals)
            shares = [math.exp(s / tau) / total for s in positives]
            if form == "out":
                losses[i] = -math.fsum(math.log(share) for share in shares) / len(shares)
            else:
                losses[i] = -math.log(math.fsum(shares) / len(shares))
        value = supcon(
            vectors, labels, tau=tau, form=form, include_anchor=include_anchor, anchor_reduction=reduction,
            **rivals_of(source, negatives, wanted),
        )  # fmt: skip
        assert value.item() == pytest.approx(mean_over_anchors(losses, labels, reduction), **EXACT)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("aggregate", ["sum", "mean"])
@pytest.mark.parametrize(
    ("dissimilarity", "tau"), [("exp", 1.0), ("exp", 0.2), ("exp", 0.05), ("exp", 0.02), ("raw", 1.0), ("raw", 0.3)]
)
def test_every_negative_dominant_form_equals_its_formula(
    tailed_batch, cosine, mean_over_anchors, source, reduction, aggregate, dissimilarity, tau
):
    def far(s):
        return math.exp((1 - s) / tau) if dissimilarity == "exp" else (1 - s) / tau

    for seed in range(3):
        batch = tailed_batch(seed)
        vectors, labels, _, negatives, wanted = batch
        losses = {}
        for i in range(len(labels)):
            positives, rivals = neighbours(cosine, batch, source, i)
            if not rivals:
                continue
            attraction, repulsion = math.fsum(map(far, positives)), math.fsum(map(far, rivals))
            if aggregate == "mean":
                attraction, repulsion = attraction / max(len(positives), 1), repulsion / len(rivals)
            losses[i] = math.log1p(attraction / repulsion)
        value = negative_dominant_contrast(
            vectors, labels, tau=tau, dissimilarity=dissimilarity, aggregate=aggregate, anchor_reduction=reduction,
            **rivals_of(source, negatives, wanted),
        )  # fmt: skip
        assert value.item() == pytest.approx(mean_over_anchors(losses, labels, reduction), **EXACT)


def test_released_form_is_kept_to_the_last_bit(tailed_batch):
    """The released order of operations, in both precisions; its gradients up to the order of their sums."""
    for seed, dtype in itertools.product(range(5), (torch.float32, torch.float64)):
        logits, labels, _, made, wanted = tailed_batch(seed, dtype=dtype)
        logits, made = logits.requires_grad_(True), made.requires_grad_(True)
        probs, negatives = logits.softmax(1), made.softmax(1)

        def unit(v):
            return torch.nn.functional.normalize(v, dim=-1, eps=1e-8)

        same = labels[:, None] == labels[None, :]
        positive = (same & ~torch.eye(len(labels), dtype=torch.bool)).to(dtype)
        negative = labels[:, None] == wanted[None, :]
        has = negative.any(1)
        attraction = ((1 - unit(probs) @ unit(probs).T).exp() * positive).sum(1)
        repulsion = ((1 - unit(probs) @ unit(negatives).T).exp() * negative.to(dtype)).sum(1)
        losses = torch.log1p(attraction / torch.where(has, repulsion, torch.ones_like(repulsion)))
        losses = torch.where(has, losses, torch.zeros_like(losses))
        expected = (losses / same.sum(1)).sum() / labels[has].unique().numel()
        found = negative_dominant_contrast(probs, labels, negatives, wanted)
        assert torch.equal(found, expected)
        for ours, theirs in zip(
            torch.autograd.grad(found, (logits, made), retain_graph=True),
            torch.autograd.grad(expected, (logits, made)),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs, rtol=20 * torch.finfo(dtype).eps, atol=torch.finfo(dtype).eps)


@pytest.mark.parametrize("num_classes", [2, 3, 10])
@pytest.mark.parametrize("tau", [1.0, 0.1])
def test_values_at_the_collapsed_simplex(num_classes, tau):
    n, C = 3, num_classes
    vectors = torch.tensor(np.repeat(simplex_etf(C), n, axis=0))
    labels = torch.arange(C).repeat_interleave(n)
    gap = C / (C - 1) / tau
    others, own = n * (C - 1), n - 1
    for reduction in REDUCTIONS:
        options = {"tau": tau, "anchor_reduction": reduction}
        plain = math.log1p(others * math.exp(-gap))
        assert info_nce(vectors, labels, **options).item() == pytest.approx(plain, rel=1e-10)
        weighted = math.log1p(3 * math.exp(-gap))
        assert info_nce(vectors, labels, q=3.0, **options).item() == pytest.approx(weighted, rel=1e-10)
        for form in ("out", "in"):
            expected = math.log(own + others * math.exp(-gap))
            assert supcon(vectors, labels, form=form, **options).item() == pytest.approx(expected, rel=1e-10)
        dominant = math.log1p(own / others * math.exp(-gap))
        found = negative_dominant_contrast(vectors, labels, **options)
        assert found.item() == pytest.approx(dominant, rel=1e-10)
        means = negative_dominant_contrast(vectors, labels, aggregate="mean", **options)
        assert means.item() == pytest.approx(math.log1p(math.exp(-gap)), rel=1e-10)
        raw = negative_dominant_contrast(vectors, labels, dissimilarity="raw", **options)
        assert raw.item() == pytest.approx(0, abs=1e-14)


def test_two_views_of_every_class_make_the_two_forms_and_info_nce_one(tailed_batch):
    """With one positive an anchor there is nothing to average; InfoNCE and SupCon have the same denominator."""
    vectors, *_ = tailed_batch(0, size=12)
    labels = torch.arange(6).repeat(2)
    values = [
        supcon(vectors, labels, form="out", tau=0.3),
        supcon(vectors, labels, form="in", tau=0.3),
        info_nce(vectors, labels, tau=0.3),
    ]
    cosines = torch.nn.functional.normalize(vectors, dim=1)
    scores = (cosines @ cosines.T / 0.3).fill_diagonal_(-torch.inf)
    expected = torch.nn.functional.cross_entropy(scores, torch.arange(12).roll(6))  # SimCLR's loss
    for value in values:
        assert value.item() == pytest.approx(expected.item(), rel=1e-13)


def test_the_mean_inside_the_logarithm_is_never_above(tailed_batch):
    for seed in range(20):
        vectors, labels, *_ = tailed_batch(seed)
        assert supcon(vectors, labels, form="in") <= supcon(vectors, labels, form="out") + 1e-14


@pytest.mark.parametrize("tau", [1.0, 0.2])
def test_full_batch_losses_are_the_convex_programs(tau):
    """Samples collapsed to class means of any Gram matrix, counts 6, 3, 2, 1."""
    rng = np.random.default_rng(0)
    counts = np.array([6, 3, 2, 1])
    means = rng.normal(size=(4, 3))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    labels = torch.arange(4).repeat_interleave(torch.tensor(counts))
    vectors = torch.tensor(means)[labels]
    pi, gram = counts / counts.sum(), means @ means.T
    for q in (1.0, 4.0):
        found = info_nce(vectors, labels, tau=tau, q=q, include_anchor=True)
        assert found.item() == pytest.approx(Program(pi, InfoNCE(q), tau).value(gram), rel=1e-12)
    found = supcon(vectors, labels, tau=tau, include_anchor=True) - math.log(counts.sum())
    assert found.item() == pytest.approx(Program(pi, LogMeanExp(), tau, collisions=True).value(gram), rel=1e-12)


def test_one_positive_and_one_negative_make_info_nce_and_the_dominant_contrast_one(tailed_batch):
    """``e^{1-p} / e^{1-n} = e^{n-p}``: only with several of them does the place of the negatives matter."""
    vectors, _, _, negatives, _ = tailed_batch(0, size=4)
    labels, wanted = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1])
    made = {"negatives": negatives[:2], "negative_labels": wanted}
    ndcl = negative_dominant_contrast(vectors, labels, **made)
    assert ndcl.item() == pytest.approx(info_nce(vectors, labels, tau=1.0, **made).item(), rel=1e-13)


def test_sums_see_how_many_negatives_there_are_and_means_do_not(tailed_batch):
    vectors, labels, _, negatives, wanted = tailed_batch(1)
    once, twice = (negatives, wanted), (negatives.repeat(2, 1), wanted.repeat(2))
    mean = [negative_dominant_contrast(vectors, labels, *made, aggregate="mean").item() for made in (once, twice)]
    total = [negative_dominant_contrast(vectors, labels, *made).item() for made in (once, twice)]
    assert mean[0] == pytest.approx(mean[1], rel=1e-13)
    assert total[1] < total[0]


def test_raw_contrast_with_negatives_on_the_anchor_stays_finite():
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    loss = negative_dominant_contrast(vectors, torch.tensor([0, 0, 1]), dissimilarity="raw")
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()
    assert loss > 1


def test_singletons_are_left_out_of_info_nce_and_supcon_unless_anchors_are_their_own_positives(tailed_batch):
    vectors, *_ = tailed_batch(0, size=5)
    labels, alone = torch.tensor([0, 0, 1, 1, 2]), torch.arange(5)
    for loss in (info_nce, supcon):
        assert loss(vectors, alone).item() == 0
        assert loss(vectors, alone, include_anchor=True).item() > 0
        for reduction in REDUCTIONS:  # the singleton repels the others, but has no loss of its own
            assert loss(vectors, labels, anchor_reduction=reduction) > loss(vectors[:4], labels[:4])


@pytest.mark.parametrize(
    ("loss", "options", "words"),
    [
        (info_nce, {"tau": 0.0}, "temperature"),
        (supcon, {"tau": -1.0}, "temperature"),
        (negative_dominant_contrast, {"tau": float("nan")}, "temperature"),
        (info_nce, {"q": 0.0}, "positive weight"),
        (info_nce, {"q": "full"}, "'full'"),
        (supcon, {"form": "both"}, "out, in"),
        (supcon, {"anchor_reduction": "domain"}, "sample, class"),
        (negative_dominant_contrast, {"dissimilarity": "log"}, "exp, raw"),
        (negative_dominant_contrast, {"aggregate": "max"}, "sum, mean"),
        (info_nce, {"negatives": torch.eye(2)}, "negative_labels"),
    ],
)
def test_bad_options_are_one_sentence(loss, options, words):
    with pytest.raises(UsageError, match=words):
        loss(torch.eye(2), torch.tensor([0, 1]), **options)
