"""Is one algorithm better than another? Paired tests on the same splits, and Holm's correction for many of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import DataError, UsageError

Array = NDArray[np.float64]
TESTS = ("sign-flip", "t", "wilcoxon")
MOST_EXACT = 36  # units: halves of 2^18 sums each
ROUNDING = 1e-12  # share of the largest value; differences that differ by less are the same
NO_SCATTER = "no scatter between the units"


@dataclass(frozen=True)
class PairedTest:
    """A two-sided test of no difference between paired values.

    Attributes:
        test: which one.
        difference: mean of ``a - b``; NaN without a complete pair.
        low: lower end of the interval of the mean difference; NaN where the test has none, or nothing scatters.
        high: upper end.
        p_value: NaN where the test cannot be made (fewer than two units; t where nothing scatters).
        least_p_value: the smallest the test can give with so many units; above the level, it can never reject.
        units: independent units (pairs, or clusters of pairs).
        dropped: pairs left out because one of the two values is undefined.
        method: how the p-value was made.
    """

    test: str
    difference: float
    low: float
    high: float
    p_value: float
    least_p_value: float
    units: int
    dropped: int
    method: str


def paired_test(
    a: ArrayLike,
    b: ArrayLike,
    *,
    test: str = "sign-flip",
    clusters: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    level: float = 0.95,
) -> PairedTest:
    """Test whether ``a - b`` is centred on zero, two-sided, over runs on the same splits.

    * ``sign-flip``: under the null that both algorithms are exchangeable in every pair, each difference may as well
      have the other sign; ``p`` is the share of all ``2^n`` sign patterns whose mean is as far from zero as the one
      seen. Exact for any distribution (Fisher 1935). Its interval is that of t.
    * ``t``: Student's paired t-test; the mean difference is taken for normal. Where all units differ alike, by more
      than nothing, t is infinite and its distribution says nothing: no p-value, and no interval of zero width.
    * ``wilcoxon``: the signed-rank test (Wilcoxon 1945), exact given the ties; zero differences by Pratt's rule.

    Differences are compared up to rounding (``ROUNDING``), so that values in percent and as fractions tie alike.

    The units must be independent: runs with different seeds are (given the data set); to speak about *other domains*
    give the held-out domain as cluster, so that its runs count once. With n units no sign-flip p-value lies below
    ``2^(1-n)``: five seeds cannot reach 0.05.

    Args:
        a: ``(n,)`` values of one algorithm; a pair with a NaN is dropped and counted.
        b: ``(n,)`` values of the other, on the same splits and seeds.
        test: one of ``TESTS``.
        clusters: ``(n,)`` labels; pairs of one cluster are averaged and count once. Every pair by itself without them.
        rng: needed with more than ``MOST_EXACT`` units only, where sign patterns are drawn.
        level: of the interval.

    Raises:
        DataError: lengths that differ.
        UsageError: an unknown test.

    >>> found = paired_test([3, 4, 5, 6], [1, 1, 1, 1])
    >>> found.difference, found.p_value == found.least_p_value == 2 / 2**4
    (3.5, True)
    """
    if test not in TESTS:
        raise UsageError(f"Unknown test {test!r}; known: {', '.join(TESTS)}.")
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    names = np.arange(first.size) if clusters is None else np.asarray(clusters)
    if first.ndim != 1 or not first.shape == second.shape == names.shape:
        raise DataError(f"Expected pairs, got {first.shape}, {second.shape} values and {names.shape} clusters.")
    known = np.isfinite(first) & np.isfinite(second)
    dropped = int((~known).sum())
    _, place = np.unique(names[known], return_inverse=True)
    differences = np.bincount(place, weights=(first - second)[known]) / np.maximum(np.bincount(place), 1)
    tolerance = ROUNDING * float(np.abs([first[known], second[known]]).max(initial=0.0))
    differences[np.abs(differences) <= tolerance] = 0.0  # the sign of what rounding leaves means nothing
    n, nan = differences.size, float("nan")
    mean = float(differences.mean()) if n else nan
    if n < 2:
        return PairedTest(test, mean, nan, nan, nan, 1.0, n, dropped, "undefined: fewer than two units")
    alike = float(differences.max() - differences.min()) <= tolerance and mean != 0.0
    low, high = (nan, nan) if alike else _t_interval(differences, level)
    if test == "t":
        method = f"undefined: {NO_SCATTER}" if alike else f"Student's t, {n - 1} df"
        return PairedTest(test, mean, low, high, nan if alike else _t_p_value(differences), 0.0, n, dropped, method)
    if test == "wilcoxon":
        # A sign-flip test of the signed ranks: exact with ties and zeros too, where tables are not.
        p_value, least, method = _sign_flip(_signed_ranks(differences, tolerance), rng)
        return PairedTest(test, mean, nan, nan, p_value, least, n, dropped, f"Wilcoxon signed-rank, {method}")
    p_value, least, method = _sign_flip(differences, rng)
    method += f"; no interval: {NO_SCATTER}" if alike else ""
    return PairedTest(test, mean, low, high, p_value, least, n, dropped, method)


def bootstrap_test(
    difference: float, draws: ArrayLike, *, units: int, method: str, dropped: int = 0, level: float = 0.95
) -> PairedTest:
    """The two-sided test that redrawn differences make: ``p = 2 min(P(d* <= 0), P(d* >= 0))``, one added to each count.

    Args:
        difference: on the data themselves; NaN makes an undefined test.
        draws: ``(R,)`` differences of the redraws.
        units: that were redrawn.
        method: in words.
        dropped: pairs left out.
        level: of the percentile interval.

    >>> bootstrap_test(0.2, [0.1, 0.2, 0.3], units=9, method="by hand").p_value
    0.5
    """
    values = np.asarray(draws, dtype=np.float64)
    if not np.isfinite(difference):
        nan = float("nan")
        return PairedTest("bootstrap", nan, nan, nan, nan, 1.0, units, dropped, "undefined: no common split")
    slack, least = 1e-12, 2 / (values.size + 1)
    tail = min(int((values <= slack).sum()), int((values >= -slack).sum()))
    low, high = np.percentile(values, [50 * (1 - level), 50 * (1 + level)])
    return PairedTest(
        "bootstrap",
        difference,
        float(low),
        float(high),
        min(1.0, (tail + 1) * least),
        least,
        units,
        dropped,
        f"{method}, {values.size} resamples",
    )


def holm(p_values: ArrayLike) -> Array:
    """Holm's step-down adjustment: reject those at most the level, and the family-wise error stays below it (1979).

    ``p~_(i) = max_{j <= i} min(1, (m - j + 1) p_(j))`` over the m defined p-values in ascending order.

    Args:
        p_values: of any shape; an undefined one (NaN) stays so and does not count.

    >>> holm([0.01, 0.04, float("nan"), 0.03]).round(12).tolist()
    [0.03, 0.06, nan, 0.06]
    """
    raw = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(raw.shape, np.nan)
    known = np.isfinite(raw)
    values = raw[known]
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(np.minimum(1.0, values[order] * np.arange(values.size, 0, -1)))
    back = np.empty_like(steps)
    back[order] = steps
    adjusted[known] = back
    return adjusted


def _t_interval(differences: Array, level: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    n, mean = differences.size, float(differences.mean())
    half = float(stdtrit(n - 1, (1 + level) / 2)) * float(differences.std(ddof=1)) / n**0.5
    return mean - half, mean + half


def _t_p_value(differences: Array) -> float:
    from scipy.special import stdtr

    n, mean, spread = differences.size, float(differences.mean()), float(differences.std(ddof=1))
    if spread == 0.0:  # no difference in any unit
        return 1.0
    return 2.0 * float(stdtr(n - 1, -abs(mean) / (spread / n**0.5)))


def _signed_ranks(differences: Array, tolerance: float) -> Array:
    """Ranks of the sizes of the differences with their signs; sizes no farther apart than ``tolerance`` tie."""
    from scipy.stats import rankdata

    sizes = np.abs(differences)
    order = np.argsort(sizes, kind="stable")
    place = np.empty(sizes.size)
    place[order] = np.cumsum(np.diff(sizes[order], prepend=0.0) > tolerance)
    return np.sign(differences) * np.asarray(rankdata(place), dtype=np.float64)


def _sign_flip(differences: Array, rng: np.random.Generator | None) -> tuple[float, float, str]:
    """p-value, the least there can be, and how it was found."""
    n, draws = differences.size, 20_000
    least = 2.0 ** min(0, 1 - int(np.count_nonzero(differences)))
    threshold = abs(float(differences.sum())) - 1e-12 * float(np.abs(differences).sum())
    if n <= MOST_EXACT:
        # Sums over all signs of one half of the units, met by those of the other half: 2^n patterns from 2^(n/2).
        left, right = _signed_sums(differences[: n // 2]), np.sort(_signed_sums(differences[n // 2 :]))
        below = np.searchsorted(right, -threshold - left, side="right")
        above = right.size - np.searchsorted(right, threshold - left, side="left")
        extreme = int((below + above).sum()) if threshold > 0 else 2**n
        return extreme / 2**n, least, f"sign flips, all {2**n} patterns"
    if rng is None:
        raise UsageError(f"Expected a random generator for sign flips of more than {MOST_EXACT} units, got none.")
    hits = 0
    for start in range(0, draws, 1000):
        signs = rng.integers(0, 2, size=(min(1000, draws - start), n)) * 2 - 1
        hits += int((np.abs(signs @ differences) >= threshold).sum())
    return (hits + 1) / (draws + 1), max(least, 1 / (draws + 1)), f"sign flips, {draws} patterns drawn of 2^{n}"


def _signed_sums(values: Array) -> Array:
    """``(2^n,)`` sums of ``values`` under every pattern of signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return sums
