"""The pool of processes: a worker that is killed is replaced, and its job goes on from its checkpoint."""

import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress

import pytest

from experiments.sweep.job import run_job
from experiments.sweep.local import run_local
from experiments.sweep.plan import plan
from experiments.sweep.results import COLUMNS, result_rows
from experiments.sweep.spec import parse_spec
from experiments.sweep.status import DONE, FAILED, outcome, outcomes

LONG = {"steps": 1500, "checkpoint_every": 100, "log_every": 100}


def numbers(jobs, runs):
    """What may not depend on how a sweep went: every column but time and memory."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in result_rows(jobs, outcomes(jobs, runs))]
    return [{name: row[name] for name in COLUMNS if name not in ("seconds", "peak_memory_mb")} for row in rows]


def checkpoints(runs):
    """Every checkpoint there has been by its time of writing."""
    found = set()
    for state in runs.glob("*/checkpoint/state.pt"):
        with suppress(FileNotFoundError):  # replaced while we look
            found.add((state, state.stat().st_mtime_ns))
    return found


def kill_at_checkpoints(runs, times):
    """Kill the process that trains when there is a new checkpoint, so many times; the pids of the dead."""
    dead, seen = [], set()

    def wait_and_kill():
        while len(dead) < times:
            living = [child.pid for child in multiprocessing.active_children() if child.pid not in dead]
            if living and checkpoints(runs) - seen:
                os.kill(living[0], signal.SIGKILL)
                dead.append(living[0])
                time.sleep(0.1)
                seen.update(checkpoints(runs))
            time.sleep(0.01)

    thread = threading.Thread(target=wait_and_kill, daemon=True)
    thread.start()
    return dead, thread


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_nothing_is_lost(given, tmp_path):
    given["train"] |= LONG
    jobs = plan(parse_spec(given | {"algorithms": ["erm"]}))
    for job in jobs:
        assert run_job(job, tmp_path / "whole") is None
    dead, thread = kill_at_checkpoints(tmp_path / "broken", times=1)
    ended = [error for _, error in run_local(jobs, tmp_path / "broken", workers=1)]
    thread.join(10)
    assert len(dead) == 1
    assert ended == [None, None]
    assert numbers(jobs, tmp_path / "broken") == numbers(jobs, tmp_path / "whole")
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_job_that_kills_every_worker_fails_and_the_others_go_on(given, tmp_path):
    jobs = plan(parse_spec(given | {"algorithms": ["erm"]}))
    given["train"] |= LONG | {"steps": 1_000_000}
    endless = plan(parse_spec(given | {"algorithms": ["erm"], "seeds": [7]}))
    dead, thread = kill_at_checkpoints(tmp_path, times=2)
    ended = {job.seed: error for job, error in run_local([*endless, *jobs], tmp_path, workers=1)}
    thread.join(10)
    assert len(dead) == 2
    assert "SIGKILL" in ended[7]
    assert outcome(endless[0], tmp_path).state == FAILED
    assert [outcome(job, tmp_path).state for job in jobs] == [DONE, DONE]
