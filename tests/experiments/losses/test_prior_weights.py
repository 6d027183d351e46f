"""Weights per (domain, class): each rule against its formula, limits, empty cells."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.losses.prior_weights import inverse_frequency_weights, prior_weights
from geometry.errors import UsageError

COUNTS = [[283, 580, 38, 9, 101, 1, 4], [1, 0, 3, 0, 0, 0, 7], [0] * 7]
RAW = {
    "none": lambda n: 1.0,
    "inverse": lambda n: 1 / n,
    "released": lambda n: 1 / n,
    "sqrt": lambda n: 1 / math.sqrt(n),
    "effective": lambda n: (1 - 0.99) / (1 - 0.99**n),
}


@pytest.mark.parametrize("rule", RAW)
def test_equals_its_formula(rule):
    found = prior_weights(COUNTS, rule, beta=0.99)
    assert found.dtype == torch.float32
    for row, counts in zip(found.tolist(), COUNTS, strict=True):
        held = [RAW[rule](n) for n in counts if n]
        expected = [RAW[rule](n) * len(held) / sum(held) if n else 0.0 for n in counts]
        assert row == pytest.approx(expected, rel=1e-6)


def test_released_is_the_table_that_training_already_uses():
    assert torch.equal(prior_weights(COUNTS), inverse_frequency_weights(COUNTS))


def test_effective_number_runs_from_none_to_inverse():
    table = np.array(COUNTS)
    near_one = prior_weights(table, "effective", beta=1 - 1e-14)
    torch.testing.assert_close(near_one, prior_weights(table, "inverse"), rtol=1e-5, atol=0)
    near_zero = prior_weights(table, "effective", beta=1e-12)
    torch.testing.assert_close(near_zero, prior_weights(table, "none"), rtol=1e-6, atol=0)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), min_size=1, max_size=4),
    st.sampled_from(sorted(RAW)),
)
def test_mean_one_over_held_classes_and_rarer_is_never_lighter(counts, rule):
    weights = prior_weights(counts, rule).double().numpy()
    for row, mine in zip(weights, np.array(counts), strict=True):
        held = mine > 0
        assert np.all(row[~held] == 0)
        if held.any():
            assert row[held].mean() == pytest.approx(1, rel=1e-5)
            assert np.all(np.diff(row[held][np.argsort(mine[held])]) <= 1e-6)


def test_bad_rules_are_one_sentence():
    with pytest.raises(UsageError, match="none, released, inverse, sqrt, effective"):
        prior_weights(COUNTS, "cube")
    for beta in (0.0, 1.0, float("nan")):
        with pytest.raises(UsageError, match="beta"):
            prior_weights(COUNTS, "effective", beta=beta)
