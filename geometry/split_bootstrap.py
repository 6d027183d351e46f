"""Classifiers compared on the same samples, over several splits that share some of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.defined import ratio
from geometry.errors import DataError, UsageError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SplitAccuracies:
    """(Balanced) accuracies of several classifiers on several splits, and their joint redraws.

    Attributes:
        estimate: ``(S, C)`` of each split and classifier; NaN where it was not tested there.
        draws: ``(R, S, C)`` the same under redraws of the samples, all splits and classifiers together.
        samples: distinct samples.
    """

    estimate: Array
    draws: Array
    samples: int


def redrawn_accuracies(
    outcomes: ArrayLike,
    classes: ArrayLike,
    *,
    rng: np.random.Generator,
    balanced: bool = True,
    resamples: int = 2000,
) -> SplitAccuracies:
    """Accuracies on splits that share samples, under redraws of the samples inside each class.

    A sample that several splits test on is redrawn in all of them at once, so what splits have in common by it does
    not count as independent evidence. The classes of a split keep their sizes up to the samples it does not test on.

    Args:
        outcomes: ``(N, S, C)`` zeros and ones of each sample, split and classifier; NaN where not tested.
        classes: ``(N,)`` of the samples.
        rng: source of randomness.
        balanced: mean of the class means, else the mean over samples.
        resamples: redraws.

    Raises:
        DataError: shapes that do not fit.
        UsageError: fewer than 20 resamples.
    """
    values, names = np.asarray(outcomes, dtype=np.float64), np.asarray(classes)
    if values.ndim != 3 or names.shape != values.shape[:1]:
        raise DataError(f"Expected outcomes (N, S, C) and classes (N,), got {values.shape} and {names.shape}.")
    if resamples < 20:
        raise UsageError(f"Expected 20 resamples or more, got {resamples}.")
    size, splits, columns = values.shape
    tested = np.isfinite(values).reshape(size, -1)
    right = np.where(tested, values.reshape(size, -1), 0.0)
    top, bottom = np.zeros((2, resamples + 1, splits * columns))  # the last row is the data themselves
    for name in np.unique(names):
        here = names == name
        n = int(here.sum())
        times = np.ones((resamples + 1, n))
        times[:-1] = rng.multinomial(n, np.full(n, 1.0 / n), size=resamples)
        seen, hits = times @ tested[here], times @ right[here]
        if not balanced:
            top, bottom = top + hits, bottom + seen
            continue
        # A redraw without any of the split's samples of this class keeps the class as it is.
        hits, seen = (np.where(seen > 0, part, part[-1]) for part in (hits, seen))
        top += np.where(seen > 0, hits / np.where(seen > 0, seen, 1.0), 0.0)
        bottom += seen > 0
    share = np.asarray(ratio(top, bottom)).reshape(-1, splits, columns)
    return SplitAccuracies(share[-1], share[:-1], size)
