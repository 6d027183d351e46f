"""Artifacts of trained heads in memory: the data of a split are opened once for all the runs on it, no probe is run."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from experiments.config import DataConfig, ModelConfig, RunConfig
from experiments.devices import pick_device
from experiments.extraction import collect, config_of
from experiments.inputs import FeatureInputs
from experiments.models import Classifier
from experiments.restoring import restore, saved_in
from experiments.runs import RunDirectory
from experiments.sweep.shared_features import shared
from experiments.sweep.status import PROBES
from experiments.task import Task, open_task
from experiments.training import build
from geometry.artifact import Artifact, load, read_arrays

OPEN_SPLITS = 1  # runs are met one split after another


def artifact_of(path: Path, device: str = "cpu") -> Artifact:
    """A run's own artifact, or one composed from its selected checkpoint and the probes that a sweep kept.

    Raises:
        DataError: no checkpoint, or data that changed since.
    """
    if (path / "artifact" / "manifest.json").exists():
        return load(path / "artifact")
    found, kept = compose_run(path, device), path / PROBES
    return replace(found, probes=read_arrays(kept)) if kept.exists() else found


def compose_run(path: Path, device: str = "cpu") -> Artifact:
    """What ``tailgeom extract`` would write, without its probes.

    Of a head on stored features only the head's scores are computed: features, labels and parts are those of the split.

    Args:
        path: a run directory with a checkpoint.
        device: auto, cpu or cuda.

    Raises:
        DataError: no checkpoint, or data that changed since.
    """
    run = RunDirectory(path)
    config, saved = config_of(run, device), saved_in(run)
    task, where = _task(config.data, config.model, config.features), pick_device(device)
    restored = restore(config, run, saved, task, where)
    if not isinstance(task.inputs, FeatureInputs):
        return collect(restored.algorithm.model, task, where, restored.made_by, None, with_head=True)
    base = _features_alone(config.data, config.model, config.features)
    return with_head(base, restored.algorithm.model, restored.made_by)


@torch.inference_mode()
def with_head(base: Artifact, model: Classifier, made_by: dict[str, object]) -> Artifact:
    """An artifact of feature vectors with the scores and weights of a head on them.

    Args:
        base: features, labels, domains and parts.
        model: the head, behind a backbone that hands features on as they are.
        made_by: what made the head, for the provenance.
    """
    features = torch.from_numpy(base.features)
    return replace(
        base,
        logits=model.head(features.to(model.head.weight.device)).cpu().numpy(),
        projections=None if model.projection is None else model.project(features).cpu().numpy(),
        head_weight=model.head.weight.cpu().numpy(),
        head_bias=model.head.bias.cpu().numpy(),
        provenance={**base.provenance, **made_by},
    )


@lru_cache(maxsize=OPEN_SPLITS)
def _task(data: DataConfig, model: ModelConfig, features: Path | None) -> Task:
    task = open_task(RunConfig(data=data, model=model, features=features))
    if isinstance(task.inputs, FeatureInputs) and features is not None:
        task = replace(task, inputs=shared(features, task.inputs))
    return task


@lru_cache(maxsize=OPEN_SPLITS)
def _features_alone(data: DataConfig, model: ModelConfig, features: Path | None) -> Artifact:
    """The samples of a split in an artifact's order, without any head."""
    task = _task(data, model, features)
    any_head = build(RunConfig(data=data, model=model, features=features), task, torch.device("cpu")).model
    found = collect(any_head, task, torch.device("cpu"), {}, None, with_head=False)
    return replace(found, features=np.require(found.features, np.float32, ("C", "W")))
