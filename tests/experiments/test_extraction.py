"""From a run to an artifact, and from an artifact's features to a head."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.config import OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.extraction import extract_run
from experiments.restoring import config_of
from experiments.runs import RunDirectory
from experiments.task import open_task
from experiments.training import build, train
from geometry.artifact import Artifact, load


@pytest.fixture
def artifact(trained):
    return load(trained / "artifact")


def test_logits_are_the_selected_model_on_the_very_images(trained, artifact):
    run = RunDirectory(trained)
    config = config_of(run, "cpu")
    task = open_task(config)
    algorithm = build(config, task, torch.device("cpu"))
    algorithm.load_state_dict(run.load_checkpoint().selected)
    chosen = np.random.default_rng(0).choice(len(artifact.labels), 20, replace=False)
    position = {name: i for i, name in enumerate(task.sample_ids)}
    index = np.array([position[artifact.sample_ids[i]] for i in chosen])
    algorithm.eval()
    with torch.no_grad():
        logits = algorithm.model(task.inputs.batch(index, torch.device("cpu"))).numpy()
    np.testing.assert_allclose(artifact.logits[chosen], logits, atol=1e-5)
    assert np.array_equal(artifact.labels[chosen], task.labels[index])
    assert np.array_equal(np.asarray(artifact.split_names)[artifact.split[chosen]], task.part[index])


def test_head_on_features_gives_the_logits(artifact):
    expected = artifact.features @ artifact.head_weight.T + artifact.head_bias
    np.testing.assert_allclose(artifact.logits, expected, atol=1e-4)


def test_counts_and_splits_agree_with_the_run_directory(trained, artifact):
    train_rows = artifact.split == artifact.split_names.index("train")
    counted = np.zeros_like(artifact.train_counts)
    np.add.at(counted, (artifact.domains[train_rows], artifact.labels[train_rows]), 1)
    assert np.array_equal(counted, artifact.train_counts)
    manifest = json.loads((trained / "manifest.json").read_text())
    assert manifest["data"]["sizes"]["train"] == train_rows.sum()
    assert artifact.provenance["data"]["sha256"] == manifest["data"]["sha256"]
    lines = (trained / "splits.csv").read_text().splitlines()[1:]
    written = {line.split(",")[0]: line.split(",")[3] for line in lines}
    assert all(
        written[name] == artifact.split_names[code]
        for name, code in zip(artifact.sample_ids, artifact.split, strict=True)
    )


def test_recorded_gradients_are_finite_differences_of_the_contrast(trained, artifact):
    norm, weight = (artifact.probes[f"anchor_gradient/ndcl/{name}"] for name in ("norm", "weight"))
    label, batch = (artifact.probes[f"anchor_gradient/ndcl/{name}"] for name in ("label", "batch"))
    assert np.isfinite(norm).all()
    for number in np.unique(batch):
        here = label[batch == number]
        assert weight[batch == number].sum() == pytest.approx(1)
        singles = [k for k in np.unique(here) if (here == k).sum() == 1]
        assert np.all(norm[(batch == number) & np.isin(label, singles)] == 0)
    assert (norm > 0).any()


def test_extracting_twice_gives_the_same_artifact(trained, artifact):
    assert extract_run(trained, device="cpu").digest() == artifact.digest()


@pytest.fixture
def separable(tmp_path):
    """An artifact of three well separated classes in two sources and a target, four to one imbalanced."""
    rng = np.random.default_rng(0)
    cells = [
        (k, d, s, n)
        for d, s, sizes in ((0, 0, (40, 20, 10)), (1, 0, (40, 20, 10)), (0, 1, (5, 5, 5)), (1, 1, (5, 5, 5)))
        for k, n in enumerate(sizes)
    ] + [(k, 2, 2, 20) for k in range(3)]
    labels, domains, split = (np.repeat([cell[i] for cell in cells], [cell[3] for cell in cells]) for i in range(3))
    features = 3 * np.eye(3, 6)[labels] + rng.normal(size=(len(labels), 6))
    artifact = Artifact(
        features=features.astype(np.float32),
        labels=labels,
        class_names=("a", "b", "c"),
        domains=domains,
        domain_names=("day", "dusk", "night"),
        split=split,
        split_names=("train", "validation", "target"),
        held_out="night",
    )
    return artifact.save(tmp_path / "separable")


@pytest.mark.parametrize("algorithm", ["erm", "ndcl"])
def test_a_head_trains_on_the_features_of_an_artifact(separable, tmp_path, algorithm):
    optim = OptimConfig(algorithm=algorithm, steps=200, lr=1e-2, checkpoint_every=100, device="cpu")
    run = train(RunConfig(features=separable, optim=optim), tmp_path / "head")
    last = [row for row in run.metrics() if "target/accuracy" in row][-1]
    assert last["validation/balanced_accuracy"] > 0.85
    assert last["target/balanced_accuracy"] > 0.85
    manifest = json.loads((tmp_path / "head" / "manifest.json").read_text())
    assert "mixing mixes features" in manifest["data"]["inputs"]
    head, source = extract_run(tmp_path / "head", device="cpu"), load(separable)
    order = np.argsort(source.split, kind="stable")
    assert np.array_equal(head.features, source.features[order])
    assert head.held_out == source.held_out
    assert np.array_equal(head.train_counts, source.training_counts)


def test_every_split_is_disjoint_and_the_target_is_never_trained_on(trained):
    task = open_task(config_of(RunDirectory(trained)))
    parts = [set(task.indices(part)) for part in ("train", "validation", "source_test", "target", "target_unused")]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(task.labels)
    held_out = task.domains.index(task.held_out)
    assert not np.any(task.domain[list(parts[0] | parts[1] | parts[2])] == held_out)


def test_seed_changes_splits_and_nothing_else_does(trained):
    config = config_of(RunDirectory(trained))
    first = open_task(config).indices("train")
    same = open_task(replace(config, optim=OptimConfig(steps=3))).indices("train")
    other = open_task(RunConfig(data=DataConfig(seed=1))).indices("train")
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
