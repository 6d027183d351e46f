"""Learned against optimal: how far class means are from where a theory says they should sit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.alignment import cosines, gram_error, kernel_alignment, procrustes, relative_error
from geometry.artifact import Artifact
from geometry.class_vectors import LearnedVectors, learned_vectors
from geometry.collapse.minority import minority_classes
from geometry.collapse.ranks import gram_ranks
from geometry.errors import DataError, UsageError
from geometry.intervals import Interval, wider_interval
from geometry.optimum.resolution import matrix_rank
from geometry.pair_angles import AngleTable, Block, PairAngle, angle_table

Array = NDArray[np.float64]
GREATEST_ERROR = 2**0.5  # of two positive semidefinite matrices: their inner product is not negative
SUMMARY_HEADER = (
    "of", "target", "centre", "split", "classes", "samples", "gram_error", "low", "high", "relative_error",
    "alignment", "procrustes", "angle_rms", "dimension", "target_rank", "effective_rank", "target_effective_rank",
)  # fmt: skip
BLOCK_HEADER = ("of", "target", "block", "pairs", "angle_mean", "angle_rms", "relative_error", "low", "high")
MOST_PAIRS = 2_000  # of the angle table; beyond, the matrices of cosines have the rest
PAIR_HEADER = ("of", "target", "first", "second", "learned", "optimal", "residual", "group")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Learned class vectors against a target, both centred alike (or not), both scaled to unit length.

    Attributes:
        of: ``features``, ``projections``, ``predictions`` or ``head``.
        target: name of the target.
        centre: class vectors minus their balanced mean, on both sides, before scaling.
        split: samples used; None for the head.
        classes: names of the P classes compared.
        left_out: names of the others: absent from the samples or the target, or without a direction.
        learned: ``(P, P)`` learned cosines G.
        optimal: ``(P, P)`` target cosines G*.
        gram_error: ``|| G/||G||_F - G*/||G*||_F ||_F`` in [0, sqrt(2)]. Noise of the class means adds to its square,
            where bootstrap draws are reflected (:func:`geometry.intervals.wider_interval`); where class means are
            hardly longer than their noise it covers the population value less often than it says.
        relative_error: ``||G - G*||_F / ||G*||_F``.
        alignment: centred kernel alignment of G and G*, at most 1; NaN when one is constant.
        procrustes: ``min_{a,Q} ||a X Q - X*||_F / ||X*||_F`` in [0, 1] over scale and rotation, ``X X^T = G``.
        learned_coordinates: ``(P, P)`` a X Q.
        optimal_coordinates: ``(P, P)`` X*.
        pairs: angle table, largest absolute residual first: its first 2,000 rows, which is all of it up to 63 classes.
        blocks: errors of all pairs, then of each pair of groups: majority and minority on their own.
        samples: N used.
        dimension: dimension D of the learned vectors.
        target_rank: dimension that the target needs.
        notes: what a reader must know, in sentences.
        source: of the target: a paper, or ours.
        groups: ``many``, ``medium`` or ``few`` for each of the P classes; None where all have one training count.
        grouping: where these come from.
        effective_rank: of the learned class vectors, exp of the entropy of their singular values.
        target_effective_rank: of the target's.
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
    source: str
    groups: tuple[str, ...] | None
    grouping: str
    effective_rank: float
    target_effective_rank: float

    def summary(self) -> tuple[object, ...]:
        """One row under ``SUMMARY_HEADER``."""
        error = self.gram_error
        return (
            self.of, self.target, self.centre, self.split, len(self.classes), self.samples, error.estimate, error.low,
            error.high, self.relative_error, self.alignment, self.procrustes, self.blocks[0].rms, self.dimension,
            self.target_rank, self.effective_rank, self.target_effective_rank,
        )  # fmt: skip

    def rows(self) -> list[tuple[object, ...]]:
        """The angle table, one row per pair of classes, under ``PAIR_HEADER``."""
        return [
            (self.of, self.target, pair.first, pair.second, pair.learned, pair.optimal, pair.residual, pair.group)
            for pair in self.pairs
        ]

    def block_rows(self) -> list[tuple[object, ...]]:
        """One row per kind of pairs, under ``BLOCK_HEADER``."""
        rows: list[tuple[object, ...]] = []
        for block in self.blocks:
            error = block.relative_error
            found = (block.group, block.pairs, block.mean, block.rms, error.estimate, error.low, error.high)
            rows.append((self.of, self.target, *found))
        return rows


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
        of: ``features``, ``projections``, ``predictions`` or ``head``.
        centre: subtract the balanced mean of the class vectors, from the target's as well.
        split: which samples; the training split by default.
        resamples: bootstrap redraws.
        level: nominal coverage of the intervals.
        seed: of the bootstrap.

    Raises:
        UsageError: unknown ``of`` or split, or a target of the wrong shape.
        DataError: projections, logits or head missing, or fewer than two classes to compare.
    """
    defined = np.isfinite(np.diag(_checked(target, artifact.num_classes)))
    learned = learned_vectors(
        artifact, of=of, among=defined, centre=centre, split=split, resamples=resamples, seed=seed
    )
    return against(learned, target, name=name, level=level)


