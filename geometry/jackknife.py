"""The delete-one jackknife: an interval over few units, such as the classes of a data set."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from geometry.intervals import Interval


def jackknife(
    statistic: Callable[[NDArray[np.intp]], float], units: int, *, level: float = 0.95, what: str = "units"
) -> Interval:
    r"""A statistic of ``units`` exchangeable units, with Student's t interval of its delete-one values.

    ``theta +- t_{U-1} sqrt((U-1)/U sum_u (theta_{-u} - mean theta_{-.})^2)``; for means over *pairs* of units it takes
    in that pairs share units, to first order (Arvesen 1969). A bootstrap of few units would repeat some of them and
    compare a class with itself.

    Args:
        statistic: of the positions of the units kept, ascending.
        units: U.
        level: nominal coverage.
        what: name of the units, for ``method``.

    Returns:
        The statistic of all, with an interval where it and all delete-one values are finite and U is 2 or more.

    >>> x = np.array([1.0, 2.0, 3.0, 6.0])
    >>> result = jackknife(lambda kept: x[kept].mean(), 4)
    >>> result.estimate, round(result.high - 3.0, 6)  # t_{3, 0.975} s / sqrt(4)
    (3.0, 3.437435)
    """
    from scipy.special import stdtrit

    every = np.arange(units)
    estimate = float(statistic(every))
    without = np.array([statistic(np.delete(every, unit)) for unit in every]) if units > 1 else np.array([np.nan])
    if not (np.isfinite(estimate) and np.isfinite(without).all()):
        return Interval(
            estimate, np.nan, np.nan, level, units, f"no interval: too few {what}, or undefined without one"
        )
    error = np.sqrt((units - 1) / units * ((without - without.mean()) ** 2).sum())
    half = float(stdtrit(units - 1, 0.5 + level / 2.0) * error)
    return Interval(estimate, estimate - half, estimate + half, level, units, f"jackknife over {units} {what}")
