"""Class proportions: the only thing about the data that the optimal geometry depends on."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import UsageError


def class_proportions(values: ArrayLike, *, must_sum_to_one: bool = False) -> NDArray[np.float64]:
    """Proportions ``pi_y = n_y / sum_c n_c`` from class counts or from proportions.

    Args:
        values: C >= 2 positive numbers, or one comma-separated string of them.
        must_sum_to_one: refuse values whose sum is not 1 within 1e-6 (for what a person typed as proportions).

    Returns:
        ``(C,)`` positive numbers that sum to 1.

    Raises:
        UsageError: text, NaN, infinite, negative or zero values, fewer than two classes, or a wrong sum.

    >>> class_proportions([6, 3, 1])
    array([0.6, 0.3, 0.1])
    """
    if isinstance(values, str):
        values = [part for part in values.split(",") if part.strip()]
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"Expected one number per class, such as 500,50,5; got {_shown(values)}.") from error
    if numbers.ndim != 1:
        raise UsageError(f"Expected one number per class, got an array of shape {numbers.shape}; pass a flat list.")
    if numbers.size < 2:
        raise UsageError(f"Expected at least two classes, got {numbers.size}; one class has no geometry.")
    for name, bad in (("finite", ~np.isfinite(numbers)), ("positive", numbers < 0)):
        if bad.any():
            k = int(bad.argmax())
            raise UsageError(f"Expected {name} counts or proportions, class {k} has {numbers[k]}; correct it.")
    if not numbers.all():
        k = int((numbers == 0).argmax())
        raise UsageError(f"Class {k} has count 0 and so no place in the optimum; drop it and solve for the others.")
    scaled = numbers / numbers.max()  # the sum of huge counts would overflow
    total = float(scaled.sum())
    if must_sum_to_one and abs(total * numbers.max() - 1.0) > 1e-6:
        raise UsageError(
            f"Expected proportions that sum to 1, got {total * numbers.max():.6g}; rescale them or pass counts."
        )
    return np.asarray(scaled / total, dtype=np.float64)


def _shown(values: ArrayLike) -> str:
    text = repr(values)
    return text if len(text) <= 60 else text[:57] + "..."
