"""Sums and means over the marked entries of rows, and over anchors."""

import math

import pytest
import torch

from experiments.losses.pairs import contrast_pairs, masked_logsumexp, masked_mean, reduce_anchors, softplus


def test_masked_sums_and_means_read_the_marked_entries_alone():
    values = torch.tensor([[1.0, 2.0, 1e30], [3.0, -torch.inf, 5.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert masked_logsumexp(values, mask).tolist() == pytest.approx([math.log(math.e + math.e**2), 3.0])
    assert masked_mean(values, mask).tolist() == [1.5, 3.0]


def test_rows_without_a_mark_give_no_gradient_and_no_nan_on_the_way():
    values = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    mask = torch.tensor([[True] * 4, [False] * 4, [False, True, True, False]])
    with torch.autograd.set_detect_anomaly(True):
        sums = masked_logsumexp(values, mask)
        (gradient,) = torch.autograd.grad(sums.exp().sum() + masked_mean(values, mask).sum(), values)
    assert sums[1] == -torch.inf
    assert gradient[1].abs().max() == 0
    assert gradient[2, [0, 3]].abs().max() == 0
    assert gradient[mask].abs().min() > 0


def test_softplus_is_exact_and_takes_minus_infinity():
    x = torch.tensor([-torch.inf, -50.0, 0.0, 19.0, 21.0, 39.0, 41.0, 800.0], dtype=torch.float64, requires_grad=True)
    expected = [
        0.0,
        math.exp(-50),
        math.log(2),
        *(z + math.log1p(math.exp(-z)) for z in (19.0, 21.0, 39.0, 41.0, 800.0)),
    ]
    assert softplus(x).tolist() == pytest.approx(expected, rel=1e-15)
    (gradient,) = torch.autograd.grad(softplus(x).sum(), x)
    assert gradient.tolist() == pytest.approx([0.0, math.exp(-50), *(1 / (1 + math.exp(-z)) for z in x.tolist()[2:])])


def test_anchors_that_do_not_count_count_nowhere():
    """Class 0 counts two of three anchors, class 1 one of one, class 2 none."""
    labels, counted = torch.tensor([0, 0, 0, 1, 2]), torch.tensor([True, False, True, True, False])
    losses = torch.tensor([1.0, torch.nan, 3.0, 5.0, torch.inf])
    assert reduce_anchors(losses, labels, counted, "sample").item() == 3.0
    assert reduce_anchors(losses, labels, counted, "class").item() == 3.5
    nothing = torch.zeros(5, dtype=torch.bool)
    assert reduce_anchors(losses, labels, nothing, "class").item() == 0
    assert reduce_anchors(losses, labels, nothing, "sample").item() == 0


def test_negatives_made_for_a_class_meet_that_class_alone():
    labels, wanted = torch.tensor([0, 1]), torch.tensor([1.0, 0.0, 1.0])  # labels of mixes may be floats
    made = contrast_pairs(torch.eye(2), labels, negatives=torch.ones(3, 2), negative_labels=wanted)
    assert made.negative.tolist() == [[False, True, False], [True, False, True]]
    both = contrast_pairs(
        torch.eye(2), labels, negatives=torch.ones(3, 2), negative_labels=wanted, batch_negatives=True
    )
    assert both.negative.tolist() == [[False, True, False, True, False], [True, False, True, False, True]]
    assert both.negative_cosine.shape == (2, 5)
