"""BCL and ECL's equal contributions against loops written from the formulas; values and balance."""

import itertools
import math

import numpy as np
import pytest
import torch

from experiments.losses.balanced_contrast import balanced_contrast
from geometry.errors import UsageError
from geometry.frames import simplex_etf

EXACT = {"rel": 1e-12, "abs": 1e-12}
REDUCTIONS = ("sample", "class")


def bcl_anchor(score, labels, i, num_classes):
    """-1/(|B_y|+1) sum_{q in B_y u p_y} [s/tau - log D_i], D_i = sum_c 1/(|B_c|+1) sum_{q in B_c u p_c} e^{s/tau}."""

    def members(c):
        return [q for q in range(len(labels)) if labels[q] == c and q != i] + [("p", c)]

    log_d = math.log(
        math.fsum(math.fsum(math.exp(score(i, q)) for q in members(c)) / len(members(c)) for c in range(num_classes))
    )
    mine = members(int(labels[i]))
    return -math.fsum(score(i, q) - log_d for q in mine) / len(mine)


def shared_anchor(score, labels, i, num_classes, share, denominator):
    """The same with a fixed prototype share; D_i joint, or one for samples and one for prototypes."""

    def members(c):
        return [q for q in range(len(labels)) if labels[q] == c and q != i]

    sample_sum = math.fsum(
        math.fsum(math.exp(score(i, q)) for q in members(c)) / len(members(c)) for c in range(num_classes) if members(c)
    )
    prototype_sum = math.fsum(math.exp(score(i, ("p", c))) for c in range(num_classes))
    if denominator == "joint":
        log_samples = log_prototypes = math.log((1 - share) * sample_sum + share * prototype_sum)
    else:
        log_samples, log_prototypes = (math.log(s) if s else None for s in (sample_sum, prototype_sum))
    y = int(labels[i])
    loss = -share * (score(i, ("p", y)) - log_prototypes)
    if members(y):
        loss -= (1 - share) * math.fsum(score(i, q) - log_samples for q in members(y)) / len(members(y))
    return loss


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("tau", [1.0, 0.07])
@pytest.mark.parametrize(
    ("share", "denominator"),
    [("bcl", "joint"), *itertools.product(["equal", 0.2, 1.0], ["joint", "separate"])],
)
def test_equals_its_formula(tailed_batch, cosine, mean_over_anchors, reduction, tau, share, denominator):
    for seed in range(4):
        vectors, labels, _, prototypes, _ = tailed_batch(seed, made=6)

        def score(i, q, vectors=vectors, prototypes=prototypes):
            return cosine(vectors[i], prototypes[q[1]] if isinstance(q, tuple) else vectors[q]) / tau

        if share == "bcl":
            losses = {i: bcl_anchor(score, labels, i, 6) for i in range(len(labels))}
        else:
            number = 0.5 if share == "equal" else share
            losses = {i: shared_anchor(score, labels, i, 6, number, denominator) for i in range(len(labels))}
        value = balanced_contrast(
            vectors, labels, prototypes, tau=tau, prototype_share=share, denominator=denominator,
            anchor_reduction=reduction,
        )  # fmt: skip
        assert value.item() == pytest.approx(mean_over_anchors(losses, labels, reduction), **EXACT)


def test_separate_denominators_of_one_share_are_the_two_losses_weighted(tailed_batch):
    """With equal class sizes bcl's share is one number, so the general formula applies."""
    vectors, _, _, prototypes, _ = tailed_batch(0, size=12, made=4)
    labels = torch.arange(4).repeat(3)
    bcl, third = (
        balanced_contrast(vectors, labels, prototypes, prototype_share=share, denominator="separate")
        for share in ("bcl", 1 / 3)
    )
    assert bcl.item() == pytest.approx(third.item(), rel=1e-13)


