"""What a run is made from: plain frozen dataclasses, light to import, saved resolved beside the results."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.data_config import SHORT_FORMS, SPLIT_FIELDS, DataConfig, require_known
from experiments.named_values import Value
from geometry.errors import UsageError

AUGMENTATIONS = ("none", "crop", "crop_flip", "protocol", "cifar", "weak", "strong", "contrast")
EMBEDDINGS = ("umap", "pca")
BACKBONES = ("small_cnn", "resnet18", "resnet32", "resnet50", "vit_b16")
UNTRAINED = ("small_cnn", "resnet32")  # backbones that nobody published weights of
TIMM = "timm:"
FINETUNE = ("all", "head", "none")
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine")
PRECISIONS = ("fp32", "bf16")
SAMPLINGS = ("uniform", "class-aware")
CLASSIFIERS = ("linear", "cosine")
PROJECTION_NORMS = ("none", "batch")
# Runs that leave these as they are are those of versions that knew none of them.
LATER_FIELDS = {
    "data": {"labels": 0},
    "model": {"classifier": "linear", "projection_norm": "none", "view_copies": 4, "view_precision": "fp32"},
    "optim": {"snapshots": 0, "unlabelled_batch_size": 0, "restart": 0.0},
}


@dataclass(frozen=True)
class ModelConfig:
    """Which network.

    Attributes:
        backbone: small_cnn, resnet18, resnet32 (CIFAR's own), resnet50, vit_b16, or timm:NAME (any timm model;
            pip install "tailgeom[timm]").
        weights: pretrained weights of the backbone (small_cnn and resnet32 have none): a file, `imagenet` (which
            torchvision or timm fetches) or `none`.
        projection: dimension of a projection head on the features, which contrastive losses may read; 0 for none.
        finetune: all (backbone and head), head (the backbone runs at every step but stays as it is), or none (its
            features are computed once, without augmentation, and only what stands on them is trained).
        classifier: linear, or cosine (30 times the cosine of feature and class vector: features are then unit vectors).
        projection_norm: none, or batch (BatchNorm after the projection head's first layer).
        view_copies: with --finetune none, cached augmentations of every image that its views are drawn from.
        view_precision: of the backbone that makes their features: fp32, or bf16 (1 to 3 % off, in half the time).
    """

    backbone: str = "small_cnn"
    weights: str = "none"
    projection: int = 0
    finetune: str = "all"
    classifier: str = "linear"
    projection_norm: str = "none"
    view_copies: int = 4
    view_precision: str = "fp32"

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES and not (self.backbone.startswith(TIMM) and self.backbone != TIMM):
            raise UsageError(f"Unknown backbone {self.backbone!r}; known: {', '.join(BACKBONES)}, timm:NAME.")
        if self.projection < 0:
            raise UsageError(f"Expected a projection of 0 (none) or more dimensions, got {self.projection}.")
        if self.view_copies < 1:
            raise UsageError(f"Expected --view-copies of 1 or more, got {self.view_copies}.")
        require_known("--finetune", self.finetune, FINETUNE)
        require_known("--classifier", self.classifier, CLASSIFIERS)
        require_known("--projection-norm", self.projection_norm, PROJECTION_NORMS)
        require_known("--view-precision", self.view_precision, PRECISIONS)
        if self.projection_norm != "none" and not self.projection:
            raise UsageError(f"Expected --projection beside --projection-norm {self.projection_norm}, got none.")
        if self.weights not in ("none", "imagenet"):
            object.__setattr__(self, "weights", str(Path(self.weights).absolute()))

    def require_weights(self) -> None:
        """Refuse pretrained weights of a backbone that has none, which would be recorded and never loaded.

        For who starts runs; one of an earlier version, which took the word, still opens and resumes.

        Raises:
            UsageError: they are asked for.
        """
        if self.backbone in UNTRAINED and self.weights != "none":
            raise UsageError(f"{self.backbone} has no pretrained weights, got {self.weights}; use --weights none.")


@dataclass(frozen=True)
class OptimConfig:
    """How to train.

    Attributes:
        algorithm: erm, ndcl, or another that `tailgeom algorithms` lists.
        options: the algorithm's own options, as name=value; defaults are the published ones.
        steps: optimiser steps.
        batch_size: samples per source domain and step.
        sampling: uniform (every image once per epoch of its domain) or class-aware (every class of a domain equally
            often, always two images of a class together).
        optimizer: adam, adamw or sgd.
        lr: learning rate, at the first step where there is a schedule.
        momentum: of sgd.
        schedule: constant, or cosine (the learning rate falls to 0 at the last step).
        weight_decay: L2 penalty (adam, sgd) or decoupled decay (adamw).
        augment: none, crop (random resized crop, 0.7 to 1), crop_flip, protocol (crop_flip, then colour jitter of 0.3
            and greyscale for one image in ten: DomainBed's), cifar (crop after padding by 4 pixels, and flip), or weak,
            strong or contrast (views of semi-supervised and contrastive learning). Features cannot be augmented.
        precision: fp32, or bf16 (autocast in the backbone while it trains).
        compile: run the backbone through torch.compile while it trains.
        checkpoint_every: steps between checkpoints; each evaluates validation and target.
        log_every: steps averaged into one row of metrics.jsonl.
        snapshots: states kept in RUN/snapshots for `extract --probes trajectory`: 0 for none, else this many evenly
            spaced, from before the first step to after the last.
        device: auto, cpu or cuda.
        unlabelled_batch_size: unlabelled samples per source domain and step, where the algorithm takes any; 0 is as
            many as labelled ones.
        restart: share of the steps after which the optimiser forgets its averages of past gradients; 0 for never.
    """

    algorithm: str = "erm"
    options: Annotated[Mapping[str, Value], tyro.conf.Suppress] = field(default_factory=dict)
    steps: int = 600
    batch_size: int = 32
    sampling: str = "uniform"
    optimizer: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    schedule: str = "constant"
    weight_decay: float = 0.0
    augment: str = "none"
    precision: str = "fp32"
    compile: bool = False
    checkpoint_every: int = 100
    log_every: int = 20
    snapshots: int = 0
    device: str = "auto"
    unlabelled_batch_size: int = 0
    restart: float = 0.0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"Expected --{name.replace('_', '-')} of 1 or more, got {getattr(self, name)}.")
        require_known("--augment", self.augment, AUGMENTATIONS)
        require_known("--precision", self.precision, PRECISIONS)
        require_known("--sampling", self.sampling, SAMPLINGS)
        require_known("--optimizer", self.optimizer, OPTIMIZERS)
        require_known("--schedule", self.schedule, SCHEDULES)
        if not (self.lr > 0 and self.weight_decay >= 0):
            raise UsageError(f"Expected lr > 0 and weight_decay >= 0, got {self.lr} and {self.weight_decay}.")
        if self.unlabelled_batch_size < 0:
            given = self.unlabelled_batch_size
            raise UsageError(f"Expected --unlabelled-batch-size of 0 (as labelled ones) or more, got {given}.")
        if self.snapshots < 0 or self.snapshots == 1:
            raise UsageError(f"Expected --snapshots of 0 (none), or 2 (first and last) or more, got {self.snapshots}.")
        if not 0 <= self.restart < 1:
            raise UsageError(f"Expected --restart in [0, 1), a share of the steps, got {self.restart}.")
        if not 0 <= self.momentum < 1:
            raise UsageError(f"Expected a momentum in [0, 1), got {self.momentum}.")

    @property
    def restart_step(self) -> int | None:
        """Before which step (0, 1, ...) the optimiser's averages are forgotten; None for never.

        >>> OptimConfig(steps=180, restart=0.1).restart_step
        18
        """
        return max(1, round(self.restart * self.steps)) if self.restart else None

    def snapshot_steps(self, last: int) -> frozenset[int]:
        """After which steps a snapshot is kept, evenly spaced from 0 to the last.

        >>> sorted(OptimConfig(snapshots=4).snapshot_steps(100)), sorted(OptimConfig().snapshot_steps(100))
        ([0, 33, 67, 100], [])
        """
        return frozenset(round(i * last / (self.snapshots - 1)) for i in range(self.snapshots))


@dataclass(frozen=True)
class RunConfig:
    """Everything a run is repeatable from.

    Attributes:
        data: images, imbalance, held-out domain, seed.
        model: the network.
        optim: the training.
        features: an artifact to train a head on in place of images; it brings its own data, and its own split unless
            ``data`` asks for another.
    """

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    features: Path | None = None

    def __post_init__(self) -> None:
        if self.features is not None:
            object.__setattr__(self, "features", self.features.absolute())

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, paths as strings; only what the run depends on where it trains on features."""
        found: dict[str, Any] = _plain(asdict(replace(self, data=self.data.filled())))
        for name in SHORT_FORMS:  # spelled out in other fields
            del found["data"][name]
        for part, usual in LATER_FIELDS.items():
            found[part] = {name: value for name, value in found[part].items() if value != usual.get(name, ...)}
        if self.features is not None:  # the artifact brings images and backbone
            found["data"]["test_domain"] = self.data.test_domain
            keep = SPLIT_FIELDS if self.data.chosen else ("seed",)
            found["data"] = {name: found["data"][name] for name in keep if name in found["data"]}
            keep = ("projection", "projection_norm", "classifier")
            model = {name: found["model"][name] for name in keep if name in found["model"]}
            found["model"] = model if model != {"projection": 0} else None
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
