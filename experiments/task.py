"""The task of a run: samples, their parts, counts and shot groups, from images or from an artifact's features."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.config import DataConfig, RunConfig
from experiments.data.catalogue import Catalogue
from experiments.data.datasets import open_dataset
from experiments.data.decode import decode
from experiments.data.imbalance import CountTable
from experiments.data.protocols import protocol, shot_thresholds
from experiments.data.settings import make_counts
from experiments.data.splits import PARTS, Split, make_split
from experiments.inputs import FeatureInputs, ImageInputs, Inputs, Progress
from geometry.artifact import Artifact, load
from geometry.atomic import plain, write_csv
from geometry.errors import DataError
from geometry.shots import ShotThresholds

DIGITS_SIZE, PHOTOGRAPH_SIZE = 28, 224


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
        part: ``(N,)`` names: train, validation, source_test, target, or another that is not used.
        counts: ``(M, K)`` training samples per domain and class.
        shot_thresholds: boundaries of many, medium and few.
        sample_ids: N names.
        inputs: the samples themselves.
        identity: what identifies data and split, as plain values.
        split: how the images were split; None for features, whose artifact was split when it was made.
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
    shot_thresholds: ShotThresholds
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

    def indices(self, part: str, domain: int | None = None) -> NDArray[np.intp]:
        """Samples of one part (and one domain)."""
        chosen = self.part == part
        return np.flatnonzero(chosen if domain is None else chosen & (self.domain == domain))

    def prepare(self, progress: Progress | None = None) -> None:
        """Decode what every checkpoint asks for: training, validation and target samples."""
        self.inputs.prepare(
            np.concatenate([self.indices(part) for part in ("train", "validation", "target")]), progress
        )

    def save_tables(self, directory: Path) -> None:
        """Write counts.csv (training samples per source domain and class) and splits.csv (every sample's part)."""
        rows = [(self.domains[m], *self.counts[m]) for m in self.sources]
        write_csv(directory / "counts.csv", ("domain", *self.classes), rows)
        columns = (
            self.sample_ids,
            [self.domains[m] for m in self.domain],
            [self.classes[k] for k in self.labels],
            self.part,
        )
        write_csv(directory / "splits.csv", ("id", "domain", "class", "split"), zip(*columns, strict=True))

    def describe(self) -> dict[str, Any]:
        """What identifies the data, for manifests."""
        return {
            **self.identity,
            "inputs": "images" if self.inputs.images else "feature vectors (mixing mixes features)",
            "broken_files_skipped": list(self.broken),
        }

    def digest(self) -> str:
        """SHA-256 of which samples there are and what part each plays; a run goes on only with the same."""
        state = hashlib.sha256(self.inputs.digest().encode())
        for row in zip(self.sample_ids, self.domain.tolist(), self.labels.tolist(), self.part.tolist(), strict=True):
            state.update(repr(row).encode())
        return state.hexdigest()


def open_task(config: RunConfig, progress: Progress | None = None) -> Task:
    """The task of a configuration; ``progress`` follows the search for broken files, where that is asked for.

    Raises:
        UsageError: an unknown data set, domain or setting (the known ones are listed).
        DataError: data that are missing, broken or too few (the cell is named).
    """
    if config.features is not None:
        return _from_artifact(config.features, load(config.features))
    return _from_images(config.data, progress)


def open_split(config: DataConfig, progress: Progress | None = None) -> tuple[Split, ShotThresholds, tuple[str, ...]]:
    """The split of a data set under a setting, its shot thresholds, and the broken files left out."""
    catalogue, broken = _open_catalogue(config, progress)
    held_out = catalogue.domain_position(config.test_domain)
    sources = [m for m in range(len(catalogue.domains)) if m != held_out]
    published = protocol(catalogue.name, config.setting)
    validation = config.validation or published.validation
    table: CountTable = make_counts(
        config.setting,
        catalogue.sizes[sources],
        [catalogue.domains[m] for m in sources],
        catalogue.classes,
        validation=validation,
        seed=config.seed,
        **published.parameters,
    )
    split = make_split(catalogue, table, config.test_domain, validation=validation, seed=config.seed)
    return split, shot_thresholds(catalogue.name, config.setting, config.test_domain, table.counts), broken


def _open_catalogue(config: DataConfig, progress: Progress | None) -> tuple[Catalogue, tuple[str, ...]]:
    catalogue = open_dataset(config.dataset, config.data, allow_missing=config.allow_missing)
    if not config.skip_broken:
        return catalogue, ()
    # Broken files are found before splitting, so that counts and splits are those of the images that remain.
    found = decode(catalogue, size=1, skip_broken=True, progress=progress)
    return (catalogue.select(found.kept) if found.broken else catalogue), found.broken


def _from_images(config: DataConfig, progress: Progress | None) -> Task:
    split, thresholds, broken = open_split(config, progress)
    catalogue = split.catalogue
    size = config.image_size or (DIGITS_SIZE if catalogue.name == "digits" else PHOTOGRAPH_SIZE)
    return Task(
        name=catalogue.name,
        classes=catalogue.classes,
        domains=catalogue.domains,
        held_out=config.test_domain,
        labels=catalogue.label,
        domain=catalogue.domain,
        part=np.asarray(PARTS)[split.part],
        counts=split.counts("train"),
        shot_thresholds=thresholds,
        sample_ids=catalogue.paths,
        inputs=ImageInputs(catalogue, size),
        identity=split.to_manifest() | {"source": plain(asdict(config))},
        split=split,
        broken=broken,
    )


def _from_artifact(path: Path, artifact: Artifact) -> Task:
    if "train" not in artifact.split_names:
        raise DataError(f"Expected a split named train in {path}, it has {', '.join(artifact.split_names)}.")
    part = np.asarray(artifact.split_names)[artifact.split]
    train = part == "train"
    if not train.any():
        raise DataError(f"Expected training samples in {path}, its train split is empty.")
    counts = np.zeros((artifact.num_domains, artifact.num_classes), dtype=np.int64)
    np.add.at(counts, (artifact.domains[train], artifact.labels[train]), 1)
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
