"""The same jobs on Ray: a task a job, on a file system that all machines share.

Ray starts the task of a worker that died again on another one, which goes on from the run's last checkpoint.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.sweep.plan import Job
from geometry.errors import UsageError

RETRIES = 2  # new starts of a job whose worker dies
AHEAD = 2  # jobs handed to Ray per job that can run, so that no worker waits for the next


def run_on_ray(
    jobs: Sequence[Job], runs: Path, *, workers: int = 0, cpus: float = 1.0, gpus: float = 0.0
) -> Iterator[tuple[Job, str | None]]:
    """Run jobs on the cluster of ``RAY_ADDRESS``, else on a Ray of this machine's own; every job as it ends.

    Args:
        jobs: in the order they are handed out.
        runs: where their directories go; the same path on every machine.
        workers: jobs at once; 0 for as many as the cluster's resources allow.
        cpus: cores of a job.
        gpus: GPUs of a job.

    Raises:
        UsageError: Ray is not installed, or the cluster never can run a job.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError('The ray backend needs Ray: pip install "tailgeom[ray]".') from error
    ours = not ray.is_initialized()
    if ours:
        own = {} if os.environ.get("RAY_ADDRESS") or not workers else {"num_cpus": max(1, round(workers * cpus))}
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False, **own)
    try:
        at_once = _capacity(ray.cluster_resources(), cpus, gpus)
        yield from _run(ray, jobs, runs.absolute(), min(workers, at_once) if workers else at_once, cpus, gpus)
    finally:
        if ours:
            ray.shutdown()


def _capacity(resources: dict[str, float], cpus: float, gpus: float) -> int:
    room = [resources.get(name, 0.0) // each for name, each in (("CPU", cpus), ("GPU", gpus)) if each > 0]
    found = int(min(room, default=1))
    if found < 1:
        raise UsageError(
            f"A job asks for {cpus:g} CPUs and {gpus:g} GPUs, the cluster has {resources.get('CPU', 0):g} and "
            f"{resources.get('GPU', 0):g}; lower resources in the spec."
        )
    return found


def _run(
    ray: Any, jobs: Sequence[Job], runs: Path, at_once: int, cpus: float, gpus: float
) -> Iterator[tuple[Job, str | None]]:
    from experiments.sweep.job import record_failure

    task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)(remote_job)
    waiting, flying = iter(jobs), {}
    while True:
        for job in waiting:
            flying[task.remote(job, runs)] = job
            if len(flying) >= AHEAD * at_once:
                break
        if not flying:
            return
        ready, _ = ray.wait(list(flying), num_returns=1)
        for reference in ready:
            job = flying.pop(reference)
            try:
                error = ray.get(reference)
            except ray.exceptions.RayError as lost:
                error = f"Ray lost the job {1 + RETRIES} times: {type(lost).__name__}."
                record_failure(runs / job.name, error)
            yield job, error


def remote_job(job: Job, runs: Path) -> str | None:
    """:func:`experiments.sweep.job.run_job` on one thread, for the number does not depend on the machine then."""
    import torch

    from experiments.sweep.job import run_job

    if not torch.cuda.is_available():
        torch.set_num_threads(1)
    return run_job(job, runs)
