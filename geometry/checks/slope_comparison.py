"""What a remedy does to the slope of margins on log n_k: two runs, class by class."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.checks.count_slope import count_slope
from geometry.errors import DataError
from geometry.intervals import Interval

Array = NDArray[np.float64]


def compare_slopes(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    *,
    part: str | None = None,
    statistic: str = "mean",
    level: float = 0.95,
) -> Interval:
    """How much a remedy turns the slope: that of ``margin_second - margin_first`` on ``log n_k``.

    Both runs share classes and counts, so the difference is taken class by class and each class's own difficulty
    cancels: negative where the second run gives rare classes relatively more. Logits have no common unit between
    models; compare probabilities, or distances on the same frozen features.

    Args:
        first: ``details`` of one verdict on a scale, from :func:`~geometry.checks.margin_scaling.margin_scaling` or
            read back from its JSON.
        second: of the other run.
        part: which samples; what decided the first by default.
        statistic: ``mean``, ``median`` or ``low``.
        level: nominal coverage.

    Raises:
        DataError: the two are not of the same scale, classes and training counts, or lack the part.
    """
    name = part or first["decides"]
    same = first["scale"] == second["scale"] and list(first["class_names"]) == list(second["class_names"])
    counts = np.asarray(first["counts"], dtype=np.int64)
    if not same or not np.array_equal(counts, np.asarray(second["counts"])):
        raise DataError("Expected two runs of one scale with the same classes and training counts; compare like runs.")
    if name not in first["parts"] or name not in second["parts"]:
        raise DataError(
            f"Expected samples {name!r} in both runs; they have {list(first['parts'])} and {list(second['parts'])}."
        )
    before, after = (_read(entry["parts"][name][statistic]) for entry in (first, second))
    return count_slope(after - before, counts, level=level)


def _read(entry: Any) -> Array:
    """Class values of a :class:`ClassMargins` or of its JSON, null as NaN."""
    return np.array(entry["value"] if isinstance(entry, Mapping) else entry.value, dtype=np.float64)
