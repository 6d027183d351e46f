"""A real Ray cluster on this machine: two workers, one of which is killed in the middle of a run."""

import os
import signal
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from experiments.sweep.job import run_job
from experiments.sweep.plan import plan
from experiments.sweep.results import COLUMNS, result_rows
from experiments.sweep.spec import parse_spec
from experiments.sweep.status import outcomes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason='Ray is not installed: pip install "tailgeom[ray]"'),
    pytest.mark.filterwarnings("default"),  # Ray's own
]


def numbers(jobs, runs):
    """What may not depend on how a sweep went: every column but time and memory."""
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in result_rows(jobs, outcomes(jobs, runs))]
    return [{name: row[name] for name in COLUMNS if name not in ("seconds", "peak_memory_mb")} for row in rows]


def ray_workers():
    """Process ids of the Ray workers that are running a job of ours."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::remote_job" in place.read_bytes():
                found.append(int(place.parent.name))
        except OSError:
            continue
    return found


def test_a_killed_ray_worker_loses_nothing(given, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    from experiments.sweep.cluster import run_on_ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    given["train"] |= {"steps": 2000, "checkpoint_every": 100, "log_every": 100}
    jobs = plan(parse_spec(given | {"algorithms": ["erm"], "seeds": 4}))
    for job in jobs:
        assert run_job(job, tmp_path / "whole") is None
    broken, dead, most = tmp_path / "broken", [], []

    def kill_one():
        while not dead:
            living = ray_workers()
            most.append(len(living))
            unfinished = [run for run in broken.glob("*/checkpoint") if not (run.parent / "done").exists()]
            if len(living) == 2 and unfinished:
                dead.append(living[0])
                os.kill(living[0], signal.SIGKILL)
            time.sleep(0.01)

    thread = threading.Thread(target=kill_one, daemon=True)
    thread.start()
    ended = [error for _, error in run_on_ray(jobs, broken, workers=2)]
    thread.join(10)
    assert len(dead) == 1
    assert max(most) == 2
    assert ended == [None] * len(jobs)
    assert numbers(jobs, broken) == numbers(jobs, tmp_path / "whole")
    resumed = [row for row in result_rows(jobs, outcomes(jobs, broken)) if row[COLUMNS.index("seconds")] is None]
    assert len(resumed) == 1
    assert not ray.is_initialized()


def test_a_job_that_the_cluster_cannot_hold_is_refused():
    from experiments.sweep.cluster import _capacity
    from geometry.errors import UsageError

    assert _capacity({"CPU": 8.0, "GPU": 2.0}, 2, 1) == 2
    with pytest.raises(UsageError, match="lower resources"):
        _capacity({"CPU": 4.0}, 8, 0)
