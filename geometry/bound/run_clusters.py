"""Rank correlations over clusters of runs: inside each, over all, and with a third column held fixed."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from geometry.intervals import Interval, percentile_interval, undefined
from geometry.rank_correlation import spearman
from geometry.significance import paired_test

Array = NDArray[np.float64]
LEAST_RUNS = 4  # for a correlation
LEAST_TESTED = 6  # runs of a cluster, for a test over clusters
ROUNDING = 1e-9  # share of a rank variance that is left by rounding alone
SAME = 1e-12  # correlations that differ by less are the same


class Clusters:
    """Runs in clusters: what is said about them is said over clusters, which alone are independent.

    Args:
        code: ``(R,)`` cluster of each run, ``0..G-1``.
        resamples: redraws of clusters.
        rng: source of randomness, used once, so that all columns have the same redraws.
        level: nominal coverage.
    """

    def __init__(self, code: NDArray[np.intp], resamples: int, rng: np.random.Generator, level: float) -> None:
        self.code, self.level, self.count = code, level, int(code.max()) + 1
        drawn = rng.multinomial(self.count, np.full(self.count, 1.0 / self.count), size=resamples)
        # Of few clusters there are few distinct redraws (35 of four); each is evaluated once.
        self._distinct, back = np.unique(drawn, axis=0, return_inverse=True)
        self._back = np.asarray(back).reshape(-1)

    def correlations(self, x: Array, y: Array, of: Callable[[Array, Array], float] | None = None) -> Array:
        """``(G,)`` correlation inside each cluster, Spearman's by default; NaN with few runs or no spread."""
        known, measure = ~(np.isnan(x) | np.isnan(y)), of or correlation
        parts = (known & (self.code == g) for g in range(self.count))
        return np.array([measure(x[part], y[part]) for part in parts])

    def sizes(self, known: NDArray[np.bool_]) -> NDArray[np.intp]:
        """``(G,)`` runs of each cluster among those ``known`` ``(R,)``."""
        return np.bincount(self.code[known], minlength=self.count)

    def mean(self, inside: Array, sizes: NDArray[np.intp], reason: str) -> tuple[Interval, float]:
        """Mean over clusters with Student's t interval and p-value.

        It holds its level for as few as two clusters, of unequal precision too, where numbers of single clusters are
        about normal (Ibragimov and Mueller, Journal of Business & Economic Statistics 2010). A rank correlation of few
        runs takes few values, so clusters are alike by chance: of two clusters of 4 runs of pure noise 10.7 % were the
        same and not zero, to which t gives an interval of no width. Clusters that are all alike therefore have no
        interval and no p-value, and there is no p-value where a cluster's number is over fewer than ``LEAST_TESTED``
        runs (100,000 draws of noise: 7.5 % below 0.05 of four clusters of 4 runs, ours). With both rules it was 2.5 %
        of two clusters of 6 runs, 5.7 % of four, and 4.7 to 5.3 % from 12 runs on; intervals of fewer runs stay.

        Args:
            inside: ``(G,)``, NaN where a cluster has none.
            sizes: ``(G,)`` runs behind them.
            reason: why there is no number, where there is none.
        """
        found, n, nan = np.isfinite(inside), int(sizes.sum()), float("nan")
        values = inside[found]
        if not values.size:
            return undefined(n, reason, self.level), nan
        mean = float(values.mean())
        if values.size == 1 or np.ptp(values) <= SAME:
            why = "one cluster" if values.size == 1 else f"{values.size} clusters without scatter"
            return Interval(mean, nan, nan, self.level, n, f"no interval: {why}"), nan
        test = paired_test(values, np.zeros(values.size), test="t", level=self.level)
        low, high = (float(np.clip(end, -1.0, 1.0)) for end in (test.low, test.high))
        few = bool(sizes[found].min() < LEAST_TESTED)
        method = f"Student's t over {values.size} clusters"
        method += f"; no test: fewer than {LEAST_TESTED} runs in a cluster" if few else ""
        return Interval(mean, low, high, self.level, n, method), nan if few else test.p_value

    def redrawn(self, x: Array, y: Array, inside: Array) -> tuple[Interval, Interval]:
        """Spearman's correlation over all runs, and the mean over clusters, with intervals over redrawn clusters.

        Args:
            x: ``(R,)``.
            y: ``(R,)``.
            inside: ``(G,)`` what :meth:`correlations` found.
        """
        known = ~(np.isnan(x) | np.isnan(y))
        x, y, code, found = x[known], y[known], self.code[known], np.isfinite(inside)
        n, estimate = int(x.size), correlation(x, y)
        mass = self._distinct * found
        total = mass.sum(axis=1)
        means = np.where(total > 0, mass @ np.nan_to_num(inside) / np.maximum(total, 1), np.nan)
        whole = np.full(len(mass), np.nan)
        if np.isfinite(estimate) and self.count > 1:
            whole = np.array([spearman(x, y, row[code]) for row in self._distinct])
        average = float(inside[found].mean()) if found.any() else float("nan")
        few = f"fewer than {LEAST_RUNS} runs" if n < LEAST_RUNS else "constant over the runs"
        return self._percentile(estimate, whole, n, few), self._percentile(
            average, means, n, "constant in every cluster"
        )

    def _percentile(self, estimate: float, distinct: Array, n: int, reason: str) -> Interval:
        if not np.isfinite(estimate):
            return undefined(n, reason, self.level)
        if self.count < 2:
            return Interval(estimate, np.nan, np.nan, self.level, n, "no interval: one cluster")
        found = percentile_interval(estimate, distinct[self._back], n=n, level=self.level)
        return replace(found, method=found.method.replace("bootstrap", f"bootstrap over {self.count} clusters"))


