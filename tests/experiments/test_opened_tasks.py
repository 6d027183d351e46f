"""Tasks kept open, and runs opened again with them."""

from dataclasses import replace

import numpy as np
import pytest

from experiments import opened_tasks
from experiments.composition import compose_run
from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.extraction import extract_run
from experiments.opened_tasks import opened_task
from experiments.restoring import reopen
from experiments.training import train
from geometry.errors import DataError, UsageError


@pytest.fixture
def opened(monkeypatch):
    """Every configuration that a task was opened for."""
    opened_tasks._opened.cache_clear()
    found, once = [], opened_tasks.open_task
    monkeypatch.setattr(opened_tasks, "open_task", lambda config: found.append(config) or once(config))
    yield found
    opened_tasks._opened.cache_clear()


def test_runs_on_one_split_share_a_task(trained, opened):
    config = RunConfig(features=trained / "artifact", optim=OptimConfig(device="cpu"))
    first = opened_task(config)
    assert opened_task(replace(config, optim=OptimConfig(algorithm="ndcl", steps=3, device="cpu"))) is first
    assert len(opened) == 1
    again = opened_task(replace(config, data=DataConfig(setting="balanced", test_domain="textured")))
    assert again is not first
    assert len(opened) == 2


def test_a_frozen_backbone_computes_on_the_device_of_the_run(opened):
    data, model = DataConfig(image_size=8), ModelConfig(finetune="none")
    task = opened_task(RunConfig(data, model, OptimConfig(device="cpu")))
    assert [config.optim.device for config in opened] == ["cpu"]
    assert next(task.inputs._model.parameters()).device.type == "cpu"


@pytest.mark.parametrize("model", [ModelConfig(), ModelConfig(classifier="cosine", projection=6)])
def test_a_composed_artifact_is_the_extracted_one(trained, tmp_path, opened, model):
    optim = OptimConfig(steps=3, batch_size=4, checkpoint_every=3, device="cpu")
    train(RunConfig(model=model, optim=optim, features=trained / "artifact"), tmp_path / "head")
    composed, extracted = compose_run(tmp_path / "head"), extract_run(tmp_path / "head", device="cpu")
    assert len(opened) == 1
    assert composed.sample_ids == extracted.sample_ids
    for name in ("features", "logits", "head_weight", "projections"):
        mine, theirs = getattr(composed, name), getattr(extracted, name)
        assert (mine is None) == (theirs is None)
        if mine is not None:
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_a_run_is_reopened_at_either_checkpoint_and_refused_without_one(trained, tmp_path):
    found = reopen(trained, checkpoint="last", device="cpu")
    assert (found.step, found.made_by["checkpoint"]) == (12, "last")
    assert not found.algorithm.training
    assert found.task.digest() == found.run.load_checkpoint().state["data"]
    with pytest.raises(UsageError, match="Unknown checkpoint 'first'; known: selected, last"):
        reopen(trained, checkpoint="first")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.yaml").write_text((trained / "config.yaml").read_text())
    with pytest.raises(DataError, match="no checkpoint yet"):
        reopen(tmp_path / "begun")
