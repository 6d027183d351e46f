"""From a run directory back to its algorithm: the weights of a checkpoint, refused where they belong to other data."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from experiments.algorithms import Algorithm
from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data_config import data_config
from experiments.devices import pick_device
from experiments.origin import require_same_origin
from experiments.runs import Checkpoint, RunDirectory
from experiments.task import Task, open_task
from experiments.training import build
from geometry.errors import DataError, UsageError

CHECKPOINTS = ("selected", "last")


@dataclass(frozen=True)
class Restored:
    """A run at one of its checkpoints.

    Attributes:
        config: of the run.
        run: its directory.
        task: its data.
        device: where the algorithm is.
        algorithm: its model and losses, in evaluation mode.
        step: training steps behind the weights.
        made_by: which run, checkpoint and step they are, for an artifact's provenance.
    """

    config: RunConfig
    run: RunDirectory
    task: Task
    device: torch.device
    algorithm: Algorithm
    step: int
    made_by: dict[str, Any]


def require_checkpoint_name(checkpoint: str) -> None:
    """Refuse a name that no run has.

    Raises:
        UsageError: the name is neither ``selected`` nor ``last``.
    """
    if checkpoint not in CHECKPOINTS:
        raise UsageError(f"Unknown checkpoint {checkpoint!r}; known: {', '.join(CHECKPOINTS)}.")


def config_of(run: RunDirectory, device: str = "auto") -> RunConfig:
    """The configuration a run directory was made with.

    Raises:
        DataError: it has none, or one of another version.
    """
    saved = run.config()
    try:
        return RunConfig(
            data=data_config(saved["data"]),
            model=ModelConfig(**(saved["model"] or {})),
            optim=OptimConfig(**saved["optim"], device=device),
            features=None if saved["features"] is None else Path(saved["features"]),
        )
    except (KeyError, TypeError) as error:
        raise DataError(f"The configuration in {run.path} is not one of this version: {error}.") from error


def saved_in(run: RunDirectory) -> Checkpoint:
    """The checkpoint of a run directory; ask before opening the data, which may take long.

    Raises:
        DataError: there is none, or it is broken.
    """
    saved = run.load_checkpoint()
    if saved is None:
        raise DataError(f"{run.path} has no checkpoint yet; train first: tailgeom train --out {run.path}.")
    return saved


def restore(
    config: RunConfig, run: RunDirectory, saved: Checkpoint, task: Task, device: torch.device, which: str = "selected"
) -> Restored:
    """The algorithm of a run with the weights of its checkpoint, in evaluation mode.

    Args:
        config: of the run; its pretrained weights are not loaded, since the checkpoint replaces them.
        run: its directory.
        saved: what :func:`saved_in` found there.
        task: the data of the configuration.
        device: where the algorithm goes.
        which: ``selected`` (best balanced validation accuracy) or ``last``.

    Raises:
        DataError: another configuration or other data made the checkpoint.
        UsageError: unknown checkpoint.
    """
    require_checkpoint_name(which)
    require_same_origin(task, saved, run)
    algorithm = build(replace(config, model=replace(config.model, weights="none")), task, device)
    algorithm.load_state_dict(saved.selected if which == "selected" else saved.weights)
    algorithm.eval()
    step = saved.state["best_step"] if which == "selected" else saved.step
    made_by = {"run": run.config(), "checkpoint": which, "step": step}
    return Restored(config, run, task, device, algorithm, step, made_by)


def reopen(
    path: Path,
    *,
    checkpoint: str = "selected",
    device: str = "auto",
    opening: Callable[[RunConfig], Task] = open_task,
) -> Restored:
    """A run as its directory has it, with its data.

    Args:
        path: the run directory.
        checkpoint: ``selected`` (best balanced validation accuracy) or ``last``.
        device: auto, cpu or cuda.
        opening: makes the task of a configuration.

    Raises:
        DataError: no checkpoint, broken data, or data that changed since.
        UsageError: unknown checkpoint.
    """
    require_checkpoint_name(checkpoint)
    run = RunDirectory(path)
    config, saved = config_of(run, device), saved_in(run)
    return restore(config, run, saved, opening(config), pick_device(device), checkpoint)
