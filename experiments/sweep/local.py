"""Jobs on processes of this machine: each runs many, none can stop another, and all end with the sweep.

A worker imports torch once and keeps the features of its last splits: a job costs little more than its training.
A worker that dies (out of memory, ``kill -9``) is replaced and its job is run once more, from its last checkpoint.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from experiments.sweep.plan import Job
from geometry.errors import TailgeomError

ATTEMPTS = 2  # a job whose worker dies that often has failed
READY = "ready"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
PATIENCE = 5.0  # seconds that a worker has to end by itself


@dataclass(eq=False)
class _Worker:
    """One process, the connection to it, and the job it has."""

    process: Any
    connection: Connection
    slot: int
    ready: bool = False
    job: Job | None = None
    attempt: int = 0


def run_local(
    jobs: Sequence[Job], runs: Path, *, workers: int, gpus: int = 0, threads: int = 1
) -> Iterator[tuple[Job, str | None]]:
    """Run jobs on ``workers`` processes; every job as it ends, with its error or None.

    Args:
        jobs: in the order they are begun.
        runs: where their directories go.
        workers: processes at once.
        gpus: GPUs to deal out to the workers, one each in turn; 0 leaves them all what this process sees.
        threads: of numerical libraries in each worker.

    Raises:
        TailgeomError: a worker cannot even start.
    """
    waiting = deque((job, 1) for job in jobs)
    crew: list[_Worker] = []
    try:
        while waiting or any(worker.job for worker in crew):
            while len(crew) < min(workers, len(waiting) + sum(worker.job is not None for worker in crew)):
                slot = next(n for n in range(workers) if n not in {worker.slot for worker in crew})
                crew.append(_start(runs, slot, gpus, threads))
            ready = wait([worker.connection for worker in crew if worker.job or not worker.ready])
            for worker in [worker for worker in crew if worker.connection in ready]:
                ended = _hear(worker, crew, waiting, runs)
                if ended is not None:
                    yield ended
            for worker in crew:
                if worker.ready and worker.job is None and waiting:
                    _give(worker, *waiting.popleft())
    finally:
        _dismiss(crew)


def _start(runs: Path, slot: int, gpus: int, threads: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, runs, threads), daemon=True, name=f"tailgeom-sweep-{slot}")
    variables = dict.fromkeys(THREAD_VARIABLES, str(threads))
    if gpus:
        variables["CUDA_VISIBLE_DEVICES"] = _gpu(slot % gpus)
    with _environment(variables):
        process.start()
    there.close()
    return _Worker(process, here, slot)


def _gpu(position: int) -> str:
    """The GPU at a position among those that this process sees."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return seen.split(",")[position] if seen else str(position)


def _give(worker: _Worker, job: Job, attempt: int) -> None:
    worker.job, worker.attempt = job, attempt
    with suppress(OSError):  # it died in the meantime; the next wait says so
        worker.connection.send(job)


def _hear(worker: _Worker, crew: list[_Worker], waiting: deque[tuple[Job, int]], runs: Path) -> Any:
    """What a worker has to say: that it is ready, how its job ended, or (by falling silent) that it died."""
    try:
        said = worker.connection.recv()
    except (EOFError, OSError):
        return _bury(worker, crew, waiting, runs)
    if not worker.ready:
        worker.ready = True
        return None
    job, worker.job = worker.job, None
    return job, said


def _bury(worker: _Worker, crew: list[_Worker], waiting: deque[tuple[Job, int]], runs: Path) -> Any:
    worker.process.join(PATIENCE)
    crew.remove(worker)
    worker.connection.close()
    code, job = worker.process.exitcode, worker.job
    how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
    if job is None:
        raise TailgeomError(f"A worker process of the sweep ended {how} before it could take a job.")
    if worker.attempt < ATTEMPTS:
        waiting.appendleft((job, worker.attempt + 1))
        return None
    sentence = f"The worker process was ended {how}, {ATTEMPTS} times (out of memory?)."
    from experiments.sweep.job import record_failure

    record_failure(runs / job.name, sentence)
    return job, sentence


def _dismiss(crew: Sequence[_Worker]) -> None:
    for worker in crew:
        worker.process.terminate()
    for worker in crew:
        worker.process.join(PATIENCE)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.connection.close()


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Variables that a child is started with: libraries read them when they are loaded, not later."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def serve(connection: Connection, runs: Path, threads: int) -> None:
    """A worker's life: take a job, run it, say how it ended; until the sweep is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the sweep's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    from experiments.sweep.job import run_job

    torch.set_num_threads(threads)
    connection.send(READY)
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        connection.send(run_job(job, runs))


def _end_with_parent() -> None:
    """End at once when the sweep dies, so that no orphan trains what a new sweep begins."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
