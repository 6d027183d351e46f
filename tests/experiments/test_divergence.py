"""A run that stops being finite says at which step, on which batch and by which term, and keeps its last checkpoint."""

import json

import numpy as np
import pytest
import torch

from experiments.algorithms.erm import ERM
from experiments.config import OptimConfig, RunConfig
from experiments.divergence import DivergedError, broken_weights, finite_values
from experiments.inputs import FeatureInputs
from experiments.runs import RunDirectory
from experiments.task import Task
from experiments.training import train
from geometry.shots import ShotThresholds

SIZE = 24


@pytest.fixture
def task():
    """Two source domains of 8 samples and a target of 8, two classes, four features."""
    features = np.random.default_rng(0).normal(size=(SIZE, 4)).astype(np.float32)
    label, domain = np.arange(SIZE) % 2, np.arange(SIZE) // 8
    part = np.where(domain == 2, "target", np.where(np.arange(SIZE) % 8 < 6, "train", "validation"))
    counts = np.array([[3, 3], [3, 3], [0, 0]])
    ids = tuple(f"sample {i:02d}" for i in range(SIZE))
    return Task(
        "small", ("a", "b"), ("day", "dusk", "night"), "night", label, domain, part, counts, ShotThresholds(3, 2),
        ids, FeatureInputs(features),
    )  # fmt: skip


def config(**changes):
    settings = {"steps": 12, "batch_size": 2, "checkpoint_every": 2, "log_every": 1, "device": "cpu"}
    return RunConfig(optim=OptimConfig(**settings | changes))


def spoil(monkeypatch, at, how):
    """Let ERM's terms at one step be what ``how`` makes of the loss."""
    seen = []
    terms = ERM.terms

    def spoilt(self, batch, rng):
        seen.append(batch)
        found = terms(self, batch, rng)
        return how(self, found["loss"]) if len(seen) == at else found

    monkeypatch.setattr(ERM, "terms", spoilt)
    return seen


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_term_that_is_not_finite_is_named_with_step_and_batch(task, tmp_path, monkeypatch, bad):
    def how(algorithm, loss):
        contrast = loss * bad
        return {"loss": loss + contrast, "loss/ce": loss, "loss/contrast": contrast}

    seen = spoil(monkeypatch, 6, how)
    with pytest.raises(DivergedError, match=r"step 6: loss/contrast not finite on the batch sample \d\d") as raised:
        train(config(), tmp_path, task=task)
    assert raised.value.exit_code == 1
    found = json.loads((tmp_path / "diverged.json").read_text())
    assert (found["step"], found["not_finite"]) == (6, ["loss/contrast"])
    batch = [task.sample_ids.index(name) for name in found["batch"]]
    torch.testing.assert_close(task.inputs.features[batch], seen[-1].inputs)
    checkpoint = RunDirectory(tmp_path).load_checkpoint()
    assert checkpoint.step == 4
    assert all(bool(weight.isfinite().all()) for weight in checkpoint.weights.values())
    assert not (tmp_path / "done").exists()


def test_the_loss_is_named_where_nothing_else_is(task, tmp_path, monkeypatch):
    spoil(monkeypatch, 1, lambda _, loss: {"loss": loss * torch.nan})
    with pytest.raises(DivergedError, match="step 1: loss not finite"):
        train(config(), tmp_path, task=task)
    assert RunDirectory(tmp_path).load_checkpoint() is None


def test_a_gradient_that_is_not_finite_is_named_though_the_loss_is_finite(task, tmp_path, monkeypatch):
    spoil(monkeypatch, 5, lambda algorithm, loss: {"loss": loss + (algorithm.model.head.bias * 0).sum().sqrt()})
    with pytest.raises(DivergedError, match=r"step 5: gradient of model\.head\.bias not finite"):
        train(config(), tmp_path, task=task)
    assert RunDirectory(tmp_path).load_checkpoint().step == 4


def test_weights_thrown_out_of_range_are_never_a_checkpoint(task, tmp_path):
    with pytest.raises(DivergedError, match=r"step 1: model\.head\.weight, model\.head\.bias not finite"):
        train(config(optimizer="sgd", lr=1e38, weight_decay=1e38, checkpoint_every=1), tmp_path, task=task)
    assert RunDirectory(tmp_path).load_checkpoint() is None


def test_the_repaired_run_goes_on_from_the_kept_checkpoint(task, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        spoil(patched, 7, lambda _, loss: {"loss": loss * torch.nan})
        with pytest.raises(DivergedError):
            train(config(), tmp_path / "run", task=task)
    train(config(), tmp_path / "run", task=task)
    train(config(), tmp_path / "whole", task=task)
    assert not (tmp_path / "run" / "diverged.json").exists()
    for file in ("metrics.jsonl", "checkpoint/model.safetensors"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_huge_finite_gradients_are_no_divergence():
    head = torch.nn.Linear(2, 1, bias=False)
    head.weight.grad = torch.full((1, 2), 1e38)
    assert finite_values({"loss": torch.tensor(3.0)}, head) == ({"loss": 3.0}, [])
    assert finite_values({"loss": torch.tensor(3.0)}, torch.nn.Identity()) == ({"loss": 3.0}, [])
    assert broken_weights(head) == []
    with torch.no_grad():
        head.weight[0, 0] = torch.nan
    assert broken_weights(head) == ["weight"]
