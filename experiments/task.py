"""The task of a run: samples, their parts, counts and shot groups, from images or from an artifact's features."""

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.config import ModelConfig, RunConfig
from experiments.data.catalogue import Catalogue
from experiments.data.protocols import shot_thresholds
from experiments.data.splits import PARTS, UNLABELLED, Split
from experiments.data_config import DataConfig
from experiments.devices import pick_device
from experiments.frozen import FrozenInputs
from experiments.inputs import FeatureInputs, ImageInputs, Inputs, Progress
from experiments.splitting import image_size, open_catalogue, split_catalogue
from geometry.artifact import Artifact, load
from geometry.atomic import plain, write_csv, write_text
from geometry.errors import DataError, UsageError
from geometry.shots import ShotThresholds

WHOLE = "all"  # the part of every sample where nothing is split


@dataclass(frozen=True, eq=False)
class Task:
    """What a run trains on and is tested on.

    Attributes:
        name: of the data set.
        classes: K names.
        domains: M names.
        held_out: the domain no training sample comes from.
        labels: ``(N,)`` classes.
        domain: ``(N,)`` positions in ``domains``.
        part: ``(N,)`` names: train, unlabelled, validation, source_test, target, or another that is not used.
        counts: ``(M, K)`` training samples per domain and class, with and without labels.
        shot_thresholds: boundaries of many, medium and few; None where nothing is split.
        sample_ids: N names.
        inputs: the samples themselves.
        identity: what identifies data and split, as plain values.
        split: how the samples were split; None for features whose artifact was split when it was made.
        broken: files that were left out because they are no images.
    """

    name: str
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    held_out: str | None
    labels: NDArray[np.int64]
    domain: NDArray[np.int64]
    part: NDArray[np.str_]
    counts: NDArray[np.int64]
    shot_thresholds: ShotThresholds | None
    sample_ids: tuple[str, ...]
    inputs: Inputs
    identity: Mapping[str, Any] = field(default_factory=dict)
    split: Split | None = None
    broken: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[int, ...]:
        """Positions of the domains that training samples come from."""
        return tuple(int(m) for m in np.flatnonzero(self.counts.sum(axis=1)))

    @property
    def source_counts(self) -> NDArray[np.int64]:
        """``(M_s, K)`` training samples of the source domains."""
        return self.counts[list(self.sources)]

    @property
    def labelled_counts(self) -> NDArray[np.int64]:
        """``(M_s, K)`` training samples of the source domains whose class is known."""
        known = self.indices("train")
        counts = np.zeros_like(self.counts)
        np.add.at(counts, (self.domain[known], self.labels[known]), 1)
        return counts[list(self.sources)]

    def indices(self, part: str, domain: int | None = None) -> NDArray[np.intp]:
        """Samples of one part (and one domain)."""
        chosen = self.part == part
        return np.flatnonzero(chosen if domain is None else chosen & (self.domain == domain))

    def prepare(self, progress: Progress | None = None) -> None:
        """Decode what every checkpoint asks for: training, validation and target samples."""
        parts = ("train", UNLABELLED, "validation", "target")
        self.inputs.prepare(np.concatenate([self.indices(part) for part in parts]), progress)

    def save_tables(self, directory: Path) -> None:
        """Write counts.csv (training samples per source domain and class) and splits.csv (every sample's part)."""
        rows = [(self.domains[m], *self.counts[m]) for m in self.sources]
        write_csv(directory / "counts.csv", ("domain", *self.classes), rows)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("id", "domain", "class", "split"))
        columns = np.asarray(self.domains)[self.domain], np.asarray(self.classes)[self.labels], self.part
        writer.writerows(zip(self.sample_ids, *(column.tolist() for column in columns), strict=True))
        write_text(directory / "splits.csv", text.getvalue())

    def describe(self) -> dict[str, Any]:
        """What identifies the data, for manifests."""
        return {
            **self.identity,
            "inputs": "images" if self.inputs.images else "feature vectors (mixing mixes features)",
            "broken_files_skipped": list(self.broken),
        }

    def digest(self) -> str:
        """SHA-256 of which samples there are and what part each plays; a run goes on only with the same."""
        columns = (self.sample_ids, self.domain.tolist(), self.labels.tolist(), self.part.tolist())
        rows = "".join(map(repr, zip(*columns, strict=True)))
        return hashlib.sha256((self.inputs.digest() + rows).encode()).hexdigest()


def open_task(config: RunConfig, progress: Progress | None = None) -> Task:
    """The task of a configuration; ``progress`` follows the search for broken files, where that is asked for.

    Raises:
        UsageError: an unknown data set, domain or setting (the known ones are listed).
        DataError: data that are missing, broken or too few (the cell is named).
    """
    if config.features is None:
        return _from_images(config, progress)
    artifact = _read(config.features, *_stamp(config.features))
    if "train" in artifact.split_names and not config.data.chosen:
        return _from_artifact(config.features, artifact)
    return _from_split_anew(config.features, artifact, config.data)


def require_used(config: RunConfig) -> None:
    """Refuse what a run would ignore: a backbone or an augmentation of features, which are taken as they are.

    Those of an artifact bring their backbone; those of one that stays as it is are never augmented. For who starts
    runs; one of an earlier version, which ignored the word, still opens and resumes.

    Raises:
        UsageError: an option is given that nothing reads.
    """
    on_features, frozen = config.features is not None, config.model.finetune == "none"
    if on_features:
        ignored, why = ("backbone", "weights", "finetune", "view_copies", "view_precision"), "--features"
    else:
        ignored, why = () if frozen else ("view_copies", "view_precision"), f"--finetune {config.model.finetune}"
    usual = ModelConfig()
    for name in ignored:
        if (given := getattr(config.model, name)) != getattr(usual, name):
            raise UsageError(
                f"Expected no --{name.replace('_', '-')} beside {why}, which does not read it; got {given!r}."
            )
    name = config.optim.augment
    if name != "none" and (frozen or on_features):
        raise UsageError(f"Expected no augmentation beside {why}, as features have none, got augment {name!r}.")


