"""A run that is killed and resumed ends with the same bytes as one that is not."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from experiments.runs import Checkpoint, RunDirectory

WORDS = [
    "train", "--algorithm", "ndcl", "--augment", "crop", "--steps", "60", "--checkpoint-every", "5", "--log-every", "3",
    "--batch-size", "8", "--device", "cpu",
]  # fmt: skip


def start(out):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", *WORDS, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # A shell starts what it puts in the background with SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        env=environment,
    )


def result(out):
    """What a run is judged by: weights, metrics, configuration."""
    files = (
        "checkpoint/model.safetensors",
        "checkpoint/selected.safetensors",
        "metrics.jsonl",
        "config.yaml",
        "splits.csv",
    )
    return {name: (out / name).read_bytes() for name in files}


@pytest.mark.slow
def test_killed_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    process = start(whole)
    assert process.wait(timeout=300) == 0, process.stderr.read().decode()
    process.stderr.close()

    killed = 0
    for stop in (signal.SIGKILL, signal.SIGINT):
        process = start(broken)
        seen = RunDirectory(broken).load_checkpoint()
        before = seen.step if seen else 0
        for _ in range(3000):
            now = RunDirectory(broken).load_checkpoint()
            if process.poll() is not None or (now is not None and now.step > before):
                break
            time.sleep(0.02)
        if process.poll() is None:
            process.send_signal(stop)
            killed += 1
        code, said = process.wait(), process.stderr.read().decode()
        process.stderr.close()
        if stop == signal.SIGINT:
            assert code == 130
            assert "Interrupted" in said.splitlines()[-1]
            assert "Traceback" not in said
    assert killed == 2
    assert not (broken / "done").exists()
    process = start(broken)
    assert process.wait(timeout=300) == 0
    process.stderr.close()
    assert (broken / "done").exists()
    assert result(whole) == result(broken)
    assert not [path for path in broken.iterdir() if path.name.startswith(".")]


def test_metrics_of_a_resumed_run_have_no_gap_and_no_repeat(trained):
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [2, 4, 6, 8, 10, 12]
    assert [row["step"] for row in rows if "target/accuracy" in row] == [4, 8, 12]


def test_metrics_reach_the_disk_before_the_checkpoint_and_not_row_by_row(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def note(descriptor):
        synced.append(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    run = RunDirectory(tmp_path)
    run.append_metrics({"step": 1, "loss": 0.5})
    assert synced == []
    assert run.metrics() == [{"step": 1, "loss": 0.5}]  # another process would read it too
    run.save_checkpoint(Checkpoint(1, {}, {}, {}))
    assert synced[0] == (tmp_path / "metrics.jsonl").stat().st_ino
    assert len(synced) == 4  # and the three files of the checkpoint


def test_a_row_cut_short_by_a_kill_is_forgotten(tmp_path):
    run = RunDirectory(tmp_path)
    run.append_metrics({"step": 1, "loss": 0.5})
    run.append_metrics({"step": 2, "loss": 0.25})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    assert [row["step"] for row in run.metrics()] == [1, 2]
    run.rewind_metrics(1)
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "loss": 0.5}\n'
