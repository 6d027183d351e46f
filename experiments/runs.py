"""The run directory: configuration, metrics, checkpoint and manifest, never half-written.

::

    config.yaml      the resolved configuration
    counts.csv       training images per source domain and class
    splits.csv       sample id, domain, class and part of every image
    metrics.jsonl    one row per log interval and evaluation
    checkpoint/      model.safetensors, selected.safetensors (best balanced validation so far), state.pt
    snapshots/       step-000000.safetensors and on, where they were asked for
    manifest.json    versions, seeds, commit, hardware, times, split sizes
    diverged.json    step, terms and batch of a NaN or infinity that stopped training; gone once training goes on
    done             present when training finished
"""

import fcntl
import io
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from experiments.named_values import differences
from geometry.atomic import (
    read_directory,
    readable_directory,
    recover_directory,
    replacing,
    replacing_directory,
    require_directory,
    write_text,
)
from geometry.errors import DataError, UsageError

CHECKPOINT_FILES = ("model.safetensors", "selected.safetensors", "state.pt")
# What may lie in a directory before the run does: what a sweep or a shell puts there, and what a kill left behind.
LOGS = (".log", ".out", ".err")
BEFORE_A_RUN = ("log.txt", "failure.json", ".lock")
HALF_WRITTEN = (".config.yaml.", ".checkpoint.", ".nfs")


@dataclass
class Checkpoint:
    """Training state after ``step`` steps.

    Attributes:
        step: optimiser steps done.
        weights: the algorithm's parameters and buffers.
        selected: those with the best balanced validation accuracy so far.
        state: optimiser, random states, selection record.
    """

    step: int
    weights: dict[str, Tensor]
    selected: dict[str, Tensor]
    state: dict[str, Any]


