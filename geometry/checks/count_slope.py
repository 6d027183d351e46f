"""The slope of a class's (or cell's) value on the logarithm of its number of training samples."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import DataError
from geometry.intervals import Interval, undefined

Array = NDArray[np.float64]
FEWEST_CLASSES = 5
CONSTANT = 1e-9  # a spread this small beside the values is rounding
KEPT = 1e-8  # an eigenvalue of I - H this small: the fit goes through the class whatever its value
REACHED = 1e-6  # share of the slope from which such a class matters
ALONE = "one class alone carries the slope"


def count_slope(values: ArrayLike, counts: ArrayLike, *, class_effects: bool = False, level: float = 0.95) -> Interval:
    """Least-squares slope ``b`` of ``value = a + b log n`` with an interval for *other classes*, not other samples.

    Classes are few and differ for many reasons beside their count, so what counts is the scatter of the classes about
    the line. The standard error is the delete-one-class jackknife ``sqrt(sum_k (b_(-k) - b)^2)``: for one value a
    class the heteroscedasticity-consistent HC3 (MacKinnon and White 1985), for cells of several domains its
    cluster form (CV3 without its factor). With Student's t on ``G - 2`` degrees of freedom, G classes, it covers
    94 to 97 % for seven classes, for normal and heavy-tailed errors and for errors larger at one end (ours, simulated).

    Args:
        values: ``(K,)`` one value a class, or ``(M, K)`` one a cell; those not finite are left out.
        counts: ``(K,)`` or ``(M, K)`` training samples; zeros are left out. With cells each domain has its own
            intercept.
        class_effects: give each class its own intercept too, so that only how a class's count differs *between
            domains* tells (and no class's difficulty); needs cells.
        level: nominal coverage.

    Returns:
        The slope per unit of ``log n``; ``n`` is the number of classes. Undefined with fewer than five classes,
        where counts or values do not vary, or where there is no slope without one of the classes (all others have
        one count): nothing then tells how that class differs for reasons of its own.

    Raises:
        DataError: shapes differ.

    >>> result = count_slope([1.0, 2.0, 3.0, 4.0, 5.0], np.exp([1, 2, 3, 4, 5]))
    >>> round(result.estimate, 9), result.n
    (1.0, 5)
    """
    value, count = np.asarray(values, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if value.shape != count.shape or value.ndim not in (1, 2):
        raise DataError(f"Expected values and counts of one shape (K,) or (M, K), got {value.shape} and {count.shape}.")
    value, count = np.atleast_2d(value), np.atleast_2d(count)
    domain, classes = np.nonzero(np.isfinite(value) & (count > 0))
    present = int(np.unique(classes).size)
    if present < FEWEST_CLASSES:
        return undefined(present, f"{present} classes with samples and counts, fewer than {FEWEST_CLASSES}", level)
    x, y = np.log(count[domain, classes]), value[domain, classes]
    if np.ptp(y) <= CONSTANT * np.abs(y).max():
        return undefined(present, "the values do not vary", level)
    control = _indicators(domain)
    if class_effects:  # taking class means off first keeps each class's rows out of all other classes'
        x, y, control = _within(x, classes), _within(y, classes), _within(control, classes)
    columns = np.column_stack([x, control])
    inverse = np.linalg.pinv(columns.T @ columns, rcond=1e-10, hermitian=True)
    residual_x = x - control @ np.linalg.lstsq(control, x, rcond=1e-10)[0]
    if residual_x @ residual_x <= CONSTANT * x.size:
        return undefined(present, "the counts do not vary", level)
    coefficients = inverse @ (columns.T @ y)
    squares = _moved(columns, y - columns @ coefficients, inverse, classes)
    if np.isnan(squares):
        return undefined(present, ALONE, level)
    slope = float(coefficients[0])
    half = _student(level, present - 2) * float(np.sqrt(squares))
    method = f"delete-one-class jackknife (HC3), t with {present - 2} degrees of freedom"
    return Interval(slope, slope - half, slope + half, level, present, method)


def plain_slopes(values: ArrayLike, counts: ArrayLike) -> Array:
    """Least-squares slopes of rows of class values on ``log n``, ``(B,)``, over the classes that all rows know.

    NaN where the counts do not vary.

    Args:
        values: ``(B, K)``.
        counts: ``(K,)``.

    >>> plain_slopes([[0.0, 1.0], [1.0, 0.0]], np.exp([0, 1])).tolist()
    [1.0, -1.0]
    """
    rows, count = np.atleast_2d(np.asarray(values, dtype=np.float64)), np.asarray(counts, dtype=np.float64)
    usable = np.isfinite(rows).all(axis=0) & (count > 0)
    x = np.log(count[usable])
    x = x - x.mean() if x.size else x
    spread = float(x @ x)
    if spread <= CONSTANT:
        return np.full(len(rows), np.nan)
    return np.asarray(rows[:, usable] @ x / spread, dtype=np.float64)


def permutation_p(values: ArrayLike, counts: ArrayLike, *, rng: np.random.Generator, permutations: int = 1999) -> float:
    """Two-sided p-value of a slope of zero when counts are dealt to the classes at random.

    Exact for any distribution of the values when, without an effect, every class might as well have had any of the
    counts. With K classes it is at least about ``1 / K!``.

    Args:
        values: ``(K,)``; NaN is left out.
        counts: ``(K,)``; zeros are left out.
        rng: source of randomness.
        permutations: random permutations; the given order counts as one more.

    Returns:
        A number in (0, 1]; NaN where no slope is defined.
    """
    value, count = np.asarray(values, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    usable = np.isfinite(value) & (count > 0)
    value, x = value[usable], np.log(count[usable])
    if value.size < 2 or np.ptp(value) <= CONSTANT * np.abs(value).max() or np.ptp(x) <= CONSTANT:
        return float("nan")
    x = x - x.mean()
    drawn = np.abs(rng.permuted(np.tile(value, (permutations, 1)), axis=1) @ x)
    seen = abs(float(value @ x))
    return float((1 + np.sum(drawn >= seen * (1 - 1e-12))) / (permutations + 1))


def _moved(columns: Array, residual: Array, inverse: Array, classes: NDArray[np.intp]) -> float:
    """``sum_k (b_(-k) - b)^2`` without refitting: ``b - b_(-k) = (X'X)^-1 X_k' (I - H_kk)^-1 e_k``.

    NaN where a ``b_(-k)`` does not exist: ``I - H_kk`` is singular along a direction that the slope depends on.
    """
    _, code, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    order = np.argsort(code, kind="stable")
    place = np.arange(code.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    # Blocks of one class each, filled up with rows of zeros, which change nothing.
    rows = np.zeros((sizes.size, int(sizes.max()), columns.shape[1]))
    errors = np.zeros(rows.shape[:2])
    rows[code[order], place], errors[code[order], place] = columns[order], residual[order]
    kept = np.eye(rows.shape[1]) - rows @ inverse @ rows.swapaxes(1, 2)
    leading = rows @ inverse[0]
    values, vectors = np.linalg.eigh(kept)
    reach, along = (np.einsum("gi,gij->gj", part, vectors) for part in (leading, errors))
    free = values > KEPT
    # All reaches together have the length sqrt((X'X)^-1_00). Those of a domain's only cell are zero: its own intercept
    # takes it up, so its direction may be left out.
    if np.any(~free & (np.abs(reach) > REACHED * np.sqrt(inverse[0, 0]))):
        return float("nan")
    moved = np.where(free, reach * along / np.where(free, values, 1.0), 0.0).sum(axis=1)
    return float(moved @ moved)


def _indicators(codes: NDArray[np.intp]) -> Array:
    """``(P, C)`` one column for each code that occurs."""
    return np.asarray(codes[:, None] == np.unique(codes), dtype=np.float64)


def _within(values: Array, classes: NDArray[np.intp]) -> Array:
    """Values minus their class mean, ``(P,)`` or ``(P, C)``."""
    share = _indicators(classes)
    means = (share.T @ values).T / share.sum(axis=0)
    return np.asarray(values - (means @ share.T).T, dtype=np.float64)


def _student(level: float, freedom: int) -> float:
    from scipy.special import stdtrit  # scipy.stats would take a second to import

    return float(stdtrit(freedom, 0.5 + level / 2.0))
