"""Snapshots along training: where they are kept, that they change nothing, and that no kill spoils them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from experiments.config import OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.origin import config_digest
from experiments.restoring import config_of
from experiments.runs import RunDirectory
from experiments.training import train
from geometry.artifact import Artifact
from geometry.errors import DataError, UsageError


class KilledError(Exception):
    """Stops a training like a kill between two steps."""


def frozen_features(path):
    """Features of three domains and three classes with a split of their own; a class that one domain lacks."""
    cells = [(0, 0, 9), (0, 1, 5), (0, 2, 2), (1, 0, 8), (1, 2, 1)]
    rows = [(m, k, 0) for m, k, n in cells for _ in range(n)]
    rows += [(m, k, 1) for m in (0, 1) for k in range(3) for _ in range(2)]
    rows += [(2, k, 2) for k in range(3) for _ in range(3)]
    domains, labels, split = np.array(rows).T
    rng = np.random.default_rng(0)
    return Artifact(
        features=(np.eye(3, 6)[labels] + 0.3 * rng.normal(size=(len(rows), 6))).astype(np.float32),
        labels=labels,
        class_names=tuple("abc"),
        domains=domains,
        domain_names=("day", "dusk", "night"),
        split=split,
        split_names=("train", "validation", "target"),
        held_out="night",
    ).save(path)


@pytest.fixture
def config(tmp_path):
    optim = OptimConfig(
        algorithm="ndcl", steps=20, batch_size=6, checkpoint_every=8, log_every=5, snapshots=5, device="cpu"
    )
    return RunConfig(DataConfig(), optim=optim, features=frozen_features(tmp_path / "features"))


def files(run):
    return {path.name: path.read_bytes() for path in (run / "snapshots").iterdir()}


def interrupted(config, path, after):
    def report(step, terms):
        if step == after:
            raise KilledError

    with pytest.raises(KilledError):
        train(config, path, report=report)


def test_evenly_from_before_the_first_step_to_after_the_last(config, tmp_path):
    run = train(config, tmp_path / "run")
    assert list(run.snapshots()) == [0, 5, 10, 15, 20]
    assert all(file.name == f"step-{step:06d}.safetensors" for step, file in run.snapshots().items())
    last, checkpoint = run.load_snapshot(20), run.load_checkpoint()
    assert last.keys() == checkpoint.weights.keys()
    assert all(torch.equal(last[name], checkpoint.weights[name]) for name in last)
    assert not torch.equal(run.load_snapshot(0)["model.head.weight"], last["model.head.weight"])


def test_more_snapshots_than_steps_are_one_a_step(config, tmp_path):
    short = replace(config, optim=replace(config.optim, steps=3, snapshots=50))
    assert list(train(short, tmp_path / "run").snapshots()) == [0, 1, 2, 3]


def test_an_algorithm_that_is_done_early_has_its_last_one_then(config, tmp_path):
    fitted = replace(config, optim=replace(config.optim, algorithm="logistic"))
    run = train(fitted, tmp_path / "run")
    assert max(run.snapshots()) == run.load_checkpoint().step


def test_snapshots_change_neither_the_training_nor_runs_without(config, tmp_path):
    without = replace(config, optim=replace(config.optim, snapshots=0))
    with_, plain = train(config, tmp_path / "with"), train(without, tmp_path / "without")
    for name in ("checkpoint/model.safetensors", "checkpoint/selected.safetensors", "metrics.jsonl"):
        assert (with_.path / name).read_bytes() == (plain.path / name).read_bytes()
    assert not (plain.path / "snapshots").exists()
    assert "snapshots" not in yaml.safe_load((plain.path / "config.yaml").read_text())["optim"]
    assert with_.config()["optim"]["snapshots"] == 5
    assert config_of(with_, "cpu").optim.snapshots == 5
    assert config_digest(config) != config_digest(without)


@pytest.mark.parametrize("after", [1, 8, 9, 16, 19])
def test_a_resumed_run_has_the_same_snapshots(config, tmp_path, after):
    whole = train(config, tmp_path / "whole")
    interrupted(config, tmp_path / "broken", after)
    (tmp_path / "broken" / "snapshots" / ".step-000010.safetensors.abc").write_bytes(b"half")
    broken = train(config, tmp_path / "broken")
    assert files(broken.path) == files(whole.path)


def test_the_snapshots_of_a_run_that_was_never_saved_go_with_it(config, tmp_path):
    interrupted(config, tmp_path / "run", 6)
    assert list(RunDirectory(tmp_path / "run").snapshots()) == [0, 5]
    other = replace(config, optim=replace(config.optim, snapshots=0, lr=0.1))
    assert train(other, tmp_path / "run").snapshots() == {}


def test_a_snapshot_is_whole_or_absent(tmp_path, monkeypatch):
    run = RunDirectory(tmp_path)
    run.save_snapshot(3, {"weight": torch.ones(2)})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(DataError, match="No space left"):
        run.save_snapshot(3, {"weight": torch.zeros(2)})
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == ["step-000003.safetensors"]
    assert load_file(run.snapshots()[3])["weight"].tolist() == [1, 1]


def test_missing_and_broken_snapshots_are_named(tmp_path):
    run = RunDirectory(tmp_path)
    with pytest.raises(DataError, match="step-000007"):
        run.load_snapshot(7)
    run.save_snapshot(7, {"weight": torch.ones(2)})
    run.snapshots()[7].write_bytes(b"garbage")
    with pytest.raises(DataError, match="step-000007"):
        run.load_snapshot(7)


@pytest.mark.parametrize("number", [-1, 1])
def test_none_or_the_first_and_the_last_at_least(number):
    with pytest.raises(UsageError, match="--snapshots"):
        OptimConfig(snapshots=number)
