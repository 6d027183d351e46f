"""From a run directory back to its algorithm: the weights of a checkpoint, refused where they belong to other data."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from experiments.algorithms import Algorithm
from experiments.config import RunConfig
from experiments.origin import require_same_origin
from experiments.runs import Checkpoint, RunDirectory
from experiments.task import Task
from experiments.training import build
from geometry.errors import DataError, UsageError

CHECKPOINTS = ("selected", "last")


@dataclass(frozen=True)
class Restored:
    """A run at one of its checkpoints.

    Attributes:
        algorithm: its model and losses, in evaluation mode.
        step: training steps behind the weights.
        made_by: which run, checkpoint and step they are, for an artifact's provenance.
    """

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
    return Restored(algorithm, step, {"run": run.config(), "checkpoint": which, "step": step})
