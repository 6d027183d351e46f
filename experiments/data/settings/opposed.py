"""Domains whose heads and tails oppose each other: the settings ``Cross`` and ``Duality`` of the NDCL release.

Source: Cao, Liu and Chen, arXiv 2601.21999, as released. Both order the source domains by their images, and both order
the classes as the smallest domain has them, largest first; some domains follow that order (long tail), some the reverse
one, and some are balanced.
"""

from collections.abc import Callable

import numpy as np

from experiments.data.settings.profile import Array, Counts, largest_first, log_logistic_profile, require_share, snap
from geometry.errors import DataError, UsageError


def cross(
    available: Counts,
    rank: Counts,
    rng: np.random.Generator,
    *,
    c: float = 3.0,
    middle: float = 0.3,
    test: float = 0.2,
) -> Counts:
    """Small domains long-tailed, large ones with the reverse order; the smallest of an odd number is balanced.

    With M source domains by size, the first M mod 2 are balanced, the next floor(M / 2) follow the order of the first
    of them and the last floor(M / 2) the reverse order, the j-th of either kind with the log-logistic profile of shape
    ``c j``. Its head class gives all but the share ``test``; class k gives r_k / r_1 times as many, at most all but the
    share ``test`` of its own, at least 1. Balanced domains have ``middle`` times the mean cell of the others, at most
    all but the share ``test`` of their own smallest class. Nothing is drawn. The released tables of PACS, VLCS and
    OfficeHome come out cell by cell.

    Args:
        available: ``(M_s, K)`` images left after validation.
        rank: ``(K,)`` position of every class in the order of names.
        rng: unused.
        c: shape of the profile, above 1.
        middle: size of balanced cells against the mean cell of the others, in (0, 1].
        test: share kept from training, in [0, 1).

    Returns:
        ``(M_s, K)`` counts.
    """
    require_share(test)
    if not 0 < middle <= 1:
        raise UsageError(f"Expected a share middle in (0, 1], got {middle}.")
    smallest_first = _require_domains(available, 2, "Cross")
    half = len(smallest_first) // 2
    even, forward, reverse = np.split(smallest_first, [len(smallest_first) - 2 * half, len(smallest_first) - half])
    order = largest_first(available[forward[0]], rank)
    counts = np.zeros_like(available)
    for kind, direction in ((forward, order), (reverse, order[::-1])):
        for position, domain in enumerate(kind, 1):
            profile = log_logistic_profile(available.shape[1], c * position)
            head = available[domain, direction[0]] * (1.0 - test)
            counts[domain, direction] = _tail(head * profile / profile[0], available[domain, direction], test)
    filled = counts[np.concatenate([forward, reverse])]
    for domain in even:
        own = int(snap(available[domain].min() * (1.0 - test)))
        counts[domain] = min(own, int(snap(middle * filled.sum(axis=0).mean() / len(filled))))
    return np.where(available > 0, np.maximum(counts, 1), 0)


def duality(
    available: Counts,
    rank: Counts,
    rng: np.random.Generator,
    *,
    c: float = 3.0,
    least: int = 40,
    most: int = 50,
    test: float = 0.2,
) -> Counts:
    """Small domains long-tailed, middle ones with the reverse order and a drawn size, the largest tiny and balanced.

    With M source domains by size, the first round(M / 3) follow their own order as in :func:`cross`; the last
    round(M / 3) are balanced, with n images in all, n uniform from ``least`` to ``most``; those between have the
    reverse order and the profile's shares of ``n + B (m - n)`` images, B ~ Beta(1/2, 1/2), m the images of the largest
    long-tailed domain. Shares are of the whole profile, ``r_k / sum_j r_j``. Given n and B the released tables of
    PACS, VLCS and OfficeHome come out in all cells but one of VLCS, which breaks the release's own rule; its draws
    came from a global random state that was not recorded.

    Args:
        available: ``(M_s, K)`` images left after validation.
        rank: ``(K,)`` position of every class in the order of names.
        rng: of n and of each B.
        c: shape of the profile, above 1.
        least: fewest images of a balanced domain.
        most: most images of a balanced domain.
        test: share kept from training, in [0, 1).

    Returns:
        ``(M_s, K)`` counts.
    """
    require_share(test)
    if not 1 <= least <= most:
        raise UsageError(f"Expected 1 <= least <= most images of a balanced domain, got {least} and {most}.")
    drawn = max(int(rng.integers(least, most + 1)), available.shape[1])
    return _duality(available, rank, c=c, test=test, drawn=drawn, share=lambda: float(rng.beta(0.5, 0.5)))


def _duality(
    available: Counts, rank: Counts, *, c: float, test: float, drawn: int, share: Callable[[], float]
) -> Counts:
    smallest_first = _require_domains(available, 2, "Duality")
    third = round(len(smallest_first) / 3)
    forward, reverse, even = np.split(smallest_first, [third, len(smallest_first) - third])
    order, K = largest_first(available[forward[0]], rank), available.shape[1]
    counts = np.zeros_like(available)
    for position, domain in enumerate(forward, 1):
        profile = log_logistic_profile(K, c * position)
        head = available[domain, order[0]] * (1.0 - test)
        counts[domain, order] = _tail(head * profile / profile[0], available[domain, order], test)
    counts[even] = np.minimum(-(-drawn // K), available[even])
    largest = int(counts[forward].sum(axis=1).max())
    for position, domain in enumerate(reverse, 1):
        profile = log_logistic_profile(K, c * position)
        total = round(share() * (largest - drawn) + drawn)
        counts[domain, order[::-1]] = _tail(total * profile / profile.sum(), available[domain, order[::-1]], test)
    return np.where(available > 0, np.maximum(counts, 1), 0)


def _tail(wanted: Array, available: Counts, test: float) -> Counts:
    """Whole numbers, at most all but the share ``test`` of what there is, at least 1."""
    return np.maximum(np.floor(snap(np.minimum(wanted, available * (1.0 - test)))).astype(np.int64), 1)


def _require_domains(available: Counts, least: int, setting: str) -> Counts:
    """Source domains from the fewest images to the most; the earlier one of two equal ones first."""
    if len(available) < least:
        raise DataError(f"Setting {setting} opposes domains: expected at least {least} source domains, got 1.")
    return np.argsort(available.sum(axis=1), kind="stable")
