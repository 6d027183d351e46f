"""Learned against optimal: how far class means are from where a theory says they should sit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.alignment import cosines, gram_error, kernel_alignment, procrustes, relative_error
from geometry.artifact import Artifact
from geometry.class_vectors import LearnedVectors, learned_vectors
from geometry.errors import DataError, UsageError
from geometry.frames import orthogonal_frame, seli_classifiers, seli_embeddings, simplex_etf
from geometry.intervals import Interval, reflected_interval
from geometry.optimum.solve import Optimum, matrix_rank, solve
from geometry.pair_angles import Block, PairAngle, angle_blocks, pair_angles

Array = NDArray[np.float64]
GREATEST_ERROR = 2**0.5  # of two positive semidefinite matrices: their inner product is not negative
SUMMARY_HEADER = (
    "of", "target", "centre", "split", "classes", "samples", "gram_error", "low", "high", "relative_error",
    "alignment", "procrustes", "angle_rms", "dimension", "target_rank",
)  # fmt: skip
PAIR_HEADER = ("of", "target", "first", "second", "learned", "optimal", "residual", "group")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Learned class vectors against a target, both centred alike (or not), both scaled to unit length.

    Attributes:
        of: ``features``, ``predictions`` or ``head``.
        target: name of the target.
        centre: class vectors minus their balanced mean, on both sides, before scaling.
        split: samples used; None for the head.
        classes: names of the P classes compared.
        left_out: names of the others: absent from the samples or the target, or without a direction.
        learned: ``(P, P)`` learned cosines G.
        optimal: ``(P, P)`` target cosines G*.
        gram_error: ``|| G/||G||_F - G*/||G*||_F ||_F`` in [0, sqrt(2)]. Noise of the class means biases it, so its
            interval is the reflected bootstrap, which takes that bias off to first order only: near 0, and where class
            means are hardly longer than their noise, it covers the population value less often than it says.
        relative_error: ``||G - G*||_F / ||G*||_F``.
        alignment: centred kernel alignment of G and G*, at most 1; NaN when one is constant.
        procrustes: ``min_{a,Q} ||a X Q - X*||_F / ||X*||_F`` in [0, 1] over scale and rotation, ``X X^T = G``.
        learned_coordinates: ``(P, P)`` a X Q.
        optimal_coordinates: ``(P, P)`` X*.
        pairs: angle table, largest absolute residual first.
        blocks: residuals of all pairs, then of each pair of shot groups.
        samples: N used.
        dimension: dimension D of the learned vectors.
        target_rank: dimension that the target needs.
        notes: what a reader must know, in sentences.
    """

    of: str
    target: str
    centre: bool
    split: str | None
    classes: tuple[str, ...]
    left_out: tuple[str, ...]
    learned: Array
    optimal: Array
    gram_error: Interval
    relative_error: float
    alignment: float
    procrustes: float
    learned_coordinates: Array
    optimal_coordinates: Array
    pairs: tuple[PairAngle, ...]
    blocks: tuple[Block, ...]
    samples: int
    dimension: int
    target_rank: int
    notes: tuple[str, ...]

    def summary(self) -> tuple[object, ...]:
        """One row under ``SUMMARY_HEADER``."""
        error = self.gram_error
        return (
            self.of, self.target, self.centre, self.split, len(self.classes), self.samples, error.estimate, error.low,
            error.high, self.relative_error, self.alignment, self.procrustes, self.blocks[0].rms, self.dimension,
            self.target_rank,
        )  # fmt: skip

    def rows(self) -> list[tuple[object, ...]]:
        """The angle table, one row per pair of classes, under ``PAIR_HEADER``."""
        return [
            (self.of, self.target, pair.first, pair.second, pair.learned, pair.optimal, pair.residual, pair.group)
            for pair in self.pairs
        ]


