"""One long tail over classes, shared by all source domains."""

import numpy as np

from experiments.data.settings.profile import Counts, largest_first, log_logistic_profile, require_share, snap


def total_heavy_tail(
    available: Counts, rank: Counts, rng: np.random.Generator, *, c: float = 3.0, test: float = 0.2
) -> Counts:
    """The ``TotalHeavyTail`` setting of the NDCL release: one long tail over classes, shared by all sources.

    Classes are ordered by their pooled size, largest first (of two equal ones, the later name first). With the
    log-logistic (Fisk) density f of shape c and K points x_1..x_K evenly spaced from 1/mean to the 99 % quantile,
    class k is worth r_k = f(x_k) / sum_j f(x_j). The head class gives all but the share ``test`` of its images; class
    k gives r_k / r_1 times as many, shared over the domains in proportion to their images of it, rounded down, and at
    least 1. A class that has fewer images than that gives all but the share ``test``. Nothing is drawn.

    Source: Cao, Liu and Chen, arXiv 2601.21999, as released: its count tables for PACS (15 validation images),
    VLCS, OfficeHome (5) and DomainNet (5, c = 2) come out cell by cell.

    Args:
        available: ``(M_s, K)`` images left after validation.
        rank: ``(K,)`` position of every class in the order of names.
        rng: unused.
        c: shape of the profile, above 1; the larger, the heavier the head.
        test: share of the head kept from training, in [0, 1).

    Returns:
        ``(M_s, K)`` counts.
    """
    require_share(test)
    pooled = available.sum(axis=0)
    density = log_logistic_profile(pooled.size, c)
    order = largest_first(pooled, rank)
    wanted = np.empty(pooled.size)
    wanted[order] = pooled[order[0]] * (1.0 - test) * density / density[0]
    wanted = np.where(wanted > pooled, pooled * (1.0 - test), wanted)
    share = np.divide(available, pooled, out=np.zeros(available.shape), where=pooled > 0)
    counts = np.floor(snap(wanted * share)).astype(np.int64)
    return np.where(available > 0, np.maximum(counts, 1), 0)
