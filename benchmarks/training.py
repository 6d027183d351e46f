"""Training: the data path against ImageFolder and DataLoader, steps a second, and the backbone's share of a step.

The data path is ours from the pixel cache (decoded once, at ``decoding once`` images a second), ours decoding every
time, and ImageFolder's. The augmentation is the same, its input is not: the cache holds images at the run's size, and
ImageFolder crops from the file's own pixels, which is more of them. Its epochs here are short and begin with empty
queues.

The loss terms alone stand in :mod:`benchmarks.losses`. On a machine with a GPU the last table is the protocol's
ResNet-50 there.

python -m benchmarks.training
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.timing import compare, seconds_of, show
from experiments.acceleration import accelerate
from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.inputs import FeatureInputs
from experiments.step_batches import StepBatches
from experiments.task import Task, open_task
from experiments.training import build, train
from geometry.shots import ShotThresholds

DOMAINS, CLASSES, EACH = ("day", "dusk", "night"), ("ant", "bee", "cat", "dog"), 48
HEADS = ("erm", "balanced_softmax", "supcon", "ndcl")
FILE_PIXELS, CPU = (300, 260), torch.device("cpu")


def write_photographs(root: Path) -> None:
    """A tree of JPEG files as a camera would make them: smooth, with a little noise."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for domain in DOMAINS:
        for name in CLASSES:
            folder = root / domain / name
            folder.mkdir(parents=True)
            for i in range(EACH):
                coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
                smooth = np.asarray(coarse.resize(FILE_PIXELS, Image.Resampling.BICUBIC), dtype=np.int16)
                noisy = np.clip(smooth + rng.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)
                Image.fromarray(noisy).save(folder / f"{i:03d}.jpg", quality=90)


def image_run(root: Path, *, size: int, batch_size: int, **optim: object) -> RunConfig:
    data = DataConfig(
        "mine", root, setting="balanced", test_domain="night", validation=5, image_size=size, shots=(20.0, 5.0)
    )
    return RunConfig(data, optim=OptimConfig(batch_size=batch_size, augment="protocol", **optim))


