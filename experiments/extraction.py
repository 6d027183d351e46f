"""From a run, or from a frozen backbone, to an artifact on disk."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.config import ModelConfig, RunConfig
from experiments.data.splits import UNLABELLED
from experiments.data_config import DataConfig
from experiments.devices import pick_device
from experiments.evaluation import predict
from experiments.models import Classifier, build_classifier
from experiments.models.weights import weights_record
from experiments.probes.context import Context, Progress
from experiments.probes.registry import record, require_probes
from experiments.provenance import provenance
from experiments.restoring import reopen
from experiments.task import WHOLE, Task, open_task, open_whole
from geometry.artifact import SPLITS, Artifact
from geometry.atomic import plain, read_json, readable_directory
from geometry.errors import UsageError

CHUNK = 128


def require_own_artifact(out: Path, made_from: Mapping[str, Any], *, whole: bool = False) -> None:
    """Refuse to put an artifact where that of another model lies, whose arrays may have taken hours.

    Args:
        out: where the artifact is to go.
        made_from: what its provenance will say: ``run`` or ``frozen``, with the configuration; None for any.
        whole: whether it will be of all images, without a split.

    Raises:
        UsageError: the artifact there says another origin or none.
        DataError: its manifest cannot be read.
    """
    manifest = readable_directory(out) / "manifest.json"
    if not manifest.exists():
        return
    found = read_json(manifest)
    found = found if isinstance(found, Mapping) else {}
    provenance = found.get("provenance")
    told = provenance if isinstance(provenance, Mapping) else {}
    same = all(name in told and config in (None, told[name]) for name, config in plain(made_from).items())
    if not same or (found.get("splits") == [WHOLE]) != whole:
        raise UsageError(f"{out} holds the artifact of another model, which would be lost; choose another --out.")


def extract_run(
    path: Path,
    *,
    checkpoint: str = "selected",
    probes: Sequence[str] = (),
    most_samples: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Artifact:
    """Features, logits, head and probes of a run's training, validation, source-test and target samples.

    Args:
        path: the run directory.
        checkpoint: ``selected`` (best balanced validation accuracy) or ``last``.
        probes: measurements beyond those always made (:data:`experiments.probes.registry.PROBES`).
        most_samples: how many samples a probe of single samples measures at most; None for its own number.
        device: auto, cpu or cuda.
        progress: called with samples done and in all.

    Raises:
        DataError: no checkpoint, or broken data.
        UsageError: unknown checkpoint or probe, or a number of samples below 1.
    """
    require_probes(probes)
    if most_samples is not None and most_samples < 1:
        raise UsageError(f"Expected at least 1 sample for the probes, got {most_samples}.")
    found = reopen(path, checkpoint=checkpoint, device=device)
    context = Context(found.config, found.task, found.algorithm, found.device, found.run, progress, most_samples)
    recorded = record(probes, context)  # first: it may have to refuse
    made_by = found.made_by | provenance()
    artifact = collect(found.algorithm.model, found.task, found.device, made_by, progress, with_head=True)
    return replace(artifact, probes=recorded)


def extract_frozen(
    data: DataConfig,
    model: ModelConfig,
    *,
    whole: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Artifact:
    """Features of an untrained or pretrained backbone, without a head: what ``train --features`` reads.

    Args:
        data: the data set, and how it is split.
        model: the backbone.
        whole: every image of the data set and no split; training then splits the features as it would the images.
        device: auto, cpu or cuda.
        progress: called with samples done and in all.
    """
    config = RunConfig(data=data, model=model)
    # The images themselves, whatever a run on them would train.
    task = open_whole(data) if whole else open_task(RunConfig(data=data))
    where = pick_device(device)
    classifier = build_classifier(model.backbone, len(task.classes), seed=data.seed, weights=model.weights).to(where)
    made_by = {"frozen": config.to_dict(), "weights": weights_record(model.weights), **provenance()}
    return collect(classifier, task, where, made_by, progress, with_head=False)


def collect(
    model: Classifier,
    task: Task,
    device: torch.device,
    made_by: dict[str, Any],
    progress: Progress | None,
    *,
    with_head: bool,
) -> Artifact:
    """The artifact of a model on the samples of a task; without its head for a backbone that has none."""
    more = (UNLABELLED,) if (task.part == UNLABELLED).any() else ()
    parts = (WHOLE,) if (task.part == WHOLE).all() else SPLITS + more
    index = np.concatenate([task.indices(part) for part in parts])
    features, logits, projections = [], [], []
    for start in range(0, len(index), CHUNK):
        found, scores = predict(model, task, index[start : start + CHUNK], device, chunk=CHUNK)
        features.append(found.numpy())
        logits.append(scores.numpy())
        if with_head and model.projection is not None:
            projections.append(_numpy(model.project(found.to(device))))
        if progress is not None:
            progress(min(start + CHUNK, len(index)), len(index))
    return Artifact(
        features=np.concatenate(features),
        labels=task.labels[index],
        class_names=task.classes,
        logits=np.concatenate(logits) if with_head else None,
        projections=np.concatenate(projections) if projections else None,
        domains=task.domain[index],
        domain_names=task.domains,
        split=np.concatenate([np.full(len(task.indices(part)), code) for code, part in enumerate(parts)]),
        split_names=parts,
        head_weight=_numpy(model.head.weight) if with_head else None,
        head_bias=_numpy(model.head.bias) if with_head else None,
        train_counts=task.counts if task.counts.any() else None,
        held_out=task.held_out,
        shot_thresholds=task.shot_thresholds,
        sample_ids=tuple(task.sample_ids[i] for i in index),
        provenance=made_by | {"data": task.describe()},
    )


def _numpy(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.detach().cpu().numpy()
