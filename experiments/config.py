"""What a run is made from: plain frozen dataclasses, light to import, saved resolved beside the results."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.arguments import OptionalPath
from geometry.errors import UsageError

AUGMENTATIONS = ("none", "crop", "crop_flip")
EMBEDDINGS = ("umap", "pca")
BACKBONES = ("small_cnn", "resnet50")


@dataclass(frozen=True)
class DataConfig:
    """Which images, how imbalanced, and which domain is held out.

    Attributes:
        dataset: digits (embedded), PACS, VLCS, OfficeHome, TerraIncognita, DomainNet, or any name for a tree of yours.
        data: root folder of root/<domain>/<class>/<image>; not needed for digits.
        setting: how many training images each (domain, class) gets: TotalHeavyTail, Duality, Cross, exponential, balanced or
            natural.
        test_domain: the held-out domain; no image of it is trained on.
        validation: images per source domain and class kept for balanced validation; 0 takes the data set's protocol
            (15 for digits and PACS, else 5).
        image_size: pixels a side; 0 takes the data set's own (28 for digits, 224 for photographs).
        allow_missing: accept domains that lack a class.
        skip_broken: leave out files that are no images instead of stopping; they are counted and listed.
        seed: of splits, imbalance, initialisation, batches and mixing.
    """

    dataset: str = "digits"
    data: OptionalPath = None
    setting: str = "TotalHeavyTail"
    test_domain: str = "textured"
    validation: int = 0
    image_size: int = 0
    allow_missing: bool = False
    skip_broken: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.validation < 0:
            raise UsageError(f"Expected 0 (the protocol's) or more validation images, got {self.validation}.")
        if self.image_size and not 8 <= self.image_size <= 2048:
            raise UsageError(f"Expected an image size of 0 (automatic) or 8 to 2048 pixels, got {self.image_size}.")
        if self.seed < 0:
            raise UsageError(f"Expected a seed of 0 or more, got {self.seed}.")
        if self.data is not None:  # the run is found again from any folder
            object.__setattr__(self, "data", self.data.absolute())


@dataclass(frozen=True)
class ModelConfig:
    """Which network.

    Attributes:
        backbone: small_cnn or resnet50.
        weights: pretrained weights of resnet50 (small_cnn has none): a file, `imagenet` (which torchvision fetches)
            or `none`.
    """

    backbone: str = "small_cnn"
    weights: str = "none"

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise UsageError(f"Unknown backbone {self.backbone!r}; known: {', '.join(BACKBONES)}.")
        if self.weights not in ("none", "imagenet"):
            object.__setattr__(self, "weights", str(Path(self.weights).absolute()))


@dataclass(frozen=True)
class OptimConfig:
    """How to train.

    Attributes:
        algorithm: erm or ndcl.
        options: the algorithm's own options, as name=value; defaults are the published ones.
        steps: optimiser steps.
        batch_size: samples per source domain and step.
        lr: Adam's learning rate.
        weight_decay: Adam's L2 penalty.
        augment: none, crop (random resized crop, 0.7 to 1), or crop_flip; features are never augmented.
        checkpoint_every: steps between checkpoints; each evaluates validation and target.
        log_every: steps averaged into one row of metrics.jsonl.
        device: auto, cpu or cuda.
    """

    algorithm: str = "erm"
    options: Annotated[Mapping[str, float], tyro.conf.Suppress] = field(default_factory=dict)
    steps: int = 600
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.0
    augment: str = "none"
    checkpoint_every: int = 100
    log_every: int = 20
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"Expected --{name.replace('_', '-')} of 1 or more, got {getattr(self, name)}.")
        if self.augment not in AUGMENTATIONS:
            raise UsageError(f"Unknown augmentation {self.augment!r}; known: {', '.join(AUGMENTATIONS)}.")
        if not (self.lr > 0 and self.weight_decay >= 0):
            raise UsageError(f"Expected lr > 0 and weight_decay >= 0, got {self.lr} and {self.weight_decay}.")


@dataclass(frozen=True)
class RunConfig:
    """Everything a run is repeatable from.

    Attributes:
        data: images, imbalance, held-out domain, seed.
        model: the network.
        optim: the training.
        features: an artifact to train a head on in place of images; it brings its own data and split.
    """

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    features: Path | None = None

    def __post_init__(self) -> None:
        if self.features is not None:
            object.__setattr__(self, "features", self.features.absolute())

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, paths as strings."""

        def strings(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {key: strings(item) for key, item in value.items()}
            return str(value) if isinstance(value, Path) else value

        return strings(asdict(self))


def data_config(saved: Mapping[str, Any]) -> DataConfig:
    """A :class:`DataConfig` from the plain values that were saved of one."""
    return DataConfig(**{**saved, "data": None if saved.get("data") is None else Path(saved["data"])})
