"""The repelling term against loops over anchors."""

import itertools
import math

import numpy as np
import pytest
import torch

from experiments.losses.fixclr import repel_only
from geometry.errors import UsageError
from geometry.frames import simplex_etf


def mean_points(vectors, labels, domains, level):
    """Anchors as (unit vector, class, domain): samples, or normalised means of the normalised samples."""
    units = vectors / vectors.norm(dim=1, keepdim=True)
    points = [(units[i], int(labels[i]), int(domains[i])) for i in range(len(labels))]
    if level == "sample":
        return points
    cells = {}
    for vector, k, d in points:
        cells.setdefault((k, d if level == "domain-class" else 0), []).append(vector)
    return [(torch.stack(rows).mean(0), k, d) for (k, d), rows in cells.items()]


@pytest.mark.parametrize("level", ["sample", "class", "domain-class"])
@pytest.mark.parametrize("aggregate", ["sum", "mean"])
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("reduction", ["sample", "class"])
def test_equals_its_formula(tailed_batch, cosine, mean_over_anchors, level, aggregate, across, trusted, reduction):
    if level == "class" and across:
        return
    for seed, tau in itertools.product(range(3), (1.0, 0.1)):
        vectors, labels, domains, *_ = tailed_batch(seed)
        kept = torch.tensor(np.random.default_rng(seed).random(len(labels)) < 0.7) if trusted else None
        on = kept if trusted else torch.ones(len(labels), dtype=torch.bool)
        points = mean_points(vectors[on], labels[on], domains[on], level)
        losses = {}
        for i, (x, k, d) in enumerate(points):
            found = [math.exp(cosine(x, z) / tau) for z, c, e in points if c != k and (not across or e != d)]
            if found:
                losses[i] = math.log(math.fsum(found) / (len(found) if aggregate == "mean" else 1))
        expected = mean_over_anchors(losses, [k for _, k, _ in points], reduction)
        value = repel_only(
            vectors, labels, tau=tau, domains=domains, kept=kept, level=level, aggregate=aggregate,
            other_domains_only=across, anchor_reduction=reduction,
        )  # fmt: skip
        assert value.item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("level", ["sample", "class"])
def test_value_at_the_simplex(level):
    etf = torch.tensor(simplex_etf(5))
    labels = torch.arange(5).repeat_interleave(torch.tensor([7, 4, 2, 1, 1]))
    value = repel_only(etf[labels], labels, tau=0.2, aggregate="mean", level=level)
    assert value.item() == pytest.approx(-1 / (4 * 0.2), rel=1e-12)


def test_positives_and_untrusted_samples_have_no_gradient(tailed_batch):
    vectors, *_ = tailed_batch(0, size=5)
    vectors.requires_grad_(True)
    labels, kept = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([True, True, True, True, False])
    (gradient,) = torch.autograd.grad(repel_only(vectors, labels, kept=kept), vectors)
    assert gradient[4].abs().max() == 0
    assert gradient[:4].abs().min() > 0
    one_class = repel_only(vectors, torch.zeros(5, dtype=torch.int64))
    (gradient,) = torch.autograd.grad(one_class, vectors)
    assert one_class.item() == 0
    assert gradient.abs().max() == 0


def test_nothing_trusted_is_zero():
    for level in ("sample", "class", "domain-class"):
        vectors = torch.eye(3, requires_grad=True)
        nothing = torch.zeros(3, dtype=torch.bool)
        loss = repel_only(vectors, torch.arange(3), domains=torch.arange(3), kept=nothing, level=level)
        loss.backward()
        assert loss.item() == 0
        assert vectors.grad.abs().max() == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level": "domain-class"}, "domains"),
        ({"other_domains_only": True}, "domains"),
        ({"level": "class", "other_domains_only": True, "domains": torch.tensor([0, 1])}, "no domain"),
        ({"level": "image"}, "sample, class, domain-class"),
        ({"aggregate": "max"}, "sum, mean"),
    ],
)
def test_bad_options_are_one_sentence(options, words):
    with pytest.raises(UsageError, match=words):
        repel_only(torch.eye(2), torch.tensor([0, 1]), **options)