@lru_cache(maxsize=1)
def _read(path: Path, *stamp: int) -> Artifact:
    """The artifact at a path as it stands; a sweep in one process reads the same one once."""
    return load(path)


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when the files of an artifact do; nothing where there are none."""
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    return tuple(number for file in files for number in (file.stat().st_mtime_ns, file.stat().st_size))


def open_whole(config: DataConfig, progress: Progress | None = None) -> Task:
    """Every image of a data set, of no part: what features are extracted from once, for many splits."""
    catalogue, broken = open_catalogue(config, progress)
    size = image_size(catalogue, config)
    return Task(
        name=catalogue.name,
        classes=catalogue.classes,
        domains=catalogue.domains,
        held_out=None,
        labels=catalogue.label,
        domain=catalogue.domain,
        part=np.full(len(catalogue), WHOLE),
        counts=np.zeros((len(catalogue.domains), len(catalogue.classes)), dtype=np.int64),
        shot_thresholds=None,
        sample_ids=catalogue.paths,
        inputs=ImageInputs(catalogue, size),
        identity={"dataset": catalogue.name, "image_size": size, "sizes": {WHOLE: len(catalogue)}},
        broken=broken,
    )


def open_split(config: DataConfig, progress: Progress | None = None) -> tuple[Split, ShotThresholds, tuple[str, ...]]:
    """The split of a data set under a setting, its shot thresholds, and the broken files left out."""
    catalogue, broken = open_catalogue(config, progress)
    return *split_catalogue(catalogue, config), broken


def _from_images(config: RunConfig, progress: Progress | None) -> Task:
    split, thresholds, broken = open_split(config.data, progress)
    images = ImageInputs(split.catalogue, image_size(split.catalogue, config.data))
    inputs: Inputs = images
    if config.model.finetune == "none":
        inputs = FrozenInputs(images, config.model, config.data.seed, pick_device(config.optim.device))
    return _from_split(split, thresholds, inputs, {"source": plain(asdict(config.data.filled()))}, broken)


def _from_split(
    split: Split, thresholds: ShotThresholds, inputs: Inputs, more: Mapping[str, Any], broken: tuple[str, ...] = ()
) -> Task:
    catalogue = split.catalogue
    return Task(
        name=catalogue.name,
        classes=catalogue.classes,
        domains=catalogue.domains,
        held_out=split.held_out,
        labels=catalogue.label,
        domain=catalogue.domain,
        part=np.asarray(PARTS)[split.part],
        counts=split.counts("train") + split.counts(UNLABELLED),
        shot_thresholds=thresholds,
        sample_ids=catalogue.paths,
        inputs=inputs,
        identity={**split.to_manifest(), **more},
        split=split,
        broken=broken,
    )


def _from_split_anew(path: Path, artifact: Artifact, config: DataConfig) -> Task:
    """The features of an artifact, split as the images they come from would be."""
    made_from = dict(artifact.provenance.get("data", {}))
    # Splits belong to names and catalogue order: domain, class, file.
    ids = artifact.sample_ids or tuple(f"{i:09d}" for i in range(len(artifact.labels)))
    order = np.lexsort((np.asarray(ids), artifact.labels, artifact.domains))
    catalogue = Catalogue(
        str(made_from.get("dataset", path.stem)),
        path,
        artifact.domain_names,
        artifact.class_names,
        ids,
        artifact.domains,
        artifact.labels,
    ).select(order)
    if not config.test_domain and artifact.held_out is not None:
        config = replace(config, test_domain=artifact.held_out)
    split, thresholds = split_catalogue(catalogue, replace(config, dataset=catalogue.name))
    in_order = bool((np.diff(order) == 1).all())
    features = FeatureInputs(artifact.features if in_order else artifact.features[order])
    return _from_split(split, thresholds, features, {"features": str(path)})


def _from_artifact(path: Path, artifact: Artifact) -> Task:
    part = np.asarray(artifact.split_names)[artifact.split]
    train = part == "train"
    if not train.any():
        raise DataError(f"Expected training samples in {path}, its train split is empty.")
    taught = train | (part == UNLABELLED)
    counts = np.zeros((artifact.num_domains, artifact.num_classes), dtype=np.int64)
    np.add.at(counts, (artifact.domains[taught], artifact.labels[taught]), 1)
    data = dict(artifact.provenance.get("data", {}))
    name = str(data.get("dataset", path.stem))
    setting = str(data.get("setting", ""))
    source_counts = counts[counts.sum(axis=1) > 0]
    return Task(
        name=name,
        classes=artifact.class_names,
        domains=artifact.domain_names,
        held_out=artifact.held_out,
        labels=artifact.labels,
        domain=artifact.domains,
        part=part,
        counts=counts,
        shot_thresholds=artifact.shot_thresholds or shot_thresholds(name, setting, artifact.held_out, source_counts),
        sample_ids=artifact.sample_ids or tuple(map(str, range(len(artifact.labels)))),
        inputs=FeatureInputs(artifact.features),
        identity={**data, "dataset": name, "held_out": artifact.held_out, "features": str(path)},
    )
