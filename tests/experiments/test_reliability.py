"""Killed with -9 at any moment, a run loses steps and never a result.

This file is also the program that kills: ``python test_reliability.py FOLDER``. It imports torch once and
forks a process for every life of a run.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.algorithms import ALGORITHMS
from experiments.algorithms.registry import FAMILIES
from experiments.augment import augment
from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.runs import RunDirectory
from experiments.task import Task
from experiments.training import train
from geometry.shots import ShotThresholds

KILLS = 20


CONFIG = RunConfig(
    DataConfig(),
    ModelConfig(),
    OptimConfig(
        algorithm="ndcl", augment="crop", steps=20, batch_size=4, checkpoint_every=2, log_every=1, device="cpu"
    ),
)


FILE_OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "shutil.rmtree")


class Pixels:
    """Random images in memory."""

    images, num_inputs = True, None

    def __init__(self, count):
        self.pixels = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def prepare(self, index, progress=None):
        pass

    def batch(self, index, device):
        return self.pixels[torch.as_tensor(index)].to(device)

    def prepare_views(self, index, names, progress=None):
        pass

    def augmented(self, index, name, rng, device):
        return augment(self.batch(index, device), name, rng)

    def digest(self):
        return "random images"


def small_task():
    """Two source domains, one target, three classes; a class that one domain lacks and a class with one image."""
    cells = [(0, 0, 12), (0, 1, 6), (0, 2, 3), (1, 0, 9), (1, 2, 1)]
    rows = [(domain, k, "train") for domain, k, count in cells for _ in range(count)]
    rows += [(domain, k, "validation") for domain in (0, 1) for k in range(3) for _ in range(3)]
    rows += [(2, k, "target") for k in range(3) for _ in range(5)]
    domain, label, part = (np.asarray(column) for column in zip(*rows, strict=True))
    counts = np.zeros((3, 3), dtype=np.int64)
    for m, k, count in cells:
        counts[m, k] = count
    names = tuple(f"image {i}" for i in range(len(rows)))
    return Task(
        "small", tuple("abc"), ("day", "dusk", "night"), "night", label, domain, part, counts, ShotThresholds(10, 4),
        names, Pixels(len(rows)),
    )  # fmt: skip


def result(run):
    """What a run is judged by, as bytes."""
    files = ("checkpoint/model.safetensors", "checkpoint/selected.safetensors", "metrics.jsonl", "config.yaml")
    return {name: (run / name).read_bytes() for name in (*files, "splits.csv", "counts.csv")}


def read_whole(run):
    """Read what a reader may find while a run trains or lies killed; a half-written file would raise. The step."""
    directory = RunDirectory(run)
    if not run.exists():
        return 0
    checkpoint = directory.load_checkpoint()
    directory.metrics()
    if checkpoint is not None:
        assert directory.config()["optim"]["steps"] == CONFIG.optim.steps
        assert all(bool(weight.isfinite().all()) for weight in checkpoint.weights.values())
    return checkpoint.step if checkpoint else 0


def live(run, task, operations=None):
    """One life of a run; it ends with the given number of file operations, where one is given."""
    if operations is not None:
        left = [operations]

        def count(event, arguments):
            if event in FILE_OPERATIONS and str(run) in str(arguments[0]):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
    train(CONFIG, run, task=task)


def kill_at_random_moments(folder, fork):
    """Until so many kills hit: runs that finish first are kept, and the next one begins."""
    began = time.monotonic()
    fork(folder / "timed").join()
    span = (time.monotonic() - began) / 2
    rng = np.random.default_rng(0)
    kills, reads, steps, runs = 0, 0, [], [folder / "moments 0"]
    while kills < KILLS:
        process = fork(runs[-1])
        end = time.monotonic() + rng.uniform(0, span)
        while process.is_alive() and time.monotonic() < end:
            read_whole(runs[-1])
            reads += 1
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            kills += 1
            steps.append(read_whole(runs[-1]))
            span *= 1.0 if steps[-1] else 1.3  # the machine has become slower: a kill before any step says little
        else:
            runs.append(folder / f"moments {len(runs)}")
    fork(runs[-1]).join()
    return {"kills": kills, "reads": reads, "steps": steps, "runs": [run.name for run in runs]}


def kill_at_every_operation(folder, fork):
    """One run, killed before its 1st, 2nd, 3rd ... file operation since its last start, until it ends by itself."""
    kills, steps = 0, []
    while True:
        process = fork(folder / "operations", kills)
        process.join()
        if process.exitcode != -signal.SIGKILL:
            return {"kills": kills, "steps": steps, "runs": ["operations"]}
        kills += 1
        steps.append(read_whole(folder / "operations"))


def kill(folder):
    context = multiprocessing.get_context("fork")
    task = small_task()
    train(CONFIG, folder / "whole", task=task)  # what it imports on first use, every fork then has

    def fork(run, *words):
        process = context.Process(target=live, args=(run, task, *words))
        process.start()
        return process

    found = {"moments": kill_at_random_moments(folder, fork), "operations": kill_at_every_operation(folder, fork)}
    print(json.dumps(found))


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of the whole run and the killed ones, and what the killer reports."""
    folder = tmp_path_factory.mktemp("killed")
    words = [sys.executable, __file__, str(folder)]
    found = subprocess.run(
        words, capture_output=True, text=True, timeout=900, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert found.returncode == 0, found.stderr
    return folder, json.loads(found.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["moments", "operations"])
def test_kills_change_no_byte(killed, way):
    folder, report = killed
    for run in report[way]["runs"]:
        assert (folder / run / "done").exists()
        assert result(folder / run) == result(folder / "whole")
        left = {path.name for path in (folder / run).iterdir() if path.name.startswith(".")}
        assert left <= {".lock"}  # an empty file that nobody holds: its removal was the last operation to be killed


@pytest.mark.slow
def test_kills_hit_all_over_the_run(killed):
    _, report = killed
    assert report["moments"]["kills"] == KILLS
    assert report["moments"]["reads"] > KILLS  # a reader looked on all the while
    assert len(set(report["moments"]["steps"])) > 3
    assert report["operations"]["kills"] > 50
    assert sorted(report["operations"]["steps"]) == report["operations"]["steps"]  # what was saved is never lost


# ---------------------------------------------------------------- data as odd as they come


def with_cells(task, keep):
    """The task with only those training cells, and their domains as sources."""
    here = np.array([keep(m, k) for m, k in zip(task.domain, task.labels, strict=True)])
    part = np.where((task.part == "train") & ~here, "unused", task.part)
    counts = task.counts * np.array([[keep(m, k) for k in range(3)] for m in range(3)])
    return replace(task, part=part, counts=counts)


def with_unlabelled(task):
    """The task with one label a training cell; the other images, and those left out, are unlabelled."""
    cells = list(zip(task.domain.tolist(), task.labels.tolist(), task.part.tolist(), strict=True))
    first = np.array([cells.index(cell) == i for i, cell in enumerate(cells)])
    part = np.where((task.part == "unused") | ((task.part == "train") & ~first), "unlabelled", task.part)
    return replace(task, part=part)


ODD = {
    "one domain": lambda m, k: m == 0,
    "a class nobody has": lambda m, k: k != 1,
    "one class": lambda m, k: k == 0,
    "one class in one domain": lambda m, k: (m, k) == (1, 2),  # a single image
}


@pytest.mark.parametrize("batch_size", [1, 5])
@pytest.mark.parametrize("cells", ODD)
@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if ALGORITHMS[name].steps_needed is None])
def test_every_algorithm_trains_on_odd_data(tmp_path, algorithm, cells, batch_size):
    """Absent classes, single images and lone domains are normal; at batch size 1 classes outnumber the batch."""
    optim = replace(CONFIG.optim, algorithm=algorithm, steps=2, batch_size=batch_size)
    task = with_cells(small_task(), ODD[cells])
    if algorithm in FAMILIES["unlabelled data"]:
        task = with_unlabelled(task)
    run = train(replace(CONFIG, optim=optim), tmp_path / "run", task=task)
    assert run.finished
    assert all(np.isfinite(row["loss"]) for row in run.metrics() if "loss" in row)


if __name__ == "__main__":
    kill(Path(sys.argv[1]))
