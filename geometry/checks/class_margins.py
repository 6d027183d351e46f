"""Class margins: mean, median and low quantile of each class, domains of equal weight, with their slope on log n_k."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.bound.margin import SCALES, geometric_margin, score_margin
from geometry.checks.count_slope import count_slope, permutation_p, plain_slopes
from geometry.intervals import Interval, percentile_interval, undefined
from geometry.linear_head import follows_head, head_scores

Array = NDArray[np.float64]
Index = NDArray[np.intp]

STATISTICS = ("mean", "median", "low")
LOW_QUANTILE = 0.05
NOT_LINKED = "not linked to the others by any domain"
WORKING_SET = 2**22  # numbers a batch of resamples may hold


@dataclass(frozen=True, eq=False)
class ClassMargins:
    """One statistic of the margins of each class on one set of samples.

    Attributes:
        value: ``(K,)``; NaN for a class without samples, or that no domain links to the others.
        low: ``(K,)`` lower end of the bootstrap interval over the samples of each domain and class.
        high: ``(K,)`` upper end.
        not_positive: share of the classes present whose value is zero or less.
        slope: per unit of ``log n_k``, for other classes (:func:`~geometry.checks.count_slope.count_slope`).
        log_slope: of the logarithm of the margin; undefined unless all classes have a positive one.
        resampled: the slope again, its interval over other samples of these very classes.
        permutation_p: p-value of a slope of zero.
    """

    value: Array
    low: Array
    high: Array
    not_positive: float
    slope: Interval
    log_slope: Interval
    resampled: Interval
    permutation_p: float


def margins_in_scales(artifact: Artifact) -> tuple[dict[str, Array], dict[str, str]]:
    """``(N,)`` margins in each scale that the artifact allows, and for each other scale the reason."""
    if artifact.num_classes < 2:
        return {}, dict.fromkeys(SCALES, "there is only one class")
    if artifact.logits is None and artifact.head_weight is None:
        return {}, dict.fromkeys(SCALES, "a margin needs logits or a linear head")
    labels = artifact.labels
    logits = head_scores(artifact) if artifact.logits is None else artifact.logits.astype(np.float64)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    margins = {
        "probability": score_margin(shifted / shifted.sum(axis=1, keepdims=True), labels),
        "logit": score_margin(logits, labels),
    }
    if artifact.head_weight is None:
        return margins, {"geometric": "a distance in feature space needs the weights of a linear head"}
    scores = head_scores(artifact)
    distance = geometric_margin(scores, labels, artifact.head_weight)
    if not np.isfinite(distance).all():
        return margins, {"geometric": "some distances are infinite because head rows coincide"}
    margins["geometric"] = distance
    same = follows_head(artifact)
    return margins, {} if same else {"": "the logits are not those of the head; distances are to its own boundary"}


def cell_margins(
    margins: Mapping[str, Array], cells: NDArray[np.int64], *, rng: np.random.Generator, resamples: int
) -> dict[tuple[str, str], tuple[Array, Array]]:
    """Statistics of the margins in each cell, on the data and on resamples of the samples of each cell.

    Args:
        margins: scale -> ``(n,)``; all scales are resampled alike.
        cells: ``(n,)`` cell of each sample, numbered 0..C-1, none empty.
        rng: source of randomness.
        resamples: B.

    Returns:
        ``(scale, statistic)`` -> ``(C,)`` values and ``(B, C)`` values on resamples.
    """
    scales = tuple(margins)
    values = np.array([margins[scale] for scale in scales])
    order = np.argsort(cells, kind="stable")
    sizes = np.bincount(cells)
    found = np.empty((len(scales), len(STATISTICS), resamples + 1, sizes.size))
    for cell, index in enumerate(np.split(order, np.cumsum(sizes)[:-1])):
        own = values[:, index]
        found[:, :, 0, cell] = _statistics(own[:, None])[:, :, 0]
        step = max(1, WORKING_SET // own.size)
        for first in range(0, resamples, step):
            size = min(step, resamples - first)
            drawn = own[:, rng.integers(0, index.size, (size, index.size))]
            found[:, :, 1 + first : 1 + first + size, cell] = _statistics(drawn)
    return {
        (scale, statistic): (found[s, t, 0], found[s, t, 1:])
        for s, scale in enumerate(scales)
        for t, statistic in enumerate(STATISTICS)
    }


def _statistics(values: Array) -> Array:
    """``(S, T, B)`` mean, median and low quantile of ``(S, B, n)``."""
    median, low = np.quantile(values, [0.5, LOW_QUANTILE], axis=-1)
    return np.stack([values.mean(axis=-1), median, low], axis=1)


def class_weights_of_cells(domains: Index, classes: Index, sizes: Index | None = None) -> tuple[Index, Array]:
    """How class values follow from cell values: the classes that can be compared ``(P,)`` and weights ``(P, C)``.

    The class values are those of the two-way fit ``cell = domain + class`` by least squares, at the average domain.
    With every cell present each is the plain mean over the domains; where a class lacks a domain it is not punished
    or favoured for the domain's being easy or hard. (Pooled samples would be: rare classes leave more of their source
    images unseen, so their pool would hold fewer of the harder target.)

    Two classes can be compared if a chain of cells links them, each sharing its class or domain with the next (the
    table is *connected*, Weeks and Williams 1964). Between parts without a link, what is the domains' and what the
    classes' cannot be told, so only the part of the most classes is fitted, at the average of its own domains.

    Args:
        domains: ``(C,)`` domain of each cell.
        classes: ``(C,)`` class of each cell.
        sizes: ``(C,)`` samples of each cell, by which the larger of two parts of as many classes is chosen; one each
            if not given.

    Returns:
        The classes of that part, and weights that are zero on all other cells.

    >>> present, weights = class_weights_of_cells(np.array([0, 1, 0]), np.array([0, 0, 1]))
    >>> (weights @ [1.0, 3.0, 5.0]).round(9).tolist()  # domain 1 is higher by 2, so class 1 would have 5 and 7
    [2.0, 6.0]
    """
    linked = _largest_part(domains, classes, np.ones_like(classes) if sizes is None else sizes)
    present, class_code = np.unique(classes[linked], return_inverse=True)
    here, domain_code = np.unique(domains[linked], return_inverse=True)
    every = np.arange(linked.size)
    design = np.zeros((linked.size, present.size + here.size))
    design[every, class_code] = 1.0
    design[every, present.size + domain_code] = 1.0
    solve = np.linalg.pinv(design, rcond=1e-10)
    weights = np.zeros((present.size, classes.size))
    weights[:, linked] = solve[: present.size] + solve[present.size :].mean(axis=0)
    return present, weights


def _largest_part(domains: Index, classes: Index, sizes: Index) -> Index:
    """Cells of the connected part of the table that has the most classes, then samples, then the first class."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    present, class_code = np.unique(classes, return_inverse=True)
    here, domain_code = np.unique(domains, return_inverse=True)
    vertices = present.size + here.size
    edges = coo_array((np.ones(classes.size), (class_code, present.size + domain_code)), shape=(vertices, vertices))
    _, part = connected_components(edges, directed=False)
    held, samples = np.bincount(part[: present.size]), np.bincount(part[class_code], weights=sizes)
    # Parts are numbered by their first class.
    largest = np.lexsort((-np.arange(held.size), samples, held))[-1]
    return np.flatnonzero(part[class_code] == largest)