def torchvision_epoch(root: Path, size: int, batch_size: int, workers: int) -> tuple[Callable[[], object], int]:
    """One epoch of the two source domains by ImageFolder and DataLoader, from empty queues, and its batches."""
    from torch.utils.data import ConcatDataset, DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.7, 1.0)),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.3, 0.3, 0.3, 0.3),
            v2.RandomGrayscale(0.1),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    folders = ConcatDataset([ImageFolder(str(root / domain), transform) for domain in DOMAINS[:2]])
    loader = DataLoader(
        folders, batch_size, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    return lambda: sum(len(labels) for _, labels in loader), len(loader)


def data_rows(root: Path) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for size, batch_size in ((64, 32), (128, 32), (224, 16)):
        config = image_run(root, size=size, batch_size=batch_size)
        decoded, undecoded = (StepBatches(config, open_task(config), CPU) for _ in range(2))
        index = decoded.task.indices("train")
        decoding = len(index) / seconds_of(lambda d=decoded, i=index: d.task.inputs.prepare(i))
        for workers in sorted({0, os.cpu_count() or 1}):
            other, batches = torchvision_epoch(root, size, 2 * batch_size, workers)

            def ours(source=decoded, n=batches):
                for step in range(n):
                    source.at(step)

            images = 2 * batch_size * batches
            mine, theirs, ratio = compare(ours, other, rounds=3)
            _, every_time, gain = compare(ours, partial(ours, undecoded), rounds=3)
            speeds = [images / seconds for seconds in (mine, every_time, theirs)]
            rows.append((size, torch.get_num_threads(), workers, decoding, *speeds, ratio, gain))
    return rows


def feature_task(num_classes: int, size: int = 2048, each: int = 30) -> Task:
    """Random features of three source domains and a target, as a frozen ResNet-50 would give them."""
    rng = np.random.default_rng(0)
    label = np.tile(np.repeat(np.arange(num_classes), each), 4)
    domain = np.repeat(np.arange(4), num_classes * each)
    features = rng.normal(size=(num_classes, size))[label] + rng.normal(size=(len(label), size))
    counts = np.full((4, num_classes), each)
    counts[3] = 0
    return Task(
        "random features",
        tuple(map(str, range(num_classes))),
        ("one", "two", "three", "four"),
        "four",
        label,
        domain,
        np.where(domain == 3, "target", "train"),
        counts,
        ShotThresholds(3 * each, each),
        tuple(map(str, range(len(label)))),
        FeatureInputs(features),
    )


def step_seconds(config: RunConfig, task: Task, warm: int) -> float:
    """Median seconds of a step of a real run, without its checkpoint, after ``warm`` steps."""
    times = [time.perf_counter()]

    def report(step: int, terms: dict[str, float]) -> None:
        times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run", task=task, report=report)
    return median(np.diff(times)[warm:-1])


def head_rows() -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for num_classes in (7, 65):
        task = feature_task(num_classes)
        for algorithm in HEADS:
            optim = OptimConfig(algorithm=algorithm, steps=60, checkpoint_every=60, log_every=60, device="cpu")
            rows.append((num_classes, algorithm, 1 / step_seconds(RunConfig(optim=optim), task, warm=10)))
    return rows


def backbone_seconds(config: RunConfig, task: Task, passes: int, device: torch.device, rounds: int) -> float:
    """Median seconds of the backbone's forward and backward passes alone, of as many rows as a step has."""
    backbone = build(config, task, device).train().model.backbone
    accelerate(backbone, precision=config.optim.precision, compiled=config.optim.compile, device=device)
    batch = StepBatches(config, task, device).at(0).inputs

    def work() -> None:
        sum(backbone(batch).sum() for _ in range(passes)).backward()
        if device.type == "cuda":
            torch.cuda.synchronize()

    times = [seconds_of(work) for _ in range(rounds)]
    return median(times[min(3, rounds // 2) :])


def share_rows(root: Path) -> list[tuple[object, ...]]:
    """ERM passes a batch once; NDCL a second time, as many hard negatives as samples."""
    gpu = torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    name, size, batch_size, steps = ("resnet50", 224, 32, 40) if gpu else ("resnet18", 64, 8, 7)
    rows: list[tuple[object, ...]] = []
    for precision in ("fp32", "bf16") if gpu else ("fp32",):
        for algorithm, passes in (("erm", 1), ("ndcl", 2)):
            config = image_run(
                root,
                size=size,
                batch_size=batch_size,
                algorithm=algorithm,
                precision=precision,
                steps=steps,
                checkpoint_every=steps,
                log_every=steps,
            )
            config = replace(config, model=ModelConfig(backbone=name))
            task = open_task(config)
            step = step_seconds(config, task, warm=3)
            alone = backbone_seconds(config, task, passes, device, rounds=steps)
            rows.append((device.type, name, size, precision, algorithm, 1 / step, f"{100 * alone / step:.0f} %"))
    return rows


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TAILGEOM_CACHE"] = str(Path(folder) / "cache")
        root = Path(folder) / "photographs"
        write_photographs(root)
        show(
            "The data path with the protocol's augmentation, images a second",
            (
                "pixels",
                "our threads",
                "their workers",
                "decoding once",
                "ours",
                "no cache",
                "ImageFolder",
                "ours / theirs",
                "ours / no cache",
            ),
            data_rows(root),
        )
        show("Heads on 2,048 features, 96 samples a step", ("classes", "algorithm", "steps / s"), head_rows())
        show(
            "The whole step, and the share of it that is the backbone's own passes",
            ("device", "backbone", "pixels", "precision", "algorithm", "steps / s", "backbone"),
            share_rows(root),
        )


if __name__ == "__main__":
    main()
