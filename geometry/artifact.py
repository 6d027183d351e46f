"""The artifact: one model's features, logits and labels on disk, the seam between training and analysis.

On disk an artifact is a directory with two files::

    arrays.safetensors   features (N, D), labels (N,); optional projections (N, P), logits (N, K), domains (N,),
                         split (N,), head_weight (K, D), head_bias (K,), and measurements named probe/<name>
    manifest.json        {"format": "tailgeom-artifact/1", "classes": [...], "domains": [...], "splits": [...],
                          "held_out": ..., "train_counts": [[...]], "shot_thresholds": {...}, "sample_ids": [...]}

Any program can write one. A bare ``.npz`` or ``.safetensors`` with ``features`` and ``labels`` is read too.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry import _artifact_files as files
from geometry._artifact_checks import TRAIN, check
from geometry.errors import DataError, UsageError
from geometry.shots import ShotThresholds, shot_groups

FILES = files.FILES
SPLITS = ("train", "validation", "source_test", "target")


@dataclass(frozen=True, eq=False)
class Artifact:
    """Representations of N samples of K classes in M domains.

    Attributes:
        features: ``(N, D)`` what the linear head reads.
        labels: ``(N,)`` integers in ``0..K-1``; a class may be absent.
        class_names: K names.
        logits: ``(N, K)`` or None.
        domains: ``(N,)`` integers in ``0..M-1``.
        domain_names: M names.
        split: ``(N,)`` integers into ``split_names``.
        split_names: for example ``train, validation, source_test, target``.
        head_weight: ``(K, D)`` or None.
        head_bias: ``(K,)`` or None (read as zero where a weight is given).
        train_counts: ``(M, K)`` training images per domain and class (zeros in the held-out row), or None.
        held_out: name of the domain no training image came from, or None.
        shot_thresholds: boundaries of many / medium / few, or None.
        sample_ids: N names of the samples, or empty.
        probes: measurements that needed the live model, by name.
        provenance: what made the artifact (model, configuration, versions, seeds).
        projections: ``(N, P)`` projected embeddings that a contrastive loss saw, where a projector follows the
            features; or None.
    """

    features: NDArray[Any]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    logits: NDArray[Any] | None = None
    domains: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    domain_names: tuple[str, ...] = ("all",)
    split: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    split_names: tuple[str, ...] = ("all",)
    head_weight: NDArray[Any] | None = None
    head_bias: NDArray[Any] | None = None
    train_counts: NDArray[np.int64] | None = None
    held_out: str | None = None
    shot_thresholds: ShotThresholds | None = None
    sample_ids: tuple[str, ...] = ()
    probes: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    projections: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        zeros = np.zeros(len(self.labels), dtype=np.int64)
        if self.domains.size == 0:
            object.__setattr__(self, "domains", zeros)
        if self.split.size == 0:
            object.__setattr__(self, "split", zeros)
        check(vars(self))

    @property
    def num_classes(self) -> int:
        """K, classes that are absent included."""
        return len(self.class_names)

    @property
    def num_domains(self) -> int:
        """M, the held-out domain included."""
        return len(self.domain_names)

    @cached_property
    def training_counts(self) -> NDArray[np.int64]:
        """``(M, K)`` training samples: the manifest's ``train_counts``, else counted from the split.

        Where there is one split alone, it is taken for the training samples but for the held-out domain. Of splits
        that are known, none of them ``train``, no sample is one.

        Raises:
            DataError: several splits, none of them ``train``, not all known by their names, and no counts.
        """
        if self.train_counts is not None:
            return self.train_counts
        counts = np.zeros((self.num_domains, self.num_classes), dtype=np.int64)
        if not self._counts_known:
            if not self._splits_known:
                raise self._no_train_split()
            return counts
        part = self.split == (self.split_names.index(TRAIN) if TRAIN in self.split_names else 0)
        if self.held_out is not None:
            part = part & (self.domains != self.domain_names.index(self.held_out))
        np.add.at(counts, (self.domains[part], self.labels[part]), 1)
        return counts

    @property
    def source_counts(self) -> NDArray[np.int64]:
        """``(M_s, K)`` training counts of the source domains (those that hold any)."""
        sources = [m for m, name in enumerate(self.domain_names) if name != self.held_out]
        kept = self.training_counts[sources]
        return np.asarray(kept[kept.sum(axis=1) > 0] if kept.sum() > 0 else kept, dtype=np.int64)

    @property
    def class_counts(self) -> NDArray[np.int64]:
        """``(K,)`` training images per class, summed over the source domains."""
        return np.asarray(self.source_counts.sum(axis=0), dtype=np.int64)

    @property
    def shots(self) -> tuple[str, ...] | None:
        """Shot group of each class, or None when no thresholds or no training samples are known."""
        if self.shot_thresholds is None or not self.class_counts.any():
            return None
        return shot_groups(self.source_counts, self.shot_thresholds)

    def select(self, split: str | None = None, domain: str | None = None) -> "Artifact":
        """The samples of one split and/or one domain; names, counts and head stay whole.

        Raises:
            UsageError: the split or domain does not exist.
            DataError: no sample is left.
        """
        keep = np.ones(len(self.labels), dtype=bool)
        if split is not None and split != "all":
            keep &= self.split == _position(split, self.split_names, "split")
        if domain is not None:
            keep &= self.domains == _position(domain, self.domain_names, "domain")
        if not keep.any():
            raise DataError(f"Expected samples with split={split}, domain={domain}; the artifact has none.")
        return self.take(np.flatnonzero(keep))

    def take(self, index: NDArray[np.intp]) -> "Artifact":
        """The samples at ``index``, in that order; training counts stay those of the whole."""
        return replace(
            self,
            train_counts=self.training_counts if self._counts_known else None,
            features=self.features[index],
            labels=self.labels[index],
            logits=None if self.logits is None else self.logits[index],
            projections=None if self.projections is None else self.projections[index],
            domains=self.domains[index],
            split=self.split[index],
            sample_ids=tuple(self.sample_ids[i] for i in index) if self.sample_ids else (),
        )

    def default_split(self) -> str:
        """``train`` where there is such a split, else every sample.

        Raises:
            DataError: several splits, and either no counts say what was trained on, or one is ``Train`` or the like.
        """
        if TRAIN in self.split_names:
            return TRAIN
        misspelt = any(of_training(name) for name in self.split_names)
        if not self._counts_known or (misspelt and len(self.split_names) > 1):
            raise self._no_train_split()
        return "all"

    @property
    def _counts_known(self) -> bool:
        """Whether it is told what was trained on: by counts, by a split ``train``, or as the only split there is."""
        return self.train_counts is not None or len(self.split_names) == 1 or TRAIN in self.split_names

    @property
    def _splits_known(self) -> bool:
        return {*self.split_names} <= {*SPLITS, "unlabelled"}

    def _no_train_split(self) -> DataError:
        otherwise = "give train_counts"
        if self._counts_known or self._splits_known:
            otherwise = "name the split to analyse"
        return DataError(
            f"Expected a split named {TRAIN} among {', '.join(self.split_names)}; rename it, or {otherwise}."
        )

    def require(self, *names: str) -> None:
        """Insist on optional parts.

        Raises:
            DataError: a named part (``logits``, ``head_weight``, ...) is absent.
        """
        missing = [name for name in names if getattr(self, name) is None]
        if missing:
            raise DataError(
                f"This analysis needs {', '.join(missing)}; the artifact has none. Write them and try again."
            )

    def probabilities(self) -> NDArray[np.float64]:
        """Softmax of the logits, ``(N, K)`` float64.

        Raises:
            DataError: the artifact has no logits.
        """
        self.require("logits")
        assert self.logits is not None
        shifted = self.logits.astype(np.float64)
        shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float64)

    def digest(self) -> str:
        """SHA-256 of everything an analysis can read; two artifacts agree on it exactly when they are the same."""
        state = hashlib.sha256()
        arrays, manifest = files.pack(vars(self))
        manifest.pop("provenance", None)
        for name in sorted(arrays):
            array = np.ascontiguousarray(arrays[name])
            state.update(f"{name}{array.dtype}{array.shape}".encode())
            state.update(array.tobytes())
        state.update(repr(sorted(manifest.items())).encode())
        return state.hexdigest()

    def save(self, path: Path) -> Path:
        """Write the artifact directory, whole or not at all."""
        files.write(*files.pack(vars(self)), Path(path))
        return Path(path)


def load(path: Path) -> Artifact:
    """Read an artifact directory, or a bare ``.npz`` / ``.safetensors`` with ``features`` and ``labels``.

    Raises:
        DataError: missing, broken or inconsistent data; a pickle inside.
    """
    arrays, manifest = files.read(Path(path))
    return Artifact(**files.parse(arrays, manifest, str(path)))


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The named arrays of a ``.safetensors`` file that is no artifact, such as measurements kept beside one.

    Raises:
        DataError: no file there, or a broken one; a pickle inside.
    """
    return files.read_safetensors(Path(path))


def of_training(split: str) -> bool:
    """Whether a split's name says that its samples were trained on, however it is spelt.

    >>> of_training("train"), of_training(" Train_2"), of_training("validation")
    (True, True, False)
    """
    return split.strip().casefold().startswith(TRAIN)


def _position(name: str, names: tuple[str, ...], what: str) -> int:
    if name not in names:
        raise UsageError(f"Unknown {what} {name!r}; this artifact has {', '.join(names)}.")
    return names.index(name)