def against(
    learned: LearnedVectors, target: ArrayLike, *, name: str = "target", source: str = "", level: float = 0.95
) -> Comparison:
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
    gram, optimal, classes = learned.gram[np.ix_(known, known)], optimal[np.ix_(known, known)], at[known]
    residual, mine, goal = procrustes(gram, optimal)
    names = artifact.class_names
    groups, grouping = class_groups(artifact, classes)
    table = angle_table(gram, optimal, tuple(names[k] for k in classes), groups)
    first, second = np.triu_indices(len(known), 1)
    draws = learned.draws if known.all() else learned.draws[:, known[first] & known[second]]
    left_out = tuple(n for k, n in enumerate(names) if k not in set(classes.tolist()))
    rank = matrix_rank(optimal)
    return Comparison(
        of=learned.of,
        target=name,
        centre=learned.centre,
        split=learned.split,
        classes=table.names,
        left_out=left_out,
        learned=gram,
        optimal=optimal,
        gram_error=_error_interval(learned, table, draws, gram_error(gram, optimal), level),
        relative_error=relative_error(gram, optimal),
        alignment=kernel_alignment(gram, optimal),
        procrustes=residual,
        learned_coordinates=mine,
        optimal_coordinates=goal,
        pairs=table.pairs(MOST_PAIRS),
        blocks=table.blocks(draws, samples=learned.samples, level=level),
        samples=learned.samples,
        dimension=learned.dimension,
        target_rank=rank,
        notes=_notes(learned, left_out, rank),
        source=source,
        groups=groups,
        grouping=grouping,
        effective_rank=learned.effective_rank,
        target_effective_rank=float(gram_ranks(optimal)[0]),
    )


def class_groups(artifact: Artifact, classes: NDArray[np.intp]) -> tuple[tuple[str, ...] | None, str]:
    """Majority and minority among these classes: the shot groups, or else the two halves by training count.

    Returns:
        A group for each class (None where the classes cannot be halved: equal counts, or two classes), and the rule.
    """
    if artifact.shots is not None:
        return tuple(artifact.shots[k] for k in classes), "shot groups"
    counts = artifact.class_counts[classes]
    few = set(minority_classes(counts).classes)
    if len(few) == len(counts) or counts.min() == counts.max():
        return None, "none: the classes cannot be told apart by their training counts"
    return tuple("few" if k in few else "many" for k in range(len(counts))), "halves by training count"


def _checked(target: ArrayLike, num_classes: int) -> Array:
    gram = np.asarray(target, dtype=np.float64)
    if gram.shape != (num_classes, num_classes):
        raise UsageError(f"Expected a target of shape ({num_classes}, {num_classes}), got {gram.shape}.")
    defined = np.isfinite(np.diag(gram))
    block = gram[np.ix_(defined, defined)]
    if not np.isfinite(block).all() or not np.allclose(block, block.T, rtol=1e-8):
        raise UsageError("Expected a symmetric Gram matrix, NaN only in whole rows and columns; the target is not one.")
    return gram


def _error_interval(
    learned: LearnedVectors, table: AngleTable, draws: Array, estimate: float, level: float
) -> Interval:
    if learned.of == "head":
        return Interval(estimate, np.nan, np.nan, level, 0, "no interval: a head has no samples")
    # From the pairs alone: || G/||G|| - G*/||G*|| ||^2 = 2 - 2 <G, G*> / (||G|| ||G*||), with ones on both diagonals.
    size, optimal = len(table.names), table.optimal
    inner = size + 2.0 * (draws @ optimal)
    lengths = np.sqrt((size + 2.0 * np.einsum("bp,bp->b", draws, draws)) * (size + 2.0 * float(optimal @ optimal)))
    errors = np.sqrt(np.maximum(2.0 - 2.0 * inner / lengths, 0.0))
    return wider_interval(
        estimate, errors, n=learned.samples, level=level, low=0.0, high=GREATEST_ERROR, scale="square"
    )


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