@pytest.mark.parametrize("share", ["bcl", "equal", 0.9])
@pytest.mark.parametrize("denominator", ["joint", "separate"])
@pytest.mark.parametrize("counts", [[3, 3, 3], [9, 4, 2]])
def test_value_at_the_simplex_sees_no_class_sizes(share, denominator, counts):
    """log(1 + (C-1) e^{-C/((C-1) tau)}), the softmax of one vector a class, whatever the counts."""
    etf = torch.tensor(simplex_etf(3))
    labels = torch.arange(3).repeat_interleave(torch.tensor(counts))
    for tau in (1.0, 0.1):
        value = balanced_contrast(etf[labels], labels, etf, tau=tau, prototype_share=share, denominator=denominator)
        assert value.item() == pytest.approx(math.log1p(2 * math.exp(-1.5 / tau)), rel=1e-9)


def test_prototypes_alone_are_a_softmax_over_prototypes(tailed_batch):
    vectors, labels, _, prototypes, _ = tailed_batch(3, made=6)
    unit = torch.nn.functional.normalize
    logits = unit(vectors, dim=1) @ unit(prototypes, dim=1).T / 0.2
    expected = torch.nn.functional.cross_entropy(logits, labels)
    for denominator in ("joint", "separate"):
        value = balanced_contrast(vectors, labels, prototypes, tau=0.2, prototype_share=1.0, denominator=denominator)
        assert value.item() == pytest.approx(expected.item(), rel=1e-13)


def test_class_mean_of_anchors_keeps_the_simplex_where_the_sample_mean_does_not():
    """The gradient at the simplex of an imbalanced full batch: zero along the sphere, or not."""
    etf = torch.tensor(simplex_etf(4))
    labels = torch.arange(4).repeat_interleave(torch.tensor([12, 5, 3, 2]))
    for share in ("bcl", "equal"):
        norms = {}
        for reduction in REDUCTIONS:
            means = etf.clone().requires_grad_(True)
            loss = balanced_contrast(
                means[labels], labels, means, tau=0.5, prototype_share=share, anchor_reduction=reduction
            )
            (gradient,) = torch.autograd.grad(loss, means)
            norms[reduction] = gradient.norm().item()
        assert norms["class"] < 1e-14
        assert norms["sample"] > 1e-2


def test_one_sample_pulls_to_its_prototype_alone():
    x = torch.tensor([[1.0, 1.0]], dtype=torch.float64, requires_grad=True)
    prototypes = torch.eye(2, dtype=torch.float64)
    for denominator in ("joint", "separate"):
        loss = balanced_contrast(x, torch.tensor([0]), prototypes, tau=1.0, denominator=denominator)
        (gradient,) = torch.autograd.grad(loss, x)
        assert loss.item() == pytest.approx(math.log(2))
        assert gradient[0, 0] < 0 < gradient[0, 1]


@pytest.mark.parametrize("share", [0.0, 1.5, float("nan"), "half"])
def test_share_outside_its_range_is_refused(share):
    with pytest.raises(UsageError, match="prototype_share"):
        balanced_contrast(torch.eye(2), torch.tensor([0, 1]), torch.eye(2), prototype_share=share)


def test_unknown_denominator_is_refused():
    with pytest.raises(UsageError, match="joint, separate"):
        balanced_contrast(torch.eye(2), torch.tensor([0, 1]), torch.eye(2), denominator="none")


def test_counts_of_the_shares_named_in_the_text():
    """A prototype among 1, 2, 5, 20 others of its class has share 0.50, 0.33, 0.17, 0.05 of it in BCL."""
    for others, share in ((1, 0.50), (2, 0.33), (5, 0.17), (20, 0.05)):
        labels = torch.zeros(others + 1, dtype=torch.int64)
        prototype = torch.tensor([[0.0, 1.0]], dtype=torch.float64, requires_grad=True)
        vectors = torch.tensor([[1.0, 0.0]], dtype=torch.float64).repeat(others + 1, 1)
        # One class: D_i sums e^0 with the prototype's share and e^1 with the samples' share.
        expected = math.log(share_of(others) + (1 - share_of(others)) * math.e) - (1 - share_of(others))
        loss = balanced_contrast(vectors, labels, prototype, tau=1.0)
        assert loss.item() == pytest.approx(expected, rel=1e-12)
        assert np.round(share_of(others), 2) == share


def share_of(others):
    return 1 / (others + 1)
