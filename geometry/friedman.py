"""Many algorithms on many data sets: average ranks, the Friedman test, Nemenyi's critical difference."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import DataError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RankTest:
    """The Friedman test of equal algorithms with Nemenyi's critical difference (Demsar 2006, section 3.2).

    Attributes:
        average_ranks: ``(k,)`` mean rank of each algorithm, 1 is best.
        statistic: Friedman's chi-square, corrected for ties, k - 1 degrees of freedom.
        p_value: of ``statistic``; NaN with fewer than two complete blocks or fewer than three algorithms.
        f_statistic: Iman and Davenport's ``(N - 1) chi2 / (N (k - 1) - chi2)``; less conservative.
        f_p_value: of ``f_statistic`` with ``k - 1`` and ``(k - 1)(N - 1)`` degrees of freedom; NaN where all blocks
            rank alike, for the statistic is infinite then and its distribution says nothing.
        critical_difference: two average ranks closer than this are not told apart at ``level``.
        level: family-wise error of the critical difference.
        blocks: N, complete blocks that carry the test.
        dropped: blocks left out because an algorithm has no value there.
        groups: positions of algorithms that are not told apart, maximal sets, best first.
    """

    average_ranks: Array
    statistic: float
    p_value: float
    f_statistic: float
    f_p_value: float
    critical_difference: float
    level: float
    blocks: int
    dropped: int
    groups: tuple[tuple[int, ...], ...]


def critical_difference(algorithms: int, blocks: int, level: float = 0.05) -> float:
    """Nemenyi's ``q_level sqrt(k (k + 1) / (6 N))``, q the studentized range over sqrt 2 (Demsar 2006, eq. 3.4).

    Args:
        algorithms: k, at least 2.
        blocks: N, at least 1.
        level: family-wise error.

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    from scipy.stats import studentized_range

    quantile = float(studentized_range.ppf(1 - level, algorithms, np.inf)) / 2**0.5
    return float(quantile * (algorithms * (algorithms + 1) / (6 * blocks)) ** 0.5)


def friedman(scores: ArrayLike, *, larger_is_better: bool = True, level: float = 0.05) -> RankTest:
    """Rank k algorithms in each of N blocks (data sets, held-out domains) and test whether any differ.

    Ties share the mean of their ranks. Blocks must be independent, so give one row a held-out domain, not one a seed.

    Args:
        scores: ``(N, k)``; a row with a NaN is dropped and counted.
        larger_is_better: rank 1 to the largest.
        level: of the critical difference.

    Raises:
        DataError: not a matrix of two algorithms or more.

    >>> found = friedman([[3, 2, 1], [3, 2, 1], [3, 1, 2]])
    >>> found.average_ranks.round(3).tolist(), found.blocks
    ([1.0, 2.333, 2.667], 3)
    """
    from scipy.special import chdtrc, fdtrc
    from scipy.stats import rankdata

    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise DataError(f"Expected scores (N blocks, k >= 2 algorithms), got shape {values.shape}.")
    known = np.isfinite(values).all(axis=1)
    dropped, values = int((~known).sum()), values[known]
    n, k = values.shape
    nan = float("nan")
    if n == 0:
        return RankTest(np.full(k, nan), nan, nan, nan, nan, nan, level, 0, dropped, ())
    ranks = rankdata(-values if larger_is_better else values, axis=1)
    average = ranks.mean(axis=0)
    spread = critical_difference(k, n, level)
    groups = indistinguishable(average, spread)
    scatter = float(((ranks - (k + 1) / 2) ** 2).sum())  # N k (k^2 - 1) / 12 without ties
    if n < 2 or k < 3 or scatter == 0.0:
        return RankTest(average, nan, nan, nan, nan, spread, level, n, dropped, groups)
    statistic = float(n * n * ((average - (k + 1) / 2) ** 2).sum() * (k - 1) / scatter)
    rest = n * (k - 1) - statistic
    ratio = (n - 1) * statistic / rest if rest > 1e-12 * n * k else float("inf")
    return RankTest(
        average_ranks=average,
        statistic=statistic,
        p_value=float(chdtrc(k - 1, statistic)),
        f_statistic=ratio,
        f_p_value=float(fdtrc(k - 1, (k - 1) * (n - 1), ratio)) if np.isfinite(ratio) else nan,
        critical_difference=spread,
        level=level,
        blocks=n,
        dropped=dropped,
        groups=groups,
    )


def indistinguishable(average_ranks: ArrayLike, spread: float) -> tuple[tuple[int, ...], ...]:
    """Maximal sets of two algorithms or more whose average ranks lie within ``spread`` of each other, best first.

    >>> indistinguishable([1.0, 3.0, 1.5, 2.2], 1.0)
    ((0, 2), (2, 3), (3, 1))
    """
    ranks = np.asarray(average_ranks, dtype=np.float64)
    order = np.argsort(ranks, kind="stable")
    ends = np.searchsorted(ranks[order], ranks[order] + spread, side="right")
    found, reached = [], 0
    for start, end in enumerate(ends.tolist()):
        if end > reached and end - start > 1:
            found.append(tuple(int(place) for place in order[start:end]))
        reached = max(reached, end)
    return tuple(found)
