"""Settings without a story: balanced, the data set as it is, and an exponential tail in every domain."""

import numpy as np

from experiments.data.imbalance import require_whole
from experiments.data.settings.profile import Counts, largest_first, require_share, snap
from geometry.errors import UsageError


def balanced(
    available: Counts, rank: Counts, rng: np.random.Generator, *, per_cell: int = 0, test: float = 0.2
) -> Counts:
    """As many images of every class in every domain (ours).

    Args:
        available: ``(M_s, K)`` images left after validation.
        rank: unused.
        rng: unused.
        per_cell: images per cell; 0 for the most that every cell can give after the share ``test``.
        test: share of the smallest cell kept from training, in [0, 1).

    Returns:
        ``(M_s, K)`` counts; zero in cells the data set lacks.
    """
    require_share(test)
    wanted = require_whole(per_cell, "images per cell")
    present = available > 0
    if wanted == 0 and present.any():
        wanted = max(1, int(snap(available[present].min() * (1.0 - test))))
    return np.where(present, wanted, 0)


def natural(available: Counts, rank: Counts, rng: np.random.Generator, *, test: float = 0.2) -> Counts:
    """The data set as it is: every cell gives all but the share ``test`` of its images, at least 1 (ours).

    Args:
        available: ``(M_s, K)`` images left after validation.
        rank: unused.
        rng: unused.
        test: share of every cell kept from training, in [0, 1); 0 trains on everything left after validation.

    Returns:
        ``(M_s, K)`` counts; zero in cells the data set lacks.
    """
    require_share(test)
    counts = np.floor(snap(available * (1.0 - test))).astype(np.int64)
    return np.where(available > 0, np.maximum(counts, 1), 0)


def exponential(
    available: Counts,
    rank: Counts,
    rng: np.random.Generator,
    *,
    ratio: float = 100.0,
    shuffle: bool = False,
    test: float = 0.2,
) -> Counts:
    """Every domain its own exponential tail: ``n_k = n_1 ratio^{-k/(K-1)}``, k from 0 in the domain's own order (ours).

    The head of a domain is its largest class, which gives all but the share ``test`` of its images; a class that has
    fewer images than the tail asks for gives all but the share ``test``. With ``shuffle`` the order of the classes is
    drawn anew for every domain, so that heads and tails differ between domains. (The law is that of Cao et al. 2019
    for one domain.)

    Args:
        available: ``(M_s, K)`` images left after validation.
        rank: ``(K,)`` position of every class in the order of names.
        rng: of the shuffled orders.
        ratio: imbalance ratio inside a domain, at least 1.
        shuffle: draw the order of the classes instead of taking it by size.
        test: share of the head kept from training, in [0, 1).

    Returns:
        ``(M_s, K)`` counts, at least 1 where the data set has images.
    """
    require_share(test)
    if not 1 <= ratio < np.inf:
        raise UsageError(f"Expected a finite imbalance ratio of at least 1, got {ratio}.")
    K = available.shape[1]
    tail = ratio ** -(np.arange(K) / max(1, K - 1))
    counts = np.zeros_like(available)
    for domain, sizes in enumerate(available):
        order = rng.permutation(K) if shuffle else largest_first(sizes, rank)
        wanted = np.minimum(sizes[order].max() * tail, sizes[order]) * (1.0 - test)
        counts[domain, order] = np.floor(snap(wanted)).astype(np.int64)
    return np.where(available > 0, np.maximum(counts, 1), 0)
