"""Ranges of settings as the command line writes them."""

import itertools
from typing import Any

import numpy as np

from geometry.errors import TailgeomError, UsageError

MOST = 100_000  # values in a range


def spaced(flag: str, text: str) -> list[float]:
    """LOW:HIGH:COUNT evenly in the logarithm, or a list.

    Raises:
        UsageError: neither, or not positive, finite and ascending.

    >>> spaced("ratios", "1:100:3"), spaced("taus", ".5,1")
    ([1.0, 10.0, 100.0], [0.5, 1.0])
    """
    try:
        if ":" not in text:
            return ascending(flag, [float(word) for word in text.split(",")])
        low, high, count = text.split(":")
        ends, number = (float(low), float(high)), int(count)
        if not (0.0 < ends[0] < ends[1] < np.inf and 2 <= number <= MOST):
            raise ValueError
    except TailgeomError:
        raise
    except ValueError as error:
        raise UsageError(
            f"Expected --{flag} as LOW:HIGH:COUNT with 0 < LOW < HIGH and COUNT of at least 2, or as a list such as "
            f"1,10,100; got {text!r}."
        ) from error
    grid = np.logspace(np.log10(ends[0]), np.log10(ends[1]), number)
    grid[[0, -1]] = ends
    return [float(value) for value in grid]


def whole_numbers(text: str) -> list[int]:
    """LOW:HIGH, or a list.

    Raises:
        UsageError: neither.

    >>> whole_numbers("1:4"), whole_numbers("1,3,10")
    ([1, 2, 3, 4], [1, 3, 10])
    """
    try:
        if ":" not in text:
            return ascending("majorities", [int(word) for word in text.split(",")])
        low, high = map(int, text.split(":"))
        if not 1 <= low <= high <= MOST:
            raise ValueError
    except TailgeomError:
        raise
    except ValueError as error:
        raise UsageError(
            f"Expected --majorities as LOW:HIGH with LOW of at least 1, or as a list such as 1,2,5; got {text!r}."
        ) from error
    return list(range(low, high + 1))


def one_ratio(text: str) -> float:
    """R from ``--ratio``.

    Raises:
        UsageError: not a number of at least 1, or inf.
    """
    try:
        ratio = float(text)
    except ValueError:
        ratio = float("nan")
    if not ratio >= 1.0:
        raise UsageError(f"Expected --ratio to be a number of at least 1, or inf; got {text!r}.")
    return ratio


def ascending(flag: str, values: list[Any], last: Any = ()) -> list[Any]:
    """The values, if they are positive, finite and ascending; only the last may be ``last``.

    Raises:
        UsageError: they are not.
    """
    numbers = values[:-1] if values[-1] == last else values
    steps = itertools.pairwise(numbers)
    if not all(value is not None and 0 < value < float("inf") for value in numbers) or any(a >= b for a, b in steps):
        raise UsageError(f"Expected the values of --{flag} to be positive and ascending.")
    return values
