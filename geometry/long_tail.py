"""Class proportions of a long tail as a function of one number, its imbalance ratio R.

Every tail here is ``pi_c proportional to R^(-depth_c)``: the depth of the most frequent class is 0 and that of the
rarest 1, so R is the largest proportion over the smallest, and R = 1 is balance.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.errors import UsageError

Array = NDArray[np.float64]

PER_DECADE = 6  # ratios tried in the search for the first collapse
RELATIVE_WIDTH = 1e-4  # to which a collapse ratio is bisected
LARGEST_RATIO = 1e6  # beyond, the angles between rare classes are known less well


def tail_depths(num_classes: int, shape: str = "exponential") -> Array:
    """``(C,)`` depths in [0, 1], in order of falling proportion.

    ``exponential``: c/(C-1), the long-tailed CIFAR profile (Cui et al. 2019); ``power``: log(c+1)/log C, Zipf's law
    with the exponent that R asks for; ``step:A``: 0 for A majority classes and 1 for the others (Buda et al. 2018).

    Args:
        num_classes: C >= 2.
        shape: the tail's name.

    Raises:
        UsageError: fewer than two classes, or no such tail.

    >>> tail_depths(3), tail_depths(4, "step:1")
    (array([0. , 0.5, 1. ]), array([0., 1., 1., 1.]))
    """
    if num_classes < 2:
        raise UsageError(f"Expected at least two classes, got {num_classes}.")
    ranks = np.arange(num_classes, dtype=np.float64)
    if shape == "exponential":
        return ranks / (num_classes - 1)
    if shape == "power":
        return np.asarray(np.log1p(ranks) / np.log(num_classes), dtype=np.float64)
    return np.where(ranks < majority_classes(num_classes, shape), 0.0, 1.0)


def majority_classes(num_classes: int, shape: str) -> int:
    """A of the tail ``step:A``.

    Raises:
        UsageError: no such tail, or A is not from 1 to C - 1.

    >>> majority_classes(10, "step:3")
    3
    """
    name, _, count = shape.partition(":")
    if name != "step":
        raise UsageError(f"Unknown tail {shape!r}; known: exponential, power, and step:A with A majority classes.")
    if not (count.isascii() and count.isdigit() and 1 <= int(count) < num_classes):
        raise UsageError(
            f"Expected step:A with A from 1 to {num_classes - 1} majority classes out of {num_classes}, got {shape!r}."
        )
    return int(count)


def tail_proportions(num_classes: int, ratios: ArrayLike, shape: str = "exponential") -> Array:
    """``(..., C)`` class proportions at imbalance ratios of shape ``(...)``: one tail, or a path of tails.

    Args:
        num_classes: C >= 2.
        ratios: R >= 1, largest over smallest proportion.
        shape: as for :func:`tail_depths`.

    Raises:
        UsageError: a ratio below 1 or not finite, fewer than two classes, or no such tail.

    >>> tail_proportions(3, [1.0, 100.0], "step:1").round(3)
    array([[0.333, 0.333, 0.333],
           [0.98 , 0.01 , 0.01 ]])
    """
    ratio = np.asarray(ratios, dtype=np.float64)
    wrong = ~(np.isfinite(ratio) & (ratio >= 1.0))
    if wrong.any():
        raise UsageError(f"Expected finite imbalance ratios of at least 1, got {ratio[wrong].flat[0]:g}.")
    weights = np.exp(-np.log(ratio)[..., None] * tail_depths(num_classes, shape))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), dtype=np.float64)


def first_collapse(
    num_classes: int, shape: str = "exponential", *, largest: float = LARGEST_RATIO, **settings: Any
) -> float | None:
    """The imbalance ratio at which the first two classes of a tail come to share a vector (numeric, ours).

    Certified optima on a grid of ratios, then bisection to a relative 1e-4. For ``step:A`` tails
    :func:`geometry.thresholds.threshold` knows the answer better.

    Args:
        num_classes: C >= 2.
        shape: as for :func:`tail_depths`.
        largest: ratio at which the search ends.
        **settings: loss settings of :func:`geometry.optimum.solve`.

    Returns:
        The ratio, or None where no classes coincide up to ``largest``.

    Raises:
        UncertifiedError: an optimum on the way cannot be certified.

    >>> first_collapse(3, "step:1", tau=2.0) is None
    False
    """
    from geometry.optimum import solve

    def collapsed(log_ratio: float) -> bool:
        return solve(tail_proportions(num_classes, np.exp(log_ratio), shape), **settings).distinct < num_classes

    end = float(np.log(largest))
    low = 0.0
    for high in np.linspace(0.0, end, max(1, int(PER_DECADE * end / np.log(10.0))) + 1)[1:].tolist():
        if collapsed(high):
            while high - low > RELATIVE_WIDTH:
                middle = (low + high) / 2.0
                low, high = (low, middle) if collapsed(middle) else (middle, high)
            return float(np.exp(high))
        low = high
    return None