def codes(names: Sequence[Hashable]) -> NDArray[np.intp]:
    """Names as integers in order of first appearance.

    >>> codes(["b", "a", "b"]).tolist()
    [0, 1, 0]
    """
    position: dict[Hashable, int] = {}
    return np.array([position.setdefault(name, len(position)) for name in names], dtype=np.intp)


def correlation(x: Array, y: Array) -> float:
    """Spearman's correlation; NaN with fewer than ``LEAST_RUNS`` runs or no spread."""
    return spearman(x, y) if x.size >= LEAST_RUNS else float("nan")


def kendall(x: Array, y: Array) -> float:
    """Kendall's tau-b; NaN with fewer than ``LEAST_RUNS`` runs or no spread.

    >>> kendall(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 2.0, 4.0, 3.0])).__round__(4)
    0.6667
    """
    from scipy.stats import kendalltau

    if x.size < LEAST_RUNS or np.unique(x).size < 2 or np.unique(y).size < 2:
        return float("nan")
    return float(kendalltau(x, y).statistic)


def partial_correlation(x: Array, y: Array, fixed: NDArray[np.generic], *, categorical: bool) -> float:
    """Correlation of the ranks of x and y after least squares on what is held fixed.

    Of a number its ranks are held fixed, of a category the mean rank in each. NaN where nothing of x or y is left, or
    fewer than two degrees of freedom are.

    Args:
        x: ``(n,)``.
        y: ``(n,)``.
        fixed: ``(n,)`` numbers, or codes of categories.
        categorical: which of the two.

    >>> x = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    >>> partial_correlation(x, x, np.array([0, 0, 0, 1, 1, 1]), categorical=True).__round__(6)
    1.0
    """
    from scipy.stats import rankdata

    if categorical:
        names, code = np.unique(fixed, return_inverse=True)
        design = np.eye(names.size)[code]
    else:
        design = np.column_stack([np.ones(x.size), rankdata(fixed)])
    if x.size - design.shape[1] < 2:
        return float("nan")
    ranks = np.column_stack([rankdata(x), rankdata(y)])
    residuals = ranks - design @ np.linalg.lstsq(design, ranks, rcond=None)[0]
    spread, whole = (residuals**2).sum(axis=0), ((ranks - ranks.mean(axis=0)) ** 2).sum(axis=0)
    if np.any(spread <= ROUNDING * np.maximum(whole, 1.0)):
        return float("nan")
    return float(np.clip(residuals[:, 0] @ residuals[:, 1] / np.sqrt(spread.prod()), -1.0, 1.0))
