"""Batches: which images step t trains on, as a pure function of t."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.data.randomness import named_generator
from geometry.errors import DataError, UsageError


class Sampler(Protocol):
    """Which images a step trains on."""

    def indices(self, step: int) -> list[NDArray[np.intp]]:
        """The images of step ``step`` (0, 1, ...): one ``(b,)`` array per source domain."""


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
        self.pools = _require_pools(pools, batch_size)
        self.batch_size = int(batch_size)
        self.seed = int(seed)
        # Only spares work: the epoch a domain was in last, with its permutation. No answer depends on it.
        self._latest: dict[int, tuple[int, NDArray[np.intp]]] = {}

    def indices(self, step: int) -> list[NDArray[np.intp]]:
        """The images of step ``step`` (0, 1, ...): one ``(b,)`` array per source domain.

        Raises:
            UsageError: a negative step.
        """
        _require_step(step)
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


class ClassAwareSampler:
    """Every class of a domain equally often, always two of its images together, without state.

    The stream of a domain is a stream of classes, two places each: one seeded permutation of the K classes after
    another, the same in all domains, without those that a domain lacks. Every class has a stream of its own images,
    one seeded permutation of them after another, and each place takes the next one. Step t takes places t b to
    (t + 1) b. So every tail class meets itself in a batch as often as a head class does (what contrastive terms need),
    as long as b is even, and its images come again sooner: a class of one image meets that image. (Class-balanced
    sampling is that of Shen et al. 2016; the pairs are ours.)

    Args:
        pools: one array of image indices per source domain.
        labels: ``(N,)`` classes of all images, by index.
        batch_size: images per domain and step, b.
        seed: of the permutations.

    Raises:
        DataError: no domain, or a domain without images.
        UsageError: a batch size below 1.

    >>> sampler = ClassAwareSampler([[0, 1, 2, 3, 4]], labels=[0, 0, 0, 0, 1], batch_size=4, seed=0)
    >>> sorted(sampler.indices(0)[0].tolist())[-2:]
    [4, 4]
    """

    def __init__(self, pools: Sequence[ArrayLike], labels: ArrayLike, batch_size: int, seed: int) -> None:
        self.pools = _require_pools(pools, batch_size)
        self.batch_size = int(batch_size)
        self.seed = int(seed)
        of = np.asarray(labels, dtype=np.intp)
        self.num_classes = int(of.max()) + 1
        self._cells = [{int(k): pool[of[pool] == k] for k in np.unique(of[pool])} for pool in self.pools]
        # Only spares work: no answer depends on what is remembered.
        self._order = lru_cache(4 * len(self.pools))(self._classes)
        self._images = lru_cache(4 * sum(map(len, self._cells)))(self._permuted)

    def indices(self, step: int) -> list[NDArray[np.intp]]:
        """The images of step ``step`` (0, 1, ...): one ``(b,)`` array per source domain.

        Raises:
            UsageError: a negative step.
        """
        _require_step(step)
        places = range(step * self.batch_size, (step + 1) * self.batch_size)
        return [
            np.array([self._image(domain, place) for place in places], dtype=np.intp)
            for domain in range(len(self.pools))
        ]

    def _image(self, domain: int, place: int) -> int:
        round_, within = divmod(place, 2 * len(self._cells[domain]))
        label = self._order(domain, round_)[within // 2]
        epoch, position = divmod(2 * round_ + within % 2, len(self._cells[domain][label]))
        return int(self._images(domain, label, epoch)[position])

    def _classes(self, domain: int, round_: int) -> list[int]:
        order = named_generator(self.seed, "classes", round_).permutation(self.num_classes).tolist()
        return [label for label in order if label in self._cells[domain]]

    def _permuted(self, domain: int, label: int, epoch: int) -> NDArray[np.intp]:
        cell = self._cells[domain][label]
        return cell if cell.size == 1 else named_generator(self.seed, "class", domain, label, epoch).permutation(cell)


def _require_pools(pools: Sequence[ArrayLike], batch_size: int) -> tuple[NDArray[np.intp], ...]:
    if batch_size < 1:
        raise UsageError(f"Expected a batch size of at least 1, got {batch_size}.")
    found = tuple(np.asarray(pool, dtype=np.intp).ravel() for pool in pools)
    if not found:
        raise DataError("Expected images of at least one source domain, got no domain.")
    for position, pool in enumerate(found):
        if pool.size == 0:
            raise DataError(f"Expected training images in every source domain, number {position} has none.")
    return found


def _require_step(step: int) -> None:
    if step < 0:
        raise UsageError(f"Expected a step of zero or more, got {step}.")