def class_margins(
    estimate: Array, draws: Array, counts: NDArray[np.int64], samples: int, *, rng: np.random.Generator, level: float
) -> ClassMargins:
    """Class values with their slopes.

    Args:
        estimate: ``(K,)``; NaN for classes without samples or links.
        draws: ``(B, K)`` on resamples.
        counts: ``(K,)`` training samples.
        samples: behind the values.
        rng: source of randomness.
        level: nominal coverage.
    """
    present = np.isfinite(estimate)
    low, high = np.full((2, estimate.size), np.nan)
    tail = 50.0 * (1.0 - level)
    low[present], high[present] = np.percentile(draws[:, present], [tail, 100.0 - tail], axis=0)
    logarithms, usable = np.full(estimate.size, np.nan), present & (counts > 0)
    lost = int(np.sum(usable & ~(estimate > 0)))
    if lost:
        reason = f"{lost} of {int(usable.sum())} class margins are not positive and have no logarithm"
        log_slope = undefined(int(usable.sum()), reason, level)
    else:
        logarithms[usable] = np.log(estimate[usable])
        log_slope = count_slope(logarithms, counts, level=level)
    plain = float(plain_slopes(estimate, np.where(usable, counts, 0))[0]) if usable.any() else float("nan")
    redrawn = plain_slopes(np.where(usable, draws, np.nan)[:, usable], counts[usable]) if usable.any() else np.zeros(0)
    return ClassMargins(
        value=estimate,
        low=low,
        high=high,
        not_positive=float(np.mean(estimate[present] <= 0)) if present.any() else float("nan"),
        slope=count_slope(estimate, counts, level=level),
        log_slope=log_slope,
        resampled=percentile_interval(plain, redrawn, n=samples, level=level),
        permutation_p=permutation_p(estimate, counts, rng=rng),
    )
