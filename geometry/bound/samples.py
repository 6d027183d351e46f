"""Which samples stand for the sources and which for the target."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.errors import UsageError

HELD_BACK_FIRST = ("source_test", "validation", "train")
SAMPLES_PER_CLASS = 10


@dataclass(frozen=True, eq=False)
class SampleSet:
    """The samples that carry a set of estimates.

    Attributes:
        name: ``source`` or ``target``.
        splits: splits they come from.
        domains: domains they come from.
        n: number of samples.
        cell_counts: ``(M, K)`` samples per domain and class.
        reason: how they were chosen, or why there are none.
    """

    name: str
    splits: tuple[str, ...]
    domains: tuple[str, ...]
    n: int
    cell_counts: NDArray[np.int64]
    reason: str

    @property
    def where(self) -> str:
        """Short label for tables: the splits, or the set's name where there are no splits."""
        return "+".join(self.splits) if self.splits and self.splits != ("all",) else self.name


Selection = tuple[NDArray[np.intp], SampleSet]


def source_samples(
    artifact: Artifact, splits: tuple[str, ...] | None = None, target_split: str = "target"
) -> Selection:
    """The samples of the source domains on which the terms are estimated.

    By default the first of ``source_test``, ``validation``, ``train`` that holds at least ten samples per class on
    average (training risk is optimistic, so training samples come last); an artifact without such a split gives all
    its samples outside the held-out domain and the target split.

    Returns:
        Positions ``(n,)`` in the artifact, and their description.

    Raises:
        UsageError: a named split does not exist.
    """
    outside = _outside_target(artifact, target_split)
    if splits is not None:
        chosen = np.isin(artifact.split, [_split_code(artifact, name) for name in splits])
        return _sample_set(artifact, "source", tuple(splits), np.flatnonzero(chosen & outside), "as asked")
    wanted = SAMPLES_PER_CLASS * artifact.num_classes
    for name in HELD_BACK_FIRST:
        if name not in artifact.split_names or name == target_split:
            continue
        index = np.flatnonzero((artifact.split == artifact.split_names.index(name)) & outside)
        if index.size >= wanted:
            reason = f"first of {', '.join(HELD_BACK_FIRST)} with at least {wanted} samples"
            optimistic = "; training samples, so every risk and margin is optimistic" if name == "train" else ""
            return _sample_set(artifact, "source", (name,), index, reason + optimistic)
    index = np.flatnonzero(outside)
    names = tuple(artifact.split_names[code] for code in np.unique(artifact.split[index]))
    known = any(name in artifact.split_names for name in HELD_BACK_FIRST)
    reason = f"no split with {wanted} samples, so all source samples" if known else "no named split, so all samples"
    return _sample_set(artifact, "source", names, index, reason)


def target_samples(artifact: Artifact, split: str = "target") -> Selection:
    """The samples of the target: the given split, else the held-out domain, else none.

    Returns:
        Positions ``(n,)`` in the artifact, and their description.

    Raises:
        UsageError: a split other than the default is named and does not exist.
    """
    if split in artifact.split_names:
        chosen = artifact.split == artifact.split_names.index(split)
        return _sample_set(artifact, "target", (split,), np.flatnonzero(chosen), f"split {split}")
    if split != "target":
        _split_code(artifact, split)
    if artifact.held_out is None:
        return _sample_set(artifact, "target", (), np.zeros(0, np.intp), "no target split and no held-out domain")
    chosen = artifact.domains == artifact.domain_names.index(artifact.held_out)
    reason = f"no target split, so all of the held-out domain {artifact.held_out}"
    return _sample_set(artifact, "target", (), np.flatnonzero(chosen), reason)


def _outside_target(artifact: Artifact, target_split: str) -> NDArray[np.bool_]:
    keep = np.ones(len(artifact.labels), dtype=bool)
    if artifact.held_out is not None:
        keep &= artifact.domains != artifact.domain_names.index(artifact.held_out)
    if target_split in artifact.split_names:
        keep &= artifact.split != artifact.split_names.index(target_split)
    return keep


def _split_code(artifact: Artifact, name: str) -> int:
    if name not in artifact.split_names:
        raise UsageError(f"Unknown split {name!r}; this artifact has {', '.join(artifact.split_names)}.")
    return artifact.split_names.index(name)


def _sample_set(
    artifact: Artifact, name: str, splits: tuple[str, ...], index: NDArray[np.intp], reason: str
) -> Selection:
    counts = np.zeros((artifact.num_domains, artifact.num_classes), dtype=np.int64)
    np.add.at(counts, (artifact.domains[index], artifact.labels[index]), 1)
    domains = tuple(artifact.domain_names[m] for m in np.flatnonzero(counts.sum(axis=1)))
    return index, SampleSet(name, splits, domains, int(index.size), counts, reason)
