"""One job: train, evaluate the selected checkpoint once, keep the numbers; or keep the error, in one sentence.

A job's directory is a run directory with files more, each written whole or not at all::

    evaluation.json      metrics of every part, and gradients where kept; its presence means that the job is done
    logits.safetensors   logits/<part> (n, K), labels/<part> (n,), index/<part> (n,), for paired tests
    probes.safetensors   what the probes of the spec recorded, where it names any
    failure.json         the error of a job that failed, with what it printed in log.txt
"""

import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save
from scipy.special import softmax
from torch import Tensor

from experiments.config import RunConfig
from experiments.data.splits import UNLABELLED
from experiments.devices import pick_device
from experiments.evaluation import predict
from experiments.opened_tasks import opened_task
from experiments.probes.context import Context
from experiments.probes.registry import record
from experiments.restoring import restore, saved_in
from experiments.runs import RunDirectory
from experiments.sweep.gradients import gradient_shares
from experiments.sweep.plan import Job
from experiments.sweep.results import PSEUDO
from experiments.sweep.status import EVALUATION, FAILURE, LOG, LOGITS, PROBES, read_numbers
from experiments.task import Task
from experiments.training import train
from geometry.artifact import SPLITS
from geometry.atomic import plain, replacing, write_json
from geometry.classification import evaluate
from geometry.errors import TailgeomError
from geometry.pseudo_labels import measure_pseudo_labels
from geometry.shots import group_masks, shot_groups

KEPT_PARTS = ("validation", "target", "source_test")
FEATURES_AT_ONCE = 65_536
IMAGES_AT_ONCE = 256


def run_job(job: Job, runs: Path) -> str | None:
    """Run a job in its directory under ``runs``; the error in one sentence when it failed, else None."""
    directory = runs / job.name
    directory.mkdir(parents=True, exist_ok=True)
    (directory / FAILURE).unlink(missing_ok=True)
    with _logged(directory / LOG):
        try:
            _run(job, directory)
        except Exception as error:  # whatever it is, the other jobs go on
            traceback.print_exc()
            sentence = str(error) if isinstance(error, TailgeomError) else f"{type(error).__name__}: {error}"
            record_failure(directory, sentence)
            return sentence
    return None


def record_failure(directory: Path, sentence: str) -> None:
    """Keep the error of a job that failed."""
    write_json(directory / FAILURE, {"error": " ".join(sentence.split()), "log": LOG})


def _run(job: Job, directory: Path) -> None:
    config, run = job.config, RunDirectory(directory)
    if run.finished and run.load_checkpoint() is None:  # its checkpoint was not kept, and its numbers are gone
        (directory / "done").unlink()
    task = opened_task(config)
    begun_before = (directory / "checkpoint").exists() or run.finished
    known = _known_cost(job, directory) if run.finished else None
    _forget_peak_memory()
    began = time.perf_counter()
    train(config, directory, task=task)
    seconds = time.perf_counter() - began
    context, origin = _selected(config, run, task)
    numbers, arrays = evaluation(context)
    if "gradients" in job.keep:
        numbers["gradients"] = plain(gradient_shares(context))
    if job.probes:
        _write_arrays(directory / PROBES, record(job.probes, context))
        numbers["probes"] = sorted(job.probes)
    if "logits" in job.keep:
        _write_arrays(directory / LOGITS, arrays)
    # The time of a run that was cut off is not known; that of one that is only evaluated anew, for more numbers, is.
    cost = known or {"seconds": None if begun_before else seconds, "peak_memory_mb": _peak_memory(config)}
    write_json(directory / EVALUATION, {"digest": job.digest, **origin, **numbers, **cost})
    _prune(directory, job.keep)


def _selected(config: RunConfig, run: RunDirectory, task: Task) -> tuple[Context, dict[str, Any]]:
    """A finished run at its selected checkpoint, and which that is."""
    saved, device = saved_in(run), pick_device(config.optim.device)
    restored = restore(config, run, saved, task, device)
    origin = {"step": restored.step, "data": saved.state["data"], "device": device.type}
    return Context(config, task, restored.algorithm, device, run), origin


def evaluation(context: Context) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Metrics of every part and of pseudo-labels, where there are unlabelled samples, and the arrays behind them."""
    task = context.task
    groups = group_masks(shot_groups(task.source_counts, task.shot_thresholds))
    parts, arrays, more = {}, {}, {}
    for part in (*SPLITS, UNLABELLED):
        index = task.indices(part)
        if index.size == 0:
            continue
        logits = _logits(context.algorithm.model, task, index, context.device).numpy()
        parts[part] = plain(evaluate(logits, task.labels[index], groups))
        if part == UNLABELLED:
            believed = softmax(logits.astype(np.float64), axis=1)
            more[PSEUDO] = plain(measure_pseudo_labels(believed, task.labels[index], task.classes, groups))
        if part in KEPT_PARTS:
            arrays |= {f"logits/{part}": logits, f"labels/{part}": task.labels[index], f"index/{part}": index}
    return {"parts": parts, **more}, arrays


def _write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def _known_cost(job: Job, directory: Path) -> dict[str, Any] | None:
    """What the run cost when it was trained, where its numbers are there."""
    numbers = read_numbers(job, directory.parent)
    return None if numbers is None else {name: numbers[name] for name in ("seconds", "peak_memory_mb")}


def _logits(model: Any, task: Task, index: NDArray[np.intp], device: torch.device) -> Tensor:
    chunk = IMAGES_AT_ONCE if task.inputs.images else FEATURES_AT_ONCE
    return predict(model, task, index, device, chunk=chunk)[1]


def _prune(directory: Path, keep: tuple[str, ...]) -> None:
    if "checkpoint" not in keep:
        shutil.rmtree(directory / "checkpoint", ignore_errors=True)
    if "splits" not in keep:
        (directory / "splits.csv").unlink(missing_ok=True)


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send what this process and its libraries print to a file; no file stays where nothing was printed."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    streams = sys.stdout, sys.stderr
    try:
        with path.open("w", encoding="utf-8", buffering=1) as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            sys.stdout = sys.stderr = log
            yield
    finally:
        sys.stdout, sys.stderr = streams
        for number, copy in enumerate(kept, start=1):
            os.dup2(copy, number)
            os.close(copy)
        with suppress(OSError):
            if path.stat().st_size == 0:
                path.unlink()


def _forget_peak_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Linux: the peak starts anew


def _peak_memory(config: RunConfig) -> float | None:
    """Megabytes: of the GPU where one trains, else of the process; None where the system does not tell."""
    if pick_device(config.optim.device).type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**10
    return None
