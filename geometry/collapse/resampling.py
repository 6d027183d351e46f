"""Bootstrap draws as multiplicities: how often each sample is drawn."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geometry.collapse.class_statistics import Array
from geometry.intervals import stratified_resamples

WORKING_SET = 2**23
"""Numbers a batch of resamples may hold in its largest array (64 MiB of float64)."""


def multiplicities(
    strata: NDArray[np.int64], resamples: int, rng: np.random.Generator, numbers_each: int
) -> Iterator[Array]:
    """Yield batches ``(b, N)`` of how often each sample is drawn, ``resamples`` rows in all.

    Args:
        strata: ``(N,)`` stratum of each sample; sizes of strata are kept.
        resamples: total number of resamples.
        rng: source of randomness.
        numbers_each: numbers one resample needs; it sets the size of a batch.
    """
    batch = max(1, min(resamples, WORKING_SET // max(1, numbers_each)))
    rows: list[Array] = []
    for index in stratified_resamples(strata, resamples, rng):
        rows.append(np.bincount(index, minlength=strata.size).astype(np.float64))
        if len(rows) == batch:
            yield np.stack(rows)
            rows = []
    if rows:
        yield np.stack(rows)