def compare(
    artifact: Artifact,
    target: ArrayLike,
    *,
    name: str = "target",
    of: str = "features",
    centre: bool = True,
    split: str | None = None,
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Hold learned class vectors against a target Gram matrix.

    Args:
        artifact: the representation.
        target: ``(K, K)`` Gram matrix of any scale; NaN rows and columns where it says nothing about a class.
        name: what to call the target.
        of: ``features``, ``predictions`` or ``head``.
        centre: subtract the balanced mean of the class vectors, from the target's as well.
        split: which samples; the training split by default.
        resamples: bootstrap redraws.
        level: nominal coverage of the intervals.
        seed: of the bootstrap.

    Raises:
        UsageError: unknown ``of`` or split, or a target of the wrong shape.
        DataError: logits or head missing, or fewer than two classes to compare.
    """
    defined = np.isfinite(np.diag(_checked(target, artifact.num_classes)))
    learned = learned_vectors(
        artifact, of=of, among=defined, centre=centre, split=split, resamples=resamples, seed=seed
    )
    return against(learned, target, name=name, level=level)


def against(learned: LearnedVectors, target: ArrayLike, *, name: str = "target", level: float = 0.95) -> Comparison:
    """Hold class vectors already computed against one more target (see :func:`compare`)."""
    artifact = learned.artifact
    whole = _checked(target, artifact.num_classes)
    at = learned.classes[np.isfinite(np.diag(whole))[learned.classes]]
    if len(at) < len(learned.classes):
        raise DataError(f"The target {name!r} says nothing about some of the classes; leave them out with `among`.")
    optimal = cosines(whole[np.ix_(at, at)], centre=learned.centre)
    known = np.isfinite(np.diag(optimal)) & np.isfinite(np.diag(learned.gram))
    if known.sum() < 2:
        raise DataError("Expected at least two classes with a direction of their own to compare; fewer have one.")
    block = np.ix_(known, known)
    gram, optimal, classes = learned.gram[block], optimal[block], at[known]
    residual, mine, goal = procrustes(gram, optimal)
    names = artifact.class_names
    shots = None if artifact.shots is None else tuple(artifact.shots[k] for k in classes)
    pairs = pair_angles(gram, optimal, tuple(names[k] for k in classes), shots)
    left_out = tuple(n for k, n in enumerate(names) if k not in set(classes.tolist()))
    rank = matrix_rank(optimal)
    return Comparison(
        of=learned.of,
        target=name,
        centre=learned.centre,
        split=learned.split,
        classes=tuple(names[k] for k in classes),
        left_out=left_out,
        learned=gram,
        optimal=optimal,
        gram_error=_error_interval(learned, block, gram, optimal, level),
        relative_error=relative_error(gram, optimal),
        alignment=kernel_alignment(gram, optimal),
        procrustes=residual,
        learned_coordinates=mine,
        optimal_coordinates=goal,
        pairs=pairs,
        blocks=angle_blocks(pairs),
        samples=learned.samples,
        dimension=learned.dimension,
        target_rank=rank,
        notes=_notes(learned, left_out, rank),
    )


@dataclass(frozen=True, eq=False)
class TheoryFit:
    """Learned class vectors against every theory.

    Attributes:
        optimum: the contrastive program's optimum for the classes with training samples.
        classes: names of those classes.
        comparisons: one per representation and target.
    """

    optimum: Optimum
    classes: tuple[str, ...]
    comparisons: tuple[Comparison, ...]

    def best(self, of: str = "features") -> Comparison:
        """The target with the least Gram error.

        Raises:
            UsageError: ``of`` was not compared.
        """
        fits = [comparison for comparison in self.comparisons if comparison.of == of]
        if not fits:
            raise UsageError(f"No comparison of {of!r} was made.")
        return min(fits, key=lambda comparison: comparison.gram_error.estimate)

    def rows(self) -> list[tuple[object, ...]]:
        """One row per comparison, under ``SUMMARY_HEADER``."""
        return [comparison.summary() for comparison in self.comparisons]


def compare_to_optimum(
    artifact: Artifact,
    *,
    tau: float = 1.0,
    q: float = 1.0,
    method: str = "auto",
    of: tuple[str, ...] | None = None,
    centre: bool = True,
    split: str | None = None,
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
) -> TheoryFit:
    """Compare class vectors with the contrastive optimum, the simplex ETF and the SELI geometry of cross-entropy.

    Targets are made for the classes that have training samples, from their training counts, and each is centred as
    the learned vectors are; the orthogonal frame joins when they are not (centred, it is the ETF).

    Args:
        artifact: the representation.
        tau: temperature of the contrastive program.
        q: weight of its negatives.
        method: its solver.
        of: representations; features, and predictions when there are logits, by default.
        centre: subtract the balanced mean of the class vectors.
        split: which samples; the training split by default.
        resamples: bootstrap redraws.
        level: nominal coverage of the intervals.
        seed: of the bootstrap.

    Raises:
        DataError: fewer than two classes have training samples, or a part is missing.
        UsageError: unknown representation, split or settings.
    """
    counts = artifact.class_counts
    trained = counts > 0
    if trained.sum() < 2:
        raise DataError(f"Expected at least two classes with training samples, got {int(trained.sum())}.")
    optimum = solve(counts[trained], tau=tau, q=q, method=method)
    fits = []
    for part in of or (("features",) if artifact.logits is None else ("features", "predictions")):
        seli = seli_classifiers if part == "head" else seli_embeddings
        targets = {
            "optimum": optimum.gram,
            "etf": simplex_etf(int(trained.sum())),
            "seli classifiers" if part == "head" else "seli embeddings": seli(counts[trained]),
        }
        if not centre:
            targets["orthogonal frame"] = orthogonal_frame(int(trained.sum()))
        learned = learned_vectors(
            artifact, of=part, among=trained, centre=centre, split=split, resamples=resamples, seed=seed
        )
        fits += [against(learned, _among(gram, trained), name=name, level=level) for name, gram in targets.items()]
    names = tuple(name for name, seen in zip(artifact.class_names, trained, strict=True) if seen)
    return TheoryFit(optimum, names, tuple(fits))


def _checked(target: ArrayLike, num_classes: int) -> Array:
    gram = np.asarray(target, dtype=np.float64)
    if gram.shape != (num_classes, num_classes):
        raise UsageError(f"Expected a target of shape ({num_classes}, {num_classes}), got {gram.shape}.")
    defined = np.isfinite(np.diag(gram))
    block = gram[np.ix_(defined, defined)]
    if not np.isfinite(block).all() or not np.allclose(block, block.T, rtol=1e-8):
        raise UsageError("Expected a symmetric Gram matrix, NaN only in whole rows and columns; the target is not one.")
    return gram


def _among(gram: Array, mask: NDArray[np.bool_]) -> Array:
    """``(K, K)`` NaN with ``gram`` at the rows and columns of the mask."""
    whole = np.full((len(mask), len(mask)), np.nan)
    whole[np.ix_(mask, mask)] = gram
    return whole


def _error_interval(
    learned: LearnedVectors, block: tuple[NDArray[Any], ...], gram: Array, optimal: Array, level: float
) -> Interval:
    estimate = gram_error(gram, optimal)
    if learned.of == "head":
        return Interval(estimate, np.nan, np.nan, level, 0, "no interval: a head has no samples")
    draws = [gram_error(draw[block], optimal) for draw in learned.draws]
    return reflected_interval(estimate, draws, n=learned.samples, level=level, low=0.0, high=GREATEST_ERROR)


def _notes(learned: LearnedVectors, left_out: tuple[str, ...], rank: int) -> tuple[str, ...]:
    notes = []
    if left_out:
        notes.append(
            f"Left out: {', '.join(left_out)} (no samples here or in training, or no direction); the target is "
            f"restricted to the other classes{' and centred on them' if learned.centre else ''}."
        )
    if learned.dimension < rank:
        notes.append(
            f"The {learned.of} have {learned.dimension} dimensions and the target needs {rank}: it is out of reach."
        )
    return tuple(notes)
