"""A sweep from plan to results: what is done is skipped, what fails is kept, what is written is whole."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from experiments.sweep.plan import Job, missing_data
from experiments.sweep.results import RUNS, write_results
from experiments.sweep.spec import Spec
from experiments.sweep.status import DONE, FAILED, Outcome, locked, outcome, outcomes
from geometry.atomic import read_json, readable_directory
from geometry.errors import DataError, UsageError

BACKENDS = ("local", "ray")
WRITE_EVERY = 30.0  # seconds between two versions of the results while jobs run

Progress = Callable[[int, int, str], None]


def run_sweep(
    spec: Spec,
    jobs: Sequence[Job],
    out: Path,
    *,
    workers: int = 0,
    backend: str = "local",
    retry_failed: bool = False,
    progress: Progress = lambda done, total, text: None,
) -> dict[str, Outcome]:
    """Run what is missing of a plan, and write the results; how every run stands, by digest.

    However it ends, by the last job, by Ctrl-C or by an error, the results of what is done are written.

    Args:
        spec: of the sweep.
        jobs: its plan.
        out: the sweep's directory.
        workers: processes at once; 0 for one a core, or one a GPU where jobs train on GPUs.
        backend: local or ray.
        retry_failed: run the jobs that failed before, too.
        progress: called with the jobs ended and begun now, and a word about failures.

    Raises:
        UsageError: an unknown backend, or another sweep is running in ``out``.
        DataError: data are missing, or are not those of the runs that are done already.
    """
    if backend not in BACKENDS:
        raise UsageError(f"Unknown backend {backend!r}; known: {', '.join(BACKENDS)}.")
    for sentence in missing_data(spec):
        raise DataError(sentence)
    with locked(out):
        runs = out / RUNS
        found = outcomes(jobs, runs)
        inputs = feature_digests(spec)
        if any(standing.state == DONE for standing in found.values()):
            _require_same_inputs(out, inputs)
        open_states = ("missing", FAILED) if retry_failed else ("missing",)
        left = list({job.digest: job for job in jobs if found[job.digest].state in open_states}.values())
        write_results(out, spec, jobs, found, inputs)
        failed, written = 0, time.monotonic()
        progress(0, len(left), "")
        try:
            for ended, (job, _) in enumerate(_execute(spec, left, runs, workers, backend), start=1):
                found[job.digest] = outcome(job, runs)
                failed += found[job.digest].state == FAILED
                progress(ended, len(left), f"{failed} failed" if failed else "")
                if time.monotonic() - written > WRITE_EVERY:
                    write_results(out, spec, jobs, found, inputs)
                    written = time.monotonic()
        finally:
            write_results(out, spec, jobs, found, inputs)
    return found


def _execute(
    spec: Spec, jobs: Sequence[Job], runs: Path, workers: int, backend: str
) -> Iterator[tuple[Job, str | None]]:
    if not jobs:
        return iter(())
    if backend == "ray":
        from experiments.sweep.cluster import run_on_ray

        return run_on_ray(jobs, runs, workers=workers, cpus=spec.cpus, gpus=spec.gpus)
    from experiments.sweep.local import run_local

    cores, gpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 0
    if any(job.config.optim.device != "cpu" for job in jobs):
        import torch

        gpus = torch.cuda.device_count()
    workers = workers or (gpus or cores)
    # One thread a worker on a CPU: many small jobs side by side, and numbers that do not depend on the machine.
    return run_local(jobs, runs, workers=workers, gpus=gpus, threads=max(1, cores // workers) if gpus else 1)


def feature_digests(spec: Spec) -> dict[str, str]:
    """SHA-256 of every feature file that the spec reads, by path."""
    found = {}
    for source in spec.sources:
        if source.features is None:
            continue
        place = readable_directory(source.features)
        with (place / "arrays.safetensors" if place.is_dir() else place).open("rb") as file:
            found[str(source.features.absolute())] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _require_same_inputs(out: Path, inputs: dict[str, str]) -> None:
    try:
        before = read_json(out / "sweep.json").get("inputs", {})
    except (DataError, AttributeError):
        return
    for path, digest in inputs.items():
        if before.get(path, digest) != digest:
            raise DataError(
                f"The features at {path} are not those that the finished runs in {out} were trained on; "
                "restore them, or choose another --out."
            )
