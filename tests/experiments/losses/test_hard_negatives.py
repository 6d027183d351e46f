"""Which samples are mixed: whole plans against a slow oracle, batches worked out by hand, and invariants."""

from decimal import ROUND_CEILING, Decimal, localcontext
from itertools import count

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from experiments.losses import hard_negatives
from experiments.losses.hard_negatives import allocate, plan_hard_negatives
from experiments.losses.prior_weights import inverse_frequency_weights
from geometry.errors import UsageError


def random_probs(size, num_classes, rng):
    return rng.dirichlet(np.full(num_classes, 0.5), size)


def exact_allocation(counts, total):
    """The stated rule in sixty digits: differences of cumulative ceilings of total * softmax(n_k / n), at least 1."""
    with localcontext() as context:
        context.prec = 60
        weights = [(Decimal(n) / sum(counts)).exp() for n in counts]
        needs, before, cumulative = [], 0, Decimal(0)
        for weight in weights:
            cumulative += weight
            # A share that is an integer in exact arithmetic is off by less than 1e-40 here.
            edge = total * cumulative / sum(weights) - Decimal("1e-40")
            until = int(edge.to_integral_value(ROUND_CEILING))
            needs.append(max(1, until - before))
            before = until
    return needs


class ScriptedGenerator:
    """Stands in for a Generator: beta gives 1/2, 1/3, 1/4, ...; permutations reverse and shift by one in turn."""

    def __init__(self, rho):
        self.rho, self.shares, self.permutations = rho, (1 / n for n in count(2)), 0

    def beta(self, a, b):
        assert a == b == self.rho
        return next(self.shares)

    def permutation(self, values):
        self.permutations += 1
        return values[::-1] if self.permutations % 2 else np.roll(values, -1)


def negatives_of_one_positive(need, likely, possible, everyone):
    def lasts(chosen):
        return 3 * chosen >= need

    half = everyone // 2
    if lasts(likely) and lasts(half):
        return min(likely, half)
    return next((chosen for chosen in (likely, half, possible) if lasts(chosen)), everyone)


def pairs_of_several_positives(need, samples, likely, possible, everyone):
    """Positives used, negatives used, whether rounds after the first mix the negatives."""
    for quarters in (1, 2, 3):
        rows = -(-samples * quarters // 4)
        if rows < 2:
            continue
        each = -(-need // rows)
        for chosen in (likely, possible):
            if chosen * rows >= need:
                return rows, chosen, False
        for chosen in (likely, possible):
            if 0 < chosen <= 4 * each:
                return rows, chosen, True
    return rows, min(everyone, each), True


def oracle_plan(probs, labels, needs):
    """The plan under ScriptedGenerator, one tuple (positive, negative, other, lam, mu, label) per mix."""
    shares = (1 / n for n in count(2))
    batch_lam, num_classes, plan = next(shares), len(probs[0]), []
    for k, need in zip(sorted(set(labels)), needs, strict=True):
        members = sorted((i for i, y in enumerate(labels) if y == k), key=lambda i: probs[i][k])
        rivals = sorted((i for i, y in enumerate(labels) if y != k), key=lambda i: -probs[i][k])
        likely = sum(1 for i in rivals if probs[i][k] >= 2 / num_classes)
        possible = sum(1 for i in rivals if probs[i][k] >= 1 / num_classes)
        alone = len(members) == 1
        if alone:
            rows, chosen, remix = 1, negatives_of_one_positive(need, likely, possible, len(rivals)), False
        else:
            rows, chosen, remix = pairs_of_several_positives(need, len(members), likely, possible, len(rivals))
        chosen = rivals[:chosen]
        shifted = chosen[1:] + chosen[:1]
        mine, lam, mu, first, other = [], batch_lam, 1.0, chosen, chosen
        while len(mine) < need:
            if mine and alone:
                lam = next(shares)
            if mine and remix:
                mu, first, other = next(shares), chosen[::-1], shifted
            for positive in members[:rows]:
                for a, b in zip(first, other, strict=True):
                    mine.append((positive, a, b, lam, mu, k))
        plan += mine[:need]
    return plan


def random_batch(rng):
    """Predictions one-hot to flat, often with favourite classes, some tied at j/K; labels even or not."""
    size, num_classes = int(rng.integers(2, 61)), int(rng.integers(2, 41))
    concentration = rng.choice([0.03, 0.3, 1.0, 3.0, 30.0])
    favour = rng.lognormal(0, rng.choice([0.0, 1.0, 2.0]), num_classes)
    probs = rng.dirichlet(np.maximum(concentration * favour, 0.01), size)
    if rng.random() < 0.3:
        probs = rng.multinomial(num_classes, probs) / num_classes
    prior = rng.dirichlet(np.full(num_classes, rng.choice([0.1, 1.0, 30.0])))
    return probs, rng.choice(num_classes, size, p=prior)


def assert_plan_equals_oracle(probs, labels, needs):
    plan = plan_hard_negatives(probs, labels, rho=0.3, rng=ScriptedGenerator(0.3))
    columns = (plan.positive, plan.negative, plan.other, plan.lam, plan.mu, plan.labels)
    found = list(zip(*(column.tolist() for column in columns), strict=True))
    assert found == oracle_plan(probs.tolist(), labels.tolist(), needs)


@pytest.mark.parametrize("seed", range(10))
def test_whole_plans_equal_the_oracle(seed):
    rng = np.random.default_rng(seed)
    for _ in range(30):
        probs, labels = random_batch(rng)
        classes, counts = np.unique(labels, return_counts=True)
        if classes.size == 1:
            assert plan_hard_negatives(probs, labels, rho=0.3, rng=ScriptedGenerator(0.3)) is None
        else:
            assert_plan_equals_oracle(probs, labels, exact_allocation(counts.tolist(), len(labels)))


@pytest.mark.parametrize("seed", range(10))
def test_whole_plans_equal_the_oracle_for_any_allocation(seed, monkeypatch):
    """The released allocation never asks a class of one sample for enough to run short of negatives; this does."""
    rng = np.random.default_rng(100 + seed)
    for _ in range(30):
        probs, labels = random_batch(rng)
        classes = np.unique(labels)
        if classes.size > 1:
            needs = rng.integers(1, rng.choice([4, 40, 4 * len(labels) + 1]), classes.size)
            monkeypatch.setattr(hard_negatives, "allocate", lambda counts, total, needs=needs: needs)
            assert_plan_equals_oracle(probs, labels, needs.tolist())


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
    made, numbers = np.unique(plan.labels, return_counts=True)
    assert made.tolist() == classes.tolist()
    assert numbers.tolist() == exact_allocation(counts.tolist(), size)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=40), st.integers(1, 200))
