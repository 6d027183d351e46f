"""Which samples are mixed: the documented rules on batches small enough to work out by hand, and invariants."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.losses.hard_negatives import allocate, plan_hard_negatives
from experiments.losses.prior_weights import inverse_frequency_weights


def random_probs(size, num_classes, rng):
    return rng.dirichlet(np.full(num_classes, 0.5), size)


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 60), st.integers(2, 40), st.integers(0, 2**31))
def test_plan_invariants(size, num_classes, seed):
    rng = np.random.default_rng(seed)
    probs, labels = random_probs(size, num_classes, rng), rng.integers(0, num_classes, size)
    plan = plan_hard_negatives(probs, labels, rho=0.2, rng=rng)
    classes, counts = np.unique(labels, return_counts=True)
    if classes.size == 1:
        assert plan is None
        return
    assert np.array_equal(labels[plan.positive], plan.labels)
    assert not np.any(labels[plan.negative] == plan.labels)
    assert not np.any(labels[plan.other] == plan.labels)
    assert np.all((plan.lam >= 0) & (plan.lam <= 1) & (plan.mu >= 0) & (plan.mu <= 1))
    needed = dict(zip(classes.tolist(), allocate(counts, size).tolist(), strict=True))
    made = dict(zip(*(column.tolist() for column in np.unique(plan.labels, return_counts=True)), strict=True))
    assert made == needed


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=40))
def test_allocation_follows_the_released_rule_but_leaves_no_class_out(counts):
    counts = np.array(counts)
    total = int(counts.sum())
    found = allocate(counts, total)
    share = np.exp(counts / total) / np.exp(counts / total).sum()
    assert found.min() >= 1
    assert np.all(np.abs(found - share * total) <= 1 + 1e-6)


def test_allocation_of_forty_different_labels_was_a_released_defect():
    assert allocate(np.ones(40, dtype=np.int64), 40).tolist() == [1] * 40


def test_low_confidence_positives_meet_high_confidence_negatives():
    """Class 0: eight positives, negatives 8 and 9 take class 0 for likely (>= 2/K = 1/2)."""
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.9, 0.6, 0.1, 0.05])
    probs = np.column_stack([confidence] + [(1 - confidence) / 3] * 3)
    labels = np.array([0] * 8 + [1, 1, 2, 2])
    plan = plan_hard_negatives(probs, labels, rho=0.2, rng=np.random.default_rng(0))
    mine = plan.labels == 0
    # Allocation 5 of 12 exceeds 2 positives x 2 negatives; 5/2 -> 3 each, 3/2 >= 1/4: the two likely ones, mixed on.
    assert allocate(np.array([8, 2, 2]), 12)[0] == mine.sum() == 6
    assert set(plan.positive[mine]) == {6, 7}
    assert set(plan.negative[mine]) == {8, 9}
    assert np.unique(plan.lam).size == 1
    assert np.all(plan.mu[mine][:4] == 1)
    assert np.all(plan.mu[mine][4:] < 1)


def test_single_sample_redraws_its_coefficient_every_round():
    probs = np.full((4, 5), 0.2)
    probs[1:, 0] = [0.19, 0.19, 0.19]
    labels = np.array([0, 1, 1, 1])
    plan = plan_hard_negatives(probs, labels, rho=0.5, rng=np.random.default_rng(1))
    mine = plan.labels == 0
    assert set(plan.positive[mine]) == {0}
    assert np.unique(plan.lam[mine]).size == mine.sum()  # one negative a round


def test_mix_is_the_stated_combination():
    rng = np.random.default_rng(3)
    probs, labels = random_probs(12, 4, rng), rng.integers(0, 4, 12)
    plan = plan_hard_negatives(probs, labels, rho=0.2, rng=rng)
    images = torch.rand(12, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mixed = plan.mix(images)
    for m in range(len(plan.labels)):
        negative = plan.mu[m] * images[plan.negative[m]] + (1 - plan.mu[m]) * images[plan.other[m]]
        torch.testing.assert_close(mixed[m], plan.lam[m] * images[plan.positive[m]] + (1 - plan.lam[m]) * negative)


def test_same_seed_same_plan():
    rng = np.random.default_rng(4)
    probs, labels = random_probs(20, 5, rng), rng.integers(0, 5, 20)
    first = plan_hard_negatives(probs, labels, rho=0.2, rng=np.random.default_rng(7))
    second = plan_hard_negatives(probs, labels, rho=0.2, rng=np.random.default_rng(7))
    for name in ("positive", "negative", "other", "lam", "mu", "labels"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_inverse_frequency_weights_of_pacs_total_heavy_tail():
    """Target art_painting, source sketch, published counts: house 4.99, person 1.25, elephant 0.009."""
    weights = inverse_frequency_weights([[283, 580, 38, 9, 101, 1, 4]])[0]
    assert weights[5].item() == pytest.approx(4.99, abs=0.005)
    assert weights[6].item() == pytest.approx(1.25, abs=0.005)
    assert weights[1].item() == pytest.approx(0.009, abs=0.0005)


def test_empty_cells_have_zero_weight_and_leave_the_rest_alone():
    weights = inverse_frequency_weights([[1, 0, 3], [0, 0, 0]])
    assert weights[0].tolist() == pytest.approx([1.5, 0.0, 0.5])
    assert weights[1].tolist() == [0, 0, 0]