class RunDirectory:
    """One run's files.

    Args:
        path: the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def finished(self) -> bool:
        """Whether training ran to its end."""
        return (self.path / "done").exists()

    def start(self, config: dict[str, Any]) -> None:
        """Create the directory, or accept one whose checkpoint was made with the same configuration.

        Raises:
            UsageError: it holds a run of another configuration (the differing entries are named), or something else.
        """
        self.require_ours()
        file = self.path / "config.yaml"
        if file.exists() and readable_directory(self.path / "checkpoint").exists():
            differing = differences(config, self.config())
            if differing:
                raise UsageError(
                    f"{self.path} holds a run of another configuration ({'; '.join(differing)}); "
                    "choose another --out or delete it."
                )
            return
        write_text(file, yaml.safe_dump(config, sort_keys=False))

    def require_ours(self) -> None:
        """Refuse a place where a run would write over what is none: ask before anything is computed.

        Raises:
            UsageError: a file, or a directory that is neither empty nor a run.
        """
        if not self.path.is_dir():
            require_directory(self.path)
            return
        if self._is_run():
            return
        others = sorted(
            name
            for name in (entry.name for entry in self.path.iterdir())
            if name not in BEFORE_A_RUN and not name.startswith(HALF_WRITTEN) and not name.endswith(LOGS)
        )
        if others:
            raise UsageError(
                f"{self.path} is no run and holds other things ({others[0]}) that would be lost; choose another --out."
            )

    def _is_run(self) -> bool:
        try:
            return {"data", "optim"} <= self.config().keys()
        except DataError:  # a checkpoint beside it is ours whatever became of config.yaml, which is then complained of
            return readable_directory(self.path / "checkpoint").exists()

    def config(self) -> dict[str, Any]:
        """The resolved configuration.

        Raises:
            DataError: there is none, or it is not YAML.
        """
        file = self.path / "config.yaml"
        try:
            loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise DataError(f"Expected a run directory at {self.path}, found no config.yaml there.") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DataError(f"Cannot read {file}: {error}.") from error
        if not isinstance(loaded, dict):
            raise DataError(f"Expected a mapping in {file}, got {type(loaded).__name__}.")
        return loaded

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training this run; the system lets go when the process dies.

        Raises:
            UsageError: another process is training it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        file = self.path / ".lock"
        with file.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UsageError(
                    f"Another process is training {self.path}; wait for it, or choose another --out."
                ) from error
            try:
                yield
            finally:
                file.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what a kill left half-written; only the process that holds the lock may."""
        recover_directory(self.path / "checkpoint")
        for stale in self.path.glob(".checkpoint.*"):
            shutil.rmtree(stale, ignore_errors=True)
        for stale in self.path.glob(".*.*"):
            if stale.is_file():
                stale.unlink(missing_ok=True)
        for stale in (self.path / "snapshots").glob(".*.*"):
            stale.unlink(missing_ok=True)

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint whole; it and the metrics that lead to it are on the disk before the old one goes."""
        with (self.path / "metrics.jsonl").open("ab") as file:
            os.fsync(file.fileno())
        with replacing_directory(self.path / "checkpoint", CHECKPOINT_FILES) as directory:
            # Serialised in memory, then written as bytes: a full disk is then an OSError whichever file meets it.
            _write_through(directory / "model.safetensors", save(_savable(checkpoint.weights)))
            _write_through(directory / "selected.safetensors", save(_savable(checkpoint.selected)))
            state = io.BytesIO()
            torch.save({"step": checkpoint.step, **checkpoint.state}, state)
            _write_through(directory / "state.pt", state.getvalue())

    def load_checkpoint(self) -> Checkpoint | None:
        """The last checkpoint, or None before the first.

        Raises:
            DataError: it is broken.
        """
        return read_directory(self.path / "checkpoint", _read_checkpoint)

    def save_snapshot(self, step: int, weights: dict[str, Tensor]) -> None:
        """Keep the algorithm's parameters and buffers after ``step`` steps, whole or not at all."""
        with replacing(self.path / "snapshots" / f"step-{step:06d}.safetensors") as temporary:
            temporary.write_bytes(save(_savable(weights)))

    def snapshots(self) -> dict[int, Path]:
        """The snapshots' files by step, in the order of training."""
        files = (self.path / "snapshots").glob("step-*.safetensors")
        return dict(sorted((int(file.stem.removeprefix("step-")), file) for file in files))

    def load_snapshot(self, step: int) -> dict[str, Tensor]:
        """The parameters and buffers after ``step`` steps.

        Raises:
            DataError: there is no such snapshot, or it is broken.
        """
        file = self.path / "snapshots" / f"step-{step:06d}.safetensors"
        try:
            return load_file(file)
        except (OSError, SafetensorError) as error:
            raise DataError(f"Cannot read the snapshot {file}: {error}.") from error

    def rewind_snapshots(self, step: int) -> None:
        """Forget snapshots after ``step``, which a resumed run writes anew."""
        for later, file in self.snapshots().items():
            if later > step:
                file.unlink()

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add one row to metrics.jsonl.

        It outlives the process at once; what a power failure takes is rows after the last checkpoint, which the
        resumed run writes anew.
        """
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl; a row cut short by a kill is left out."""
        file = self.path / "metrics.jsonl"
        if not file.exists():
            return []
        rows = []
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows

    def rewind_metrics(self, step: int) -> None:
        """Forget rows after ``step``, which a resumed run writes anew."""
        rows = [row for row in self.metrics() if row["step"] <= step]
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def finish(self) -> None:
        """Mark the run as done."""
        write_text(self.path / "done", "")


def _read_checkpoint(directory: Path) -> Checkpoint | None:
    if not directory.exists():
        return None
    try:
        state = torch.load(directory / "state.pt", map_location="cpu", weights_only=True)
        return Checkpoint(
            step=state.pop("step"),
            weights=load_file(directory / "model.safetensors"),
            selected=load_file(directory / "selected.safetensors"),
            state=state,
        )
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, KeyError, EOFError) as error:
        raise DataError(f"The checkpoint in {directory} is broken ({error}); delete it to start over.") from error


def _write_through(file: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with file.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())


def _savable(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
