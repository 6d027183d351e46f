from itertools import permutations

import numpy as np
import pytest
from scipy.stats import spearmanr

from geometry.bound.model_permutation import permute_models

BLOCK, MODEL = (grid.ravel() for grid in np.meshgrid(np.arange(6), np.arange(5), indexing="ij"))
CELL = BLOCK // 3
RNG = np.random.default_rng(0)
ERROR = RNG.normal(size=5)[MODEL] + RNG.normal(size=6)[BLOCK] + 0.3 * RNG.normal(size=30)
TERM = RNG.normal(size=5)[MODEL] + 0.3 * RNG.normal(size=30)


def permuted(term, outcome=ERROR, model=MODEL, seed=0, draws=2000):
    rng = np.random.default_rng(seed)
    return permute_models(term, outcome, blocks=BLOCK, cells=CELL, models=model, permutations=draws, rng=rng)


def within(term, outcome=ERROR):
    return np.mean([spearmanr(term[c == CELL], outcome[c == CELL]).statistic for c in (0, 1)])


def test_against_every_permutation_carried_out():
    found = permuted(TERM)
    assert found.statistic == pytest.approx(within(TERM))
    table = TERM.reshape(6, 5)
    every = [abs(within(table[:, list(order)].ravel())) for order in permutations(range(5))]
    exact = np.mean(np.asarray(every) >= abs(found.statistic) - 1e-12)
    assert found.p_value == pytest.approx(exact, abs=0.04)
    assert (found.models, found.blocks) == (5, 6)


def test_a_planted_term_is_found_and_rows_may_come_in_any_order():
    assert permuted(ERROR).p_value < 0.03
    order = RNG.permutation(30)
    rng = np.random.default_rng(0)
    found = permute_models(
        TERM[order], ERROR[order], blocks=BLOCK[order], cells=CELL[order], models=MODEL[order], permutations=50, rng=rng
    )
    assert found.statistic == pytest.approx(permuted(TERM).statistic)


def test_a_term_of_features_alone_is_constant():
    found = permuted(BLOCK.astype(float))
    assert found.constant
    assert np.isnan(found.p_value)


def test_splits_that_lack_a_model_are_left_out():
    holes = np.where((BLOCK == 1) & (MODEL == 2), np.nan, TERM)
    assert permuted(holes).blocks == 5
    assert "every model" in permuted(np.where(MODEL == BLOCK % 5, np.nan, TERM)).note
    assert "fewer than 4" in permuted(np.where(MODEL < 3, TERM, np.nan)).note
