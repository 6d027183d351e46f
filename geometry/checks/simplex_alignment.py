"""Check: do class means, prediction prototypes and classifier rows form a simplex under imbalance?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.alignment import gram_error
from geometry.artifact import Artifact
from geometry.checks.balanced_means import ClassVectors, balanced_means, head_rows, pair_interval
from geometry.checks.class_margins import NOT_LINKED
from geometry.checks.gradient_records import minority_groups
from geometry.checks.sample_parts import TRAIN, sample_parts
from geometry.checks.verdict import Claim, Outcome, Verdict, undecided, verdict
from geometry.collapse.class_statistics import ClassStatistics
from geometry.collapse.duality import nc3
from geometry.collapse.moments import class_statistics
from geometry.collapse.variability import nc1
from geometry.defined import mean_defined
from geometry.intervals import Interval, undefined
from geometry.shots import GROUPS

Array = NDArray[np.float64]

TOLERANCE = 0.1
FEWEST_CLASSES = 3  # two centred vectors are opposed whatever they are
SMALLEST_CLASS = 5
MOST_NOISE = 0.2
OBJECTS = {"class means": "features", "prediction prototypes": "predictions", "classifier rows": "head"}


def claim_about(subject: str) -> Claim:
    """The claim for one kind of class vectors."""
    resolved = (
        f"; of classes with {SMALLEST_CLASS} samples or more and at most {100 * MOST_NOISE:.0f}% sampling noise in the "
        f"squared length; undecided otherwise or where fewer than {FEWEST_CLASSES} or half of the classes remain"
    )
    rows = f"; of classes trained on; the number is exact; undecided with fewer than {FEWEST_CLASSES} classes"
    how = "" if subject == "classifier rows" else " (means over unseen samples, domains of equal weight)"
    return Claim(
        check="simplex_alignment",
        subject=subject,
        sentence=f"The {subject} form a simplex although the classes are imbalanced.",
        source="neural collapse (Papyan, Han and Donoho 2020) carried over to imbalance, as equilibrium contrastive "
        "learning aims at (ECL, arXiv 2602.09506); the test is ours",
        rule=f"Mean over pairs of |cos + 1/(K-1)|, cosines of the centred {subject}{how}: holds if its interval lies "
        f"below {TOLERANCE}, does not hold if it lies above"
        + (rows if subject == "classifier rows" else resolved)
        + ".",
    )


@dataclass(frozen=True)
class Block:
    """The pairs of one kind, many-many to few-few.

    Attributes:
        pairs: their number.
        cosine: mean cosine, against ``-1/(K-1)``.
        deviation: mean of ``|cos + 1/(K-1)|``, in [0, 2].
    """

    pairs: int
    cosine: Interval
    deviation: Interval


@dataclass(frozen=True)
class Equilibrium:
    """Collapse, spacing and duality of the same vectors, measured as :mod:`geometry.collapse` does.

    NC1 and NC3 are over pooled samples. ECL names its equilibrium metrics FC, MS and SD; we read them as NC1, NC2 and
    NC3 (its definitions were not at hand).

    Attributes:
        nc1: scatter within classes against that between them; NaN for rows.
        norm_cov: coefficient of variation of the centred lengths, 0 for a simplex.
        nc3: ``|| W/||W|| - M/||M|| ||`` of classifier rows and centred class means; NaN for any other vectors.
    """

    nc1: float
    norm_cov: float
    nc3: float


@dataclass(frozen=True, eq=False)
class _Measured:
    """One kind of class vectors on one set of samples."""

    vectors: ClassVectors
    stats: ClassStatistics | None  # None for rows
    deviation: Interval


def simplex_alignment(
    artifact: Artifact, *, rng: np.random.Generator, resamples: int = 200, level: float = 0.95
) -> tuple[Verdict, ...]:
    """Hold class means, prediction prototypes and classifier rows against the simplex, one verdict each.

    A subset of the vertices of a simplex, centred, is a simplex again, so classes may be left out: those with few
    samples, and those whose mean is mostly noise. The latter matters: class means of features *without any structure*
    are nearly orthogonal errors, and centred they form a simplex by themselves in high dimension.

    Means give the domains equal weight (:func:`~geometry.checks.balanced_means.balanced_means`): pooled, a class mean
    would also tell the mixture of domains in which the class happens to be seen. ``details["deviation"]`` gives sources
    and target apart. Angles decide; equal lengths (``norm_cov``) stand in ``details``.

    Args:
        artifact: features; logits for the prototypes, a linear head for the rows.
        rng: source of randomness.
        resamples: bootstrap redraws inside classes.
        level: nominal coverage.

    Returns:
        Three verdicts. ``details``: ``cosines`` ``(P, P)``, ``classes`` and ``groups`` (P names), ``target``
        (``-1/(P-1)``), ``tolerance``, ``blocks`` (kind of pair -> :class:`Block`), ``deviation`` (part of the samples
        -> interval), ``noise`` ``(P,)`` share of sampling noise in the squared length, ``equilibrium``, ``agreement``
        (other kind of vectors -> Frobenius distance of the normalised matrices of cosines, in [0, sqrt 2]),
        ``decides``.
    """
    parts = {
        name: artifact if index.size == len(artifact.labels) else artifact.take(index)
        for name, index in sample_parts(artifact).items()
    }
    main = next(iter(parts))
    seed = int(rng.integers(2**32))
    found: dict[str, _Measured | str] = {
        subject: _measure(parts[main], of, seed, resamples, level) for subject, of in OBJECTS.items()
    }
    names, how = _groups(artifact)
    verdicts = []
    for subject, of in OBJECTS.items():
        claim, measured = claim_about(subject), found[subject]
        if isinstance(measured, str):
            verdicts.append(undecided(claim, measured, n=len(parts[main].labels), level=level))
            continue
        deviations = {main: measured.deviation}
        for name, part in parts.items():
            if name != main and of != "head":
                other = _measure(part, of, seed, resamples, level)
                deviations[name] = (
                    undefined(len(part.labels), other, level) if isinstance(other, str) else other.deviation
                )
        classes = measured.vectors.classes
        groups = tuple(names[k] for k in classes)
        equilibrium = _equilibrium(artifact, measured, of)
        details: dict[str, Any] = {
            "cosines": measured.vectors.cosines,
            "classes": tuple(artifact.class_names[k] for k in classes),
            "groups": groups,
            "target": -1.0 / (classes.size - 1),
            "tolerance": TOLERANCE,
            "blocks": _blocks(measured.vectors, groups, level),
            "deviation": deviations,
            "noise": measured.vectors.noise,
            "equilibrium": equilibrium,
            "agreement": _agreement(subject, found),
            "decides": main,
        }
        note = _note(artifact, measured, main, how, equilibrium)
        verdicts.append(verdict(claim, _below(measured.deviation), measured.deviation, note, details))
    return tuple(verdicts)


def _below(estimate: Interval) -> Outcome:
    if estimate.high < TOLERANCE:
        return "holds"
    return "does not hold" if estimate.low > TOLERANCE else "undecided"


def _measure(part: Artifact, of: str, seed: int, resamples: int, level: float) -> _Measured | str:
    """One kind of vectors on one set of samples, or why there is none."""
    if of == "predictions" and part.logits is None:
        return "prediction prototypes need logits"
    stats = None
    if of == "head":
        if part.head_weight is None:
            return "the artifact has no linear head"
        trained = part.class_counts > 0 if part.class_counts.any() else np.ones(part.num_classes, dtype=bool)
        vectors = head_rows(part.head_weight, np.flatnonzero(trained))
        if vectors.classes.size < FEWEST_CLASSES:
            return f"{vectors.classes.size} classes trained on, fewer than {FEWEST_CLASSES}"
    else:
        values = part.probabilities() if of == "predictions" else part.features
        stats = class_statistics(values, part.labels, part.num_classes)
        vectors = balanced_means(
            values,
            part.labels,
            part.domains,
            shape=(part.num_domains, part.num_classes),
            fewest=SMALLEST_CLASS,
            most_noise=MOST_NOISE,
            rng=np.random.default_rng(seed),
            resamples=resamples,
        )
        if vectors.classes.size < max(FEWEST_CLASSES, part.num_classes / 2):
            return (
                f"{vectors.classes.size} of {part.num_classes} classes have {SMALLEST_CLASS} samples and a mean that "
                f"stands out of the sampling noise{_unlinked(vectors)}"
            )
    cosine = vectors.cosines[np.triu_indices(vectors.classes.size, 1)]
    if not np.isfinite(cosine).any():
        return "no direction of a centred vector is defined"
    everything = np.ones(cosine.size, dtype=bool)
    measure = _deviation(vectors.classes.size)
    return _Measured(vectors, stats, pair_interval(vectors, everything, measure, level=level, span=(0.0, 2.0)))


def _deviation(classes: int) -> Callable[[Array], Any]:
    return lambda cosine: mean_defined(np.abs(cosine + 1.0 / (classes - 1)))


def _groups(artifact: Artifact) -> tuple[tuple[str, ...], str]:
    """Group of each class, and how the groups were made."""
    masks, how = minority_groups(artifact)
    names = ["all"] * artifact.num_classes
    for group, mask in masks.items():
        for k in np.flatnonzero(mask):
            names[k] = group
    if artifact.shots is not None and not masks:
        names = list(artifact.shots)
    return tuple(names), how


def _blocks(vectors: ClassVectors, groups: tuple[str, ...], level: float) -> dict[str, Block]:
    first, second = np.triu_indices(len(groups), 1)
    names = np.asarray(groups)
    order = (*GROUPS, "all")
    blocks = {}
    for n, a in enumerate(order):
        for b in order[n:]:
            mask = ((names[first] == a) & (names[second] == b)) | ((names[first] == b) & (names[second] == a))
            if mask.any():
                blocks[f"{a}-{b}"] = Block(
                    int(mask.sum()),
                    pair_interval(vectors, mask, mean_defined, level=level, span=(-1.0, 1.0)),
                    pair_interval(vectors, mask, _deviation(len(groups)), level=level, span=(0.0, 2.0)),
                )
    return blocks


def _equilibrium(artifact: Artifact, measured: _Measured, of: str) -> Equilibrium:
    vectors, stats, nan = measured.vectors, measured.stats, float("nan")
    if stats is None:
        return Equilibrium(nan, vectors.norm_cov, nan)
    duality = nan
    if of == "features" and artifact.head_weight is not None:
        duality = float(nc3(stats, artifact.head_weight, vectors.classes).frobenius)
    return Equilibrium(float(nc1(stats, vectors.classes).value), vectors.norm_cov, duality)


def _agreement(subject: str, found: Mapping[str, _Measured | str]) -> dict[str, float]:
    """Distance of the matrix of cosines from that of each other kind of vectors, over the classes both have."""
    mine = found[subject]
    assert isinstance(mine, _Measured)
    agreement = {}
    for name, other in found.items():
        if name == subject or isinstance(other, str):
            continue
        _, here, there = np.intersect1d(mine.vectors.classes, other.vectors.classes, return_indices=True)
        first, second = mine.vectors.cosines[np.ix_(here, here)], other.vectors.cosines[np.ix_(there, there)]
        known = np.isfinite(first).all() and np.isfinite(second).all() and here.size >= 2
        agreement[name] = gram_error(first, second) if known else float("nan")
    return agreement


def _unlinked(vectors: ClassVectors) -> str:
    return f"; {vectors.unlinked} classes left out, {NOT_LINKED}" if vectors.unlinked else ""


def _note(artifact: Artifact, measured: _Measured, part: str, how: str, equilibrium: Equilibrium) -> str:
    vectors = measured.vectors
    words = [f"{vectors.classes.size} of {artifact.num_classes} classes{_unlinked(vectors)}", how]
    if part == TRAIN and vectors.samples:
        words.append("training samples only")
    if vectors.single_cells:
        words.append(f"{vectors.single_cells} cells of one sample left out")
    if np.isfinite(equilibrium.norm_cov):
        words.append(f"lengths vary by {100 * equilibrium.norm_cov:.0f}% of their mean")
    if vectors.classes.size > vectors.dimension + 1:
        words.append(f"no simplex of {vectors.classes.size} classes exists in {vectors.dimension} dimensions")
    undefined_pairs = int(np.isnan(vectors.cosines[np.triu_indices(vectors.classes.size, 1)]).sum())
    if undefined_pairs:
        words.append(f"{undefined_pairs} pairs have no defined angle and are left out")
    return "; ".join(words)
