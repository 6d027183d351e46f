"""Would other models show the same association? A permutation of the models, the same on every split."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Array = NDArray[np.float64]
LEAST_MODELS = 4  # 24 orders


@dataclass(frozen=True)
class ModelPermutation:
    """A permutation test over models.

    Attributes:
        statistic: mean over cells of Spearman's correlation, on the splits that every model was run on.
        p_value: share of permutations at least as far from zero, two-sided; NaN where the test cannot be made.
        models: how many there are.
        blocks: splits that hold them all.
        constant: whether no permutation can move the term (it does not depend on the model).
        note: why there is no test.
    """

    statistic: float
    p_value: float
    models: int
    blocks: int
    constant: bool
    note: str


def permute_models(
    term: Array,
    outcome: Array,
    *,
    blocks: NDArray[np.intp],
    cells: NDArray[np.intp],
    models: NDArray[np.intp],
    permutations: int,
    rng: np.random.Generator,
) -> ModelPermutation:
    """Test that a term tells models apart no better than a term whose models were shuffled.

    A dozen algorithms run on every split give hundreds of runs and still only a dozen models: a number drawn once an
    algorithm may go with the error on every split, by chance. Under the null that models are exchangeable in the term,
    independently of the outcome, their columns of terms may as well belong to one another; one permutation is applied
    to all splits at once, so that whatever splits have in common stays. Ours, after the Mantel test (1967).

    Args:
        term: ``(R,)``.
        outcome: ``(R,)``.
        blocks: ``(R,)`` codes of splits (held-out domain, setting, seed).
        cells: ``(R,)`` codes of the clusters inside which correlations are taken; a split lies in one.
        models: ``(R,)`` codes.
        permutations: random ones.
        rng: source of randomness.
    """
    nan = float("nan")
    known = ~(np.isnan(term) | np.isnan(outcome))
    names, model = np.unique(models[known], return_inverse=True)
    places, block = np.unique(blocks[known], return_inverse=True)
    x, y, cell = (np.full((places.size, names.size), np.nan) for _ in range(3))
    x[block, model], y[block, model], cell[block, model] = term[known], outcome[known], cells[known]
    whole = ~np.isnan(x).any(axis=1)
    x, y, cell = x[whole], y[whole], cell[whole]
    count, splits = names.size, int(whole.sum())
    if splits == 0:
        return ModelPermutation(nan, nan, count, 0, False, "no split that every model was run on")
    if np.all(x == x[:, :1]):
        return ModelPermutation(nan, nan, count, splits, True, "the term does not depend on the model")
    if count < LEAST_MODELS:
        return ModelPermutation(nan, nan, count, splits, False, f"fewer than {LEAST_MODELS} models")
    # A permutation keeps the values of a cell, hence their ranks: only the pairing changes.
    product, used = np.zeros((count, count)), 0
    for c in np.unique(cell):
        here = cell[:, 0] == c
        u, v = (rankdata(part[here]).reshape(-1, count) for part in (x, y))
        u, v = u - u.mean(), v - v.mean()
        scale = np.sqrt((u**2).sum() * (v**2).sum())
        if scale > 0:
            product += (u.T @ v) / scale
            used += 1
    if used == 0:
        return ModelPermutation(nan, nan, count, splits, False, "constant inside every cluster")
    every = np.arange(count)
    statistic = float(product[every, every].sum()) / used
    shuffled = rng.permuted(np.tile(every, (permutations, 1)), axis=1)
    drawn = product[shuffled, every].sum(axis=1) / used
    p_value = float((1 + (np.abs(drawn) >= abs(statistic) - 1e-12).sum()) / (1 + permutations))
    return ModelPermutation(statistic, p_value, count, splits, False, "")