@example([1, 2, 1, 2], 6)  # the middle edge is exactly 3
@example([7] * 40, 40)  # every edge is an integer
@example([30, 1, 1, 1, 1, 1], 3)  # more classes than negatives wanted
def test_allocation_is_the_exact_rule(counts, total):
    assert allocate(np.array(counts), total).tolist() == exact_allocation(counts, total)


def test_allocation_of_forty_different_labels_was_a_released_defect():
    assert allocate(np.ones(40, dtype=np.int64), 40).tolist() == [1] * 40


def test_low_confidence_positives_meet_high_confidence_negatives():
    """Class 0: eight positives, negatives 8 and 9 take class 0 for likely (>= 2/K = 1/2)."""
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.9, 0.6, 0.1, 0.05])
    probs = np.column_stack([confidence] + [(1 - confidence) / 3] * 3)
    labels = np.array([0] * 8 + [1, 1, 2, 2])
    plan = plan_hard_negatives(probs, labels, rho=0.2, rng=np.random.default_rng(0))
    mine = plan.labels == 0
    # Allocation 6 of 12 exceeds 2 positives x 2 negatives; 6/2 = 3 each, 3/2 >= 1/4: the two likely ones, mixed on.
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


def test_one_coefficient_a_pair_changes_the_mix_and_not_the_pairs():
    rng = np.random.default_rng(5)
    probs, labels = random_probs(40, 4, rng), rng.integers(0, 4, 40)
    batch, pair = (
        plan_hard_negatives(probs, labels, rho=0.3, rng=np.random.default_rng(9), coefficient=coefficient)
        for coefficient in ("batch", "pair")
    )
    first_round = batch.mu == 1  # later rounds draw their negatives afresh, from the same stream
    for name in ("positive", "negative", "other", "labels"):
        assert np.array_equal(getattr(batch, name), getattr(pair, name))
    assert np.unique(batch.lam).size == 1
    assert np.unique(pair.lam).size == len(pair.lam) > 10
    assert np.all(pair.mu[first_round] == 1)
    assert np.all((pair.lam > 0) & (pair.lam < 1))


def test_coefficients_of_pairs_follow_their_beta_law():
    rng = np.random.default_rng(6)
    probs, labels = random_probs(4000, 3, rng), rng.integers(0, 3, 4000)
    lam = plan_hard_negatives(probs, labels, rho=0.2, rng=rng, coefficient="pair").lam
    assert abs(lam.mean() - 0.5) < 0.03
    assert abs(lam.var() - 0.25 / 1.4) < 0.01  # 1 / (4 (2 rho + 1))


def test_unknown_coefficient_is_one_sentence():
    with pytest.raises(UsageError, match="batch, pair"):
        plan_hard_negatives(np.eye(2), np.array([0, 1]), rho=0.2, rng=np.random.default_rng(0), coefficient="class")
