"""``tailgeom sweep``: the plan, the results, what is skipped, retried and refused; killed at any moment."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml

from experiments.sweep.job import run_job
from experiments.sweep.plan import plan
from experiments.sweep.results import COLUMNS, RUNS
from experiments.sweep.spec import read_spec
from tests.toy_features import save_toy_features

USAGE, DATA = 2, 3
DIGITS, EXPONENTIAL = {"dataset": "digits"}, {"setting": "exponential"}
TIMED = ("seconds", "peak_memory_mb")


@pytest.fixture(scope="session")
def features(tmp_path_factory):
    """Whole features of three domains and three classes, 30 samples a cell, not split."""
    return save_toy_features(tmp_path_factory.mktemp("features") / "all")


@pytest.fixture
def spec(tmp_path, features):
    """``path = spec(**changes)``: a spec of two runs."""

    def write(**changes):
        values = {
            "datasets": [
                {"dataset": "small", "features": str(features), "settings": ["balanced"], "held_out": ["day"]}
            ],
            "algorithms": ["erm"],
            "seeds": 2,
            "train": {"steps": 10, "batch_size": 4, "checkpoint_every": 5, "log_every": 5, "device": "cpu"},
        }
        path = tmp_path / "grid.yaml"
        path.write_text(yaml.safe_dump(values | changes))
        return path

    return write


@pytest.fixture
def inline(monkeypatch):
    """Jobs in this process, which has its libraries loaded already; the processes have tests of their own."""
    begun = []

    def run(jobs, runs, **_):
        for job in jobs:
            begun.append(job.name)
            yield job, run_job(job, runs)

    monkeypatch.setattr("experiments.sweep.local.run_local", run)
    return begun


def rows(out):
    with (out / "results.csv").open() as file:
        return list(csv.DictReader(file))


def numbers(out):
    """The results, without what a clock decides."""
    return [{name: value for name, value in row.items() if name not in TIMED} for row in rows(out)]


def test_dry_run_prints_the_plan_and_runs_nothing(tailgeom, spec, tmp_path):
    path = spec(algorithms=["erm", "ndcl", {"algorithm": "erm", "name": "again"}])
    code, out, err = tailgeom("sweep", path, "--out", tmp_path / "sweep", "--dry-run")
    assert code == 0, err
    assert "6 jobs, 4 runs" in out
    assert "0 done, 0 failed, 4 missing" in out
    code, out, _ = tailgeom("sweep", path, "--out", tmp_path / "sweep", "--dry-run", "--json")
    payload = json.loads(out)
    assert payload["counts"] == {"planned": 4, "done": 0, "failed": 0, "missing": 4}
    assert [run["variant"] for run in payload["runs"]] == ["erm", "ndcl", "again"] * 2
    assert payload["runs"][0]["path"] == payload["runs"][2]["path"]
    assert not (tmp_path / "sweep").exists()


def test_dry_run_needs_no_data_but_a_sweep_does(tailgeom, spec, tmp_path):
    path = spec()
    words = ("sweep", path, "--features", tmp_path / "nowhere", "--out", tmp_path / "sweep")
    code, out, err = tailgeom(*words, "--dry-run")
    assert code == 0
    assert "2 jobs" in out
    assert "nowhere" in err
    code, _, err = tailgeom(*words)
    assert code == DATA
    assert "nowhere" in err
    assert "Traceback" not in err
    assert not (tmp_path / "sweep").exists()


def test_a_sweep_on_processes(tailgeom, spec, tmp_path):
    out, path = tmp_path / "sweep", spec()
    code, printed, err = tailgeom("sweep", path, "--out", out, "--jobs", "1")
    assert code == 0, err
    assert err == ""
    assert "2 jobs: 2 done, 0 failed, 0 missing" in printed
    for job in plan(read_spec(path)):
        assert run_job(job, tmp_path / "here" / RUNS) is None
    assert tailgeom("sweep", path, "--out", tmp_path / "here")[0] == 0
    assert numbers(out) == numbers(tmp_path / "here")


def test_a_sweep_skips_what_is_done_lists_what_failed_and_retries_it(tailgeom, spec, tmp_path, features, inline):
    out = tmp_path / "sweep"
    # 30 validation images are all that a cell has: those two jobs fail, the others do not.
    data = {"dataset": "small", "features": str(features), "held_out": ["day"]}
    settings = ["balanced", {"setting": "natural", "validation": 30}]
    path = spec(datasets=[{**data, "settings": settings}])
    code, printed, err = tailgeom("sweep", path, "--out", out)
    assert code == 1, err
    assert err == ""
    assert len(inline) == 4
    assert "4 jobs: 2 done, 2 failed, 0 missing" in printed
    assert printed.count("failed: small natural day erm") == 2
    assert "--retry-failed" in printed
    found = rows(out)
    assert tuple(found[0]) == COLUMNS
    assert [row["seed"] for row in found] == ["0", "1"]
    assert all((out / row["path"] / "logits.safetensors").exists() for row in found)
    assert all(0 <= float(row["target_balanced_accuracy"]) <= 1 for row in found)
    status = json.loads((out / "sweep.json").read_text())
    assert status["counts"] == {"planned": 4, "done": 2, "failed": 2, "missing": 0}
    failed = [run for run in status["runs"] if run["status"] == "failed"]
    assert "'ant'" in failed[0]["error"]
    assert "Traceback" in (out / failed[0]["path"] / "log.txt").read_text()

    before = (out / "results.csv").read_bytes()
    code, printed, _ = tailgeom("sweep", path, "--out", out, "--json")
    assert code == 1
    assert json.loads(printed)["counts"]["failed"] == 2
    assert len(json.loads(printed)["failed"]) == 2
    assert len(inline) == 4
    assert (out / "results.csv").read_bytes() == before

    assert tailgeom("sweep", path, "--out", out, "--retry-failed")[0] == 1
    assert [f"runs/{name}" for name in inline[4:]] == [run["path"] for run in failed]
    # A longer spec only adds what it asks for.
    assert tailgeom("sweep", spec(seeds=3), "--out", out)[0] == 0
    assert len(inline) == 7
    assert [row["seed"] for row in rows(out)] == ["0", "1", "2"]


def test_finished_runs_of_other_features_are_not_mixed_in(tailgeom, spec, tmp_path, features):
    from geometry.artifact import load

    out, moved = tmp_path / "sweep", tmp_path / "features"
    artifact = load(features)
    artifact.save(moved)
    path = spec()
    words = ("sweep", path, "--features", moved, "--out", out)
    for job in plan_of(path, moved):
        run_job(job, out / RUNS)
    assert tailgeom(*words)[0] == 0  # nothing to run; the results are written
    assert len(rows(out)) == 2
    artifact.take(np.arange(270)[::-1]).save(moved)
    code, _, err = tailgeom(*words)
    assert code == DATA
    assert "choose another --out" in err


def plan_of(path, features):
    from experiments.sweep.plan import with_places

    return plan(with_places(read_spec(path), features, None))


@pytest.mark.parametrize(
    ("changes", "words", "code", "said"),
    [
        ({"seedz": 1}, (), USAGE, "seedz"),
        ({"algorithms": ["nope"]}, (), USAGE, "balanced_softmax"),
        ({"algorithms": [{"algorithm": "erm", "options": {"alpha": 1}}]}, (), USAGE, "alpha"),
        ({}, ("--backend", "nope"), USAGE, "local, ray"),
        ({}, ("--jobs", "-1"), USAGE, "--jobs"),
        ({"datasets": [{"dataset": "PACS", "settings": ["balanced"]}]}, (), DATA, "PACS"),
        ({"datasets": [{"dataset": "nope", "settings": ["balanced"]}]}, (), USAGE, "nope"),
        ({"datasets": [DIGITS | {"settings": ["nope"]}]}, (), USAGE, "grid.yaml: Unknown setting 'nope'"),
        (
            {"datasets": [DIGITS | {"settings": [EXPONENTIAL | {"setting_options": {"ratoi": 5}}]}]},
            ("--dry-run",),
            USAGE,
            "grid.yaml: Setting exponential has no parameter 'ratoi'; it has ratio",
        ),
        (
            {"datasets": [DIGITS | {"settings": [EXPONENTIAL | {"setting_options": {"ratio": "much"}}]}]},
            ("--dry-run",),
            USAGE,
            "Expected a number for ratio",
        ),
    ],
)
def test_bad_requests_get_one_sentence(tailgeom, spec, tmp_path, changes, words, code, said):
    found, _, err = tailgeom("sweep", spec(**changes), "--out", tmp_path / "sweep", *words)
    assert found == code
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "sweep").exists()


def test_held_out_domains_are_looked_up_where_the_data_are(tailgeom, spec, tmp_path, tiny_tree):
    mine = {"dataset": "mine", "data": str(tiny_tree), "settings": ["balanced"], "held_out": ["night"]}
    assert tailgeom("sweep", spec(datasets=[mine]), "--dry-run")[0] == 0
    code, _, err = tailgeom("sweep", spec(datasets=[mine | {"held_out": ["nihgt"]}]), "--dry-run")
    assert code == USAGE
    assert "grid.yaml: Unknown domain 'nihgt' of mine; known: day, dusk, night." in err
    nowhere = mine | {"data": str(tmp_path / "nowhere"), "held_out": ["nihgt"]}
    code, _, err = tailgeom("sweep", spec(datasets=[nowhere]), "--dry-run")
    assert code == 0
    assert "Not there yet" in err


def test_one_sweep_a_directory(tailgeom, spec, tmp_path):
    from experiments.sweep.status import locked

    with locked(tmp_path / "sweep"):
        code, _, err = tailgeom("sweep", spec(), "--out", tmp_path / "sweep")
    assert code == USAGE
    assert "Another sweep" in err


def test_ray_that_is_not_installed_is_asked_for(tailgeom, spec, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = tailgeom("sweep", spec(), "--out", tmp_path / "sweep", "--backend", "ray")
    assert code == USAGE
    assert "tailgeom[ray]" in err


def start(path, out):
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", "sweep", str(path), "--out", str(out), "--jobs", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # A shell starts what it puts in the background with SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


KILLS = (signal.SIGKILL, signal.SIGINT)


@pytest.mark.slow
def test_a_sweep_killed_at_random_moments_ends_with_the_numbers_of_one_that_was_not(tailgeom, spec, tmp_path):
    train = {"steps": 300, "batch_size": 8, "checkpoint_every": 30, "log_every": 30, "device": "cpu"}
    path = spec(train=train, algorithms=["erm", "ndcl"], seeds=3)
    whole, broken, rng = tmp_path / "whole", tmp_path / "broken", random.Random(0)
    for job in plan(read_spec(path)):
        assert run_job(job, whole / RUNS) is None
    assert tailgeom("sweep", path, "--out", whole)[0] == 0
    assert len(rows(whole)) == 6

    seen = []
    for stop in KILLS:
        process = start(path, broken)
        files = len(list(broken.glob("runs/*/checkpoint"))) + 1
        deadline = time.monotonic() + 120
        while len(list(broken.glob("runs/*/checkpoint"))) < files and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        process.send_signal(stop)
        code, said = process.wait(60), process.stderr.read().decode()
        process.stderr.close()
        assert code == (130 if stop == signal.SIGINT else -stop)
        assert stop == signal.SIGKILL or "Interrupted" in said.splitlines()[-1]
        # What is there is whole, and is what the uninterrupted sweep has.
        assert [row for row in numbers(broken) if row not in numbers(whole)] == []
        seen.append(len(rows(broken)))
    assert seen == sorted(seen)
    process = start(path, broken)
    assert process.wait(300) == 0, process.stderr.read().decode()
    process.stderr.close()
    assert numbers(broken) == numbers(whole)
    assert not [file for file in broken.rglob(".*") if file.name != ".lock"]
