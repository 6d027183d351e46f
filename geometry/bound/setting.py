"""What every bound term asks of an artifact: the samples, their pairs, the scores and a random stream."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.bound.risk import Array
from geometry.bound.samples import SampleSet, source_samples, target_samples
from geometry.labelled import has_unlabelled, labelled_counts
from geometry.linear_head import head_scores
from geometry.shots import group_masks

TARGET_PAIR = "target | sources"
Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Setting:
    """An artifact with what every bound term asks of it.

    Attributes:
        artifact: the artifact; its logits are the head's scores where it brought a head and no logits.
        source: description of the source samples.
        source_index: their positions.
        target: description of the target samples.
        target_index: their positions.
        target_split: the split asked for as target.
        scores: ``(N, K)`` logits in float64, or None.
        no_scores: why there are none.
        groups: ``(K,)`` masks of the shot groups, empty without thresholds.
        resamples: bootstrap redraws and permutations.
        seed: seed of all randomness.
        level: nominal coverage.
    """

    artifact: Artifact
    source: SampleSet
    source_index: Index
    target: SampleSet
    target_index: Index
    target_split: str
    scores: Array | None
    no_scores: str
    groups: Mapping[str, NDArray[np.bool_]]
    resamples: int
    seed: int
    level: float

    def rng(self, *key: str) -> np.random.Generator:
        """A stream of its own for every term, whatever else runs."""
        return np.random.default_rng([self.seed, zlib.crc32("/".join(key).encode())])

    def source_domains(self) -> list[tuple[str, Index]]:
        """Name and samples of every source domain that has any."""
        codes = self.artifact.domains[self.source_index]
        return [(self.artifact.domain_names[m], self.source_index[codes == m]) for m in np.unique(codes)]

    def pairs(self) -> list[tuple[str, Index, Index]]:
        """Every pair of source domains, and the target against the pooled sources."""
        sources = combinations(self.source_domains(), 2)
        pairs = [(f"{a} | {b}", first, second) for (a, first), (b, second) in sources]
        if self.source_index.size and self.target_index.size:
            pairs.append((TARGET_PAIR, self.target_index, self.source_index))
        return pairs

    def target_first(self) -> tuple[Index, NDArray[np.int64]]:
        """Positions of the target's samples and then the sources', and 0 and 1 for the two."""
        index = np.concatenate([self.target_index, self.source_index])
        return index, np.repeat([0, 1], [self.target_index.size, self.source_index.size])

    def absent_pairs(self) -> list[tuple[str, str]]:
        """The kinds of pair that do not exist here, with the reason."""
        absent = []
        if len(self.source_domains()) < 2:
            absent.append(("source pairs", "fewer than two source domains hold samples"))
        if not (self.source_index.size and self.target_index.size):
            absent.append((TARGET_PAIR, self.target.reason if not self.target_index.size else "no source samples"))
        return absent

    def why_empty(self, where: str) -> str:
        """Why the sample set of this name is empty."""
        return self.target.reason if where == self.target.where else f"no source samples in {where}"

    def training_counts(self) -> NDArray[np.int64] | None:
        """``(M, K)`` training images of the source domains; None where neither counts nor a train split are known.

        With and without a label: what is told from them is the prior of the images.
        """
        artifact = self.artifact
        if artifact.train_counts is not None:
            counts = artifact.train_counts.copy()
        elif "train" in artifact.split_names:
            counts = source_samples(artifact, ("train",), self.target_split)[1].cell_counts
        else:
            return None
        if artifact.held_out is not None:
            counts[artifact.domain_names.index(artifact.held_out)] = 0
        return counts if counts.sum() else None

    def labelled_counts(self) -> NDArray[np.int64] | None:
        """The same of those whose label training knew: the number of samples that a complexity term divides by."""
        return labelled_counts(self.artifact) if has_unlabelled(self.artifact) else self.training_counts()


def make_setting(
    artifact: Artifact,
    source_splits: tuple[str, ...] | None,
    target_split: str,
    resamples: int,
    seed: int,
    level: float,
) -> Setting:
    """Choose the samples, scores and groups behind every term.

    Raises:
        UsageError: a named split does not exist.
    """
    target_index, target = target_samples(artifact, target_split)
    source_index, source = source_samples(artifact, source_splits, target_split)
    reason = ""
    if artifact.logits is None and artifact.head_weight is not None:
        artifact = replace(artifact, logits=head_scores(artifact))
    if artifact.num_classes < 2:
        reason = "there is only one class"
    elif artifact.logits is None:
        reason = "the artifact has neither logits nor a linear head"
    return Setting(
        artifact=artifact,
        source=source,
        source_index=source_index,
        target=target,
        target_index=target_index,
        target_split=target_split,
        scores=None if reason or artifact.logits is None else artifact.logits.astype(np.float64),
        no_scores=reason,
        groups={} if artifact.shots is None else group_masks(artifact.shots),
        resamples=resamples,
        seed=seed,
        level=level,
    )
