"""Artifacts of trained heads in memory: the data of a split are opened once for all the runs on it, no probe is run."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from experiments.config import ModelConfig, RunConfig
from experiments.extraction import collect
from experiments.inputs import FeatureInputs
from experiments.models import Classifier
from experiments.opened_tasks import opened_task
from experiments.probes.prototypes import prototypes_of
from experiments.restoring import reopen
from experiments.sweep.status import PROBES
from experiments.task import Task
from experiments.training import build
from geometry.artifact import Artifact, load, read_arrays


def artifact_of(path: Path, device: str = "cpu") -> Artifact:
    """A run's own artifact, or one composed from its selected checkpoint and the probes that a sweep kept.

    Raises:
        DataError: no checkpoint, or data that changed since.
    """
    if (path / "artifact" / "manifest.json").exists():
        return load(path / "artifact")
    found, kept = compose_run(path, device), path / PROBES
    return replace(found, probes={**found.probes, **read_arrays(kept)}) if kept.exists() else found


def compose_run(path: Path, device: str = "cpu") -> Artifact:
    """What ``tailgeom extract`` would write, without its probes but for the prototypes, which cost nothing.

    Of a head on stored features only the head's scores are computed: features, labels and parts are those of the split.

    Args:
        path: a run directory with a checkpoint.
        device: auto, cpu or cuda.

    Raises:
        DataError: no checkpoint, or data that changed since.
    """
    found = reopen(path, device=device, opening=opened_task)
    model = found.algorithm.model
    if isinstance(found.task.inputs, FeatureInputs):
        whole = with_head(_features_alone(found.task, found.config.model), model, found.made_by)
    else:
        whole = collect(model, found.task, found.device, found.made_by, None, with_head=True)
    return replace(whole, probes=prototypes_of(found.algorithm))


@torch.inference_mode()
def with_head(base: Artifact, model: Classifier, made_by: dict[str, object]) -> Artifact:
    """An artifact of feature vectors with the scores and weights of a head on them.

    Args:
        base: features, labels, domains and parts.
        model: the head, behind a backbone that hands features on as they are.
        made_by: what made the head, for the provenance.
    """
    features = torch.from_numpy(base.features).to(model.head.weight.device)
    return replace(
        base,
        logits=model.head(features).cpu().numpy(),
        projections=None if model.projection is None else model.project(features).cpu().numpy(),
        head_weight=model.head.weight.cpu().numpy(),
        head_bias=model.head.bias.cpu().numpy(),
        provenance={**base.provenance, **made_by},
    )


@lru_cache(maxsize=1)
def _features_alone(task: Task, model: ModelConfig) -> Artifact:
    """The samples of a split in an artifact's order, without any head: runs are met one split after another."""
    any_head = build(RunConfig(model=model), task, torch.device("cpu")).model
    found = collect(any_head, task, torch.device("cpu"), {}, None, with_head=False)
    return replace(found, features=np.require(found.features, np.float32, ("C", "W")))
