"""The probe against loops over single samples, on the model of every snapshot."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.config import OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.extraction import extract_run
from experiments.probes.context import Context
from experiments.probes.trajectory import MOMENTUM, trajectory
from experiments.step_batches import StepBatches
from experiments.task import open_task
from experiments.training import build, train
from geometry.artifact import Artifact
from geometry.errors import DataError
from geometry.trajectory import read_trajectory

CELLS = [(0, 0, 9), (0, 1, 5), (0, 2, 2), (1, 0, 8), (1, 2, 1)]
STEPS = [0, 6, 12]


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    """A head on features of two source domains, one of them without a class, with three snapshots."""
    folder = tmp_path_factory.mktemp("trajectory")
    rows = [(m, k, 0) for m, k, n in CELLS for _ in range(n)]
    rows += [(m, k, 1) for m in (0, 1) for k in range(3) for _ in range(2)]
    rows += [(2, k, 2) for k in (0, 2) for _ in range(3)]
    domains, labels, split = np.array(rows).T
    rng = np.random.default_rng(0)
    features = np.eye(3, 6)[labels] + 0.3 * rng.normal(size=(len(rows), 6))
    names = {"class_names": tuple("abc"), "domain_names": ("day", "dusk", "night")}
    parts = {"split": split, "split_names": ("train", "validation", "target"), "held_out": "night"}
    made = Artifact(features=features.astype(np.float32), labels=labels, domains=domains, **names, **parts)
    made.save(folder / "features")
    optim = OptimConfig(algorithm="ndcl", steps=12, batch_size=6, lr=0.05, snapshots=3, device="cpu")
    config = RunConfig(DataConfig(), optim=optim, features=folder / "features")
    run, task = train(config, folder / "run"), open_task(config)
    algorithm = build(config, task, torch.device("cpu"))
    algorithm.load_state_dict(run.load_checkpoint().selected)
    return Context(config, task, algorithm.eval(), torch.device("cpu"), run)


@pytest.fixture(scope="module")
def recorded(context):
    before = {name: tensor.clone() for name, tensor in context.algorithm.state_dict().items()}
    found = trajectory(context)
    assert all(torch.equal(before[name], tensor) for name, tensor in context.algorithm.state_dict().items())
    assert not context.algorithm.training
    return {name.removeprefix("trajectory/"): values for name, values in found.items()}


def predictions(context, step):
    """Features and softmax outputs of every sample under a snapshot, in double precision."""
    weights = context.run.load_snapshot(step)
    features = context.task.inputs.features.numpy().astype(np.float64)
    logits = features @ weights["model.head.weight"].numpy().T.astype(np.float64)
    logits = np.exp(logits + weights["model.head.bias"].numpy())
    return features, logits / logits.sum(axis=1, keepdims=True)


def test_moments_of_every_cell(context, recorded):
    task = context.task
    assert recorded["step"].tolist() == STEPS
    assert np.array_equal(recorded["cell_counts"], [[9, 5, 2], [8, 0, 1], [0, 0, 0]])
    for t, step in enumerate(STEPS):
        for of, vectors in zip(("feature", "prediction"), predictions(context, step), strict=True):
            means, scatter = recorded[f"{of}_means"][t], recorded[f"{of}_scatter"][t]
            for m in range(3):
                for k in range(3):
                    mine = vectors[(task.part == "train") & (task.domain == m) & (task.labels == k)]
                    if len(mine) == 0:
                        assert np.isnan(means[m, k]).all()
                        assert np.isnan(scatter[m, k])
                        continue
                    assert means[m, k] == pytest.approx(mine.mean(axis=0), abs=1e-5)
                    expected = np.mean([np.sum((x - mine.mean(axis=0)) ** 2) for x in mine])
                    assert scatter[m, k] == pytest.approx(expected, abs=1e-5)


def test_heads_and_errors_are_those_of_the_snapshots(context, recorded):
    task = context.task
    for t, step in enumerate(STEPS):
        weights = context.run.load_snapshot(step)
        assert np.array_equal(recorded["head_weight"][t], weights["model.head.weight"].numpy())
        assert np.array_equal(recorded["head_bias"][t], weights["model.head.bias"].numpy())
        predicted = predictions(context, step)[1].argmax(axis=1)
        for part in ("validation", "target"):
            for k in range(3):
                mine = predicted[(task.part == part) & (task.labels == k)]
                expected = np.mean(mine != k) if len(mine) else np.nan
                assert recorded[f"{part}_errors"][t, k] == pytest.approx(expected, nan_ok=True)
    assert np.isnan(recorded["target_errors"][:, 1]).all()


def test_prototypes_of_the_runs_own_batches_and_their_moving_average(context, recorded):
    task, sampler = context.task, StepBatches(context.config, context.task, context.device).sampler
    part = {
        name: recorded[f"batch_prototypes/{name}"] for name in ("step", "batch", "domain", "class", "count", "mean")
    }
    for t, step in enumerate(STEPS):
        probabilities, row, moving = predictions(context, step)[1], 0, {}
        here = {name: values[part["step"] == t] for name, values in part.items()}
        for number in range(12):
            index = np.concatenate(sampler.indices(number))
            for m in range(3):
                for k in range(3):
                    mine = index[(task.domain[index] == m) & (task.labels[index] == k)]
                    if len(mine) == 0:
                        continue
                    found = [here[name][row] for name in ("batch", "domain", "class", "count")]
                    assert found == [number, m, k, len(mine)]
                    mean = probabilities[mine].mean(axis=0)
                    assert here["mean"][row] == pytest.approx(mean, abs=1e-5)
                    moving[m, k] = MOMENTUM * moving[m, k] + (1 - MOMENTUM) * mean if (m, k) in moving else mean
                    row += 1
        assert row == len(here["count"])
        for m in range(3):
            for k in range(3):
                expected = moving.get((m, k), np.full(3, np.nan))
                assert recorded["moving_prototypes"][t, m, k] == pytest.approx(expected, abs=1e-5, nan_ok=True)


def test_gradients_of_every_moment_are_recorded_on_the_same_batches(recorded):
    moment, norm = (recorded[f"anchor_gradient/ndcl/{name}"] for name in ("moment", "norm"))
    label = recorded["anchor_gradient/ndcl/label"]
    assert len(moment) == len(norm) == len(label)
    assert np.array_equal(np.unique(moment), [0, 1, 2])
    for t in (1, 2):
        assert np.array_equal(label[moment == t], label[moment == 0])
        assert not np.array_equal(norm[moment == t], norm[moment == 0])


def test_extraction_writes_what_the_geometry_reads(context):
    path = read_trajectory(extract_run(context.run.path, probes=("trajectory",), device="cpu"))
    assert path.step.tolist() == STEPS
    assert set(path.gradients) == {"ndcl", "infonce", "supcon", "own"}
    assert path.feature_means.shape == (3, 3, 3, 6)


def test_a_run_without_snapshots_is_refused(context, tmp_path):
    config = replace(context.config, optim=replace(context.config.optim, snapshots=0))
    run = train(config, tmp_path / "run")
    with pytest.raises(DataError, match="--snapshots"):
        extract_run(run.path, probes=("trajectory",), device="cpu")


def test_a_snapshot_of_another_model_is_refused(context, tmp_path):
    run = train(context.config, tmp_path / "run")
    run.save_snapshot(6, {"weight": torch.ones(1)})
    with pytest.raises(DataError, match="step 6"):
        trajectory(replace(context, run=run))
