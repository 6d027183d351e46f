"""Imbalance settings: named generators of training counts per source domain and class."""

import inspect
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.data.imbalance import CountTable, require_whole
from experiments.data.randomness import named_generator
from geometry.errors import DataError, UsageError

Counts = NDArray[np.int64]
Setting = Callable[..., Counts]


def make_counts(
    setting: str,
    sizes: ArrayLike,
    domains: Sequence[str],
    classes: Sequence[str],
    *,
    validation: int,
    seed: int = 0,
    **parameters: float,
) -> CountTable:
    """The training counts that a setting gives to the source domains.

    Args:
        setting: a name in :data:`SETTINGS`.
        sizes: ``(M_s, K)`` images of the source domains, validation included; 0 where a domain has none of a class.
        domains: names of the M_s source domains.
        classes: names of the K classes.
        validation: images per cell set aside for validation before anything else.
        seed: what the setting may draw from.
        **parameters: the setting's own parameters, for example ``c=2``.

    Raises:
        UsageError: an unknown setting or parameter (the known ones are listed), a parameter out of range.
        DataError: a cell with too few images, named.
    """
    if setting not in SETTINGS:
        raise UsageError(f"Unknown setting {setting!r}; known are {', '.join(SETTINGS)}.")
    generate = SETTINGS[setting]
    known = {
        name: option.default
        for name, option in inspect.signature(generate).parameters.items()
        if option.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if unknown := sorted(set(parameters) - set(known)):
        raise UsageError(f"Setting {setting} has no parameter {unknown[0]!r}; it has {', '.join(known)}.")
    validation = require_whole(validation, "a number of validation images")
    table = np.asarray(sizes, dtype=np.int64)
    if table.shape != (len(domains), len(classes)) or table.size == 0:
        raise DataError(f"Expected sizes of {len(domains)} domains x {len(classes)} classes, got {table.shape}.")
    available = np.where(table > 0, table - validation, 0)
    for domain, label in np.argwhere((table > 0) & (available < 1)):
        raise DataError(
            f"Domain {domains[domain]!r}, class {classes[label]!r} has {table[domain, label]} images; {validation} to "
            f"validate and at least 1 to train are asked for. Ask for fewer validation images."
        )
    resolved = known | parameters
    # Ties between class sizes are settled by name, so the counts must not depend on the order of the columns.
    rank = np.argsort(np.argsort(list(classes)))
    counts = generate(available, rank, named_generator(seed, "setting", setting), **resolved)
    result = CountTable(
        setting, tuple(domains), tuple(classes), counts, int(seed), {**resolved, "validation": validation}
    )
    result.require_available(table, validation)
    return result


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
    from scipy.stats import fisk

    _require_share(test)
    if not 1 < c < np.inf:
        raise UsageError(f"Expected a finite c > 1, got {c}: the log-logistic distribution has no mean otherwise.")
    pooled = available.sum(axis=0)
    K = pooled.size
    if K < 2:
        raise DataError(f"Expected at least two classes for a long tail, got {K}.")
    order = np.lexsort((rank, pooled))[::-1]
    density = fisk.pdf(np.linspace(1.0 / fisk.mean(c), fisk.ppf(0.99, c), K), c)
    wanted = np.empty(K)
    wanted[order] = pooled[order[0]] * (1.0 - test) * density / density[0]
    wanted = np.where(wanted > pooled, pooled * (1.0 - test), wanted)
    share = np.divide(available, pooled, out=np.zeros(available.shape), where=pooled > 0)
    counts = np.floor(_snap(wanted * share)).astype(np.int64)
    return np.where(available > 0, np.maximum(counts, 1), 0)


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
    _require_share(test)
    wanted = require_whole(per_cell, "images per cell")
    present = available > 0
    if wanted == 0 and present.any():
        wanted = max(1, int(_snap(available[present].min() * (1.0 - test))))
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
    _require_share(test)
    counts = np.floor(_snap(available * (1.0 - test))).astype(np.int64)
    return np.where(available > 0, np.maximum(counts, 1), 0)


def _snap(value: ArrayLike) -> NDArray[np.float64]:
    """Values within rounding error of a whole number, made whole, so that flooring 0.8 * 290 gives 232."""
    exact = np.asarray(value, dtype=np.float64)
    whole = np.rint(exact)
    return np.where(np.abs(exact - whole) <= 1e-9 * np.maximum(1.0, np.abs(whole)), whole, exact)


def _require_share(test: float) -> None:
    if not 0 <= test < 1:
        raise UsageError(f"Expected a test share in [0, 1), got {test}.")


SETTINGS: dict[str, Setting] = {"TotalHeavyTail": total_heavy_tail, "balanced": balanced, "natural": natural}
