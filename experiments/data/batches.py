"""Batches: which images step t trains on, as a pure function of t."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.data.randomness import named_generator
from geometry.errors import DataError, UsageError


class BatchSampler:
    """The same number of images from every source domain at every step, without state.

    The stream of a domain is one seeded permutation of its images after another, an epoch each; step t takes the
    stream's positions t b to (t + 1) b. Training can therefore resume at any step, a batch may be larger than a domain
    (the stream goes on), and each image comes once per epoch of its own domain.

    Args:
        pools: one array of image indices per source domain.
        batch_size: images per domain and step, b.
        seed: of the permutations.

    Raises:
        DataError: no domain, or a domain without images.
        UsageError: a batch size below 1.

    >>> sampler = BatchSampler([np.arange(5), np.array([7])], batch_size=3, seed=0)
    >>> [batch.tolist() for batch in sampler.indices(1)][1]
    [7, 7, 7]
    """

    def __init__(self, pools: Sequence[ArrayLike], batch_size: int, seed: int) -> None:
        if batch_size < 1:
            raise UsageError(f"Expected a batch size of at least 1, got {batch_size}.")
        self.pools = tuple(np.asarray(pool, dtype=np.intp).ravel() for pool in pools)
        if not self.pools:
            raise DataError("Expected images of at least one source domain, got no domain.")
        for position, pool in enumerate(self.pools):
            if pool.size == 0:
                raise DataError(f"Expected training images in every source domain, number {position} has none.")
        self.batch_size = int(batch_size)
        self.seed = int(seed)
        # Only spares work: the epoch a domain was in last, with its permutation. No answer depends on it.
        self._latest: dict[int, tuple[int, NDArray[np.intp]]] = {}

    def indices(self, step: int) -> list[NDArray[np.intp]]:
        """The images of step ``step`` (0, 1, ...): one ``(b,)`` array per source domain.

        Raises:
            UsageError: a negative step.
        """
        if step < 0:
            raise UsageError(f"Expected a step of zero or more, got {step}.")
        return [self._stream(domain, step * self.batch_size) for domain in range(len(self.pools))]

    def epochs(self, step: int) -> list[float]:
        """How many times every domain has been seen when ``step`` steps are done."""
        return [step * self.batch_size / pool.size for pool in self.pools]

    def _stream(self, domain: int, start: int) -> NDArray[np.intp]:
        n, stop = self.pools[domain].size, start + self.batch_size
        pieces = []
        while start < stop:
            epoch, offset = divmod(start, n)
            piece = self._epoch(domain, epoch)[offset : offset + stop - start]
            pieces.append(piece)
            start += piece.size
        return np.concatenate(pieces)

    def _epoch(self, domain: int, epoch: int) -> NDArray[np.intp]:
        latest = self._latest.get(domain)
        if latest is None or latest[0] != epoch:
            rng = named_generator(self.seed, "batches", domain, epoch)
            latest = self._latest[domain] = (epoch, rng.permutation(self.pools[domain]))
        return latest[1]
