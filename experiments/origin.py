"""What a run was made from: its configuration in full, and whether a checkpoint belongs to it."""

import hashlib
import json
from typing import Any

from experiments.algorithms.registry import recorded_options
from experiments.config import RunConfig
from experiments.runs import Checkpoint, RunDirectory
from experiments.task import Task
from geometry.errors import DataError


def resolved(config: RunConfig) -> dict[str, Any]:
    """The configuration with its options written out; the device is left to the machine.

    What later versions added and a run leaves at its default is not there, so that the runs of earlier versions, and
    their digests, stay what they are.
    """
    plain = config.to_dict()
    plain["optim"]["options"] = recorded_options(config.optim.algorithm, config.optim.options)
    plain["optim"].pop("device")
    return plain


def config_digest(config: RunConfig) -> str:
    """SHA-256 of the resolved configuration; a checkpoint carries that of its run."""
    return _digest(resolved(config))


def _digest(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def require_same_origin(task: Task, checkpoint: Checkpoint, run: RunDirectory) -> None:
    """Refuse a checkpoint that another configuration or other data made.

    The configuration is compared as the run wrote it, so that a later version with more options still reads the run.

    Raises:
        DataError: they did.
    """
    where = run.path / "checkpoint"
    if checkpoint.state.get("config") not in (None, _digest(run.config())):
        raise DataError(
            f"The checkpoint in {where} was made by another configuration than config.yaml there; "
            "put back its own, or delete it to start over."
        )
    if checkpoint.state.get("data") not in (None, task.digest()):
        raise DataError(
            f"The data changed since the checkpoint in {where} was made: other samples, or another split of them; "
            "restore them, or choose another --out."
        )
