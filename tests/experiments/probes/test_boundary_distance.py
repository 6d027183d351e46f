"""The probe: which samples, in which order, and how far."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.extraction import extract_run
from experiments.probes.boundary_distance import EVALUATED, even_draw, record_boundary_distance
from experiments.restoring import config_of
from experiments.runs import RunDirectory
from experiments.task import open_task
from experiments.training import build, train
from geometry.artifact import Artifact, load
from geometry.checks import signed_boundary_distance
from geometry.errors import UsageError


def test_draws_are_even_over_cells_and_belong_to_their_generator():
    cells = np.repeat([0, 1, 2, 5], [100, 40, 3, 1])
    drawn = even_draw(cells, 44, np.random.default_rng(0))
    assert np.bincount(cells[drawn]).tolist() == [20, 20, 3, 0, 0, 1]
    assert np.array_equal(drawn, np.unique(drawn))
    assert np.array_equal(drawn, even_draw(cells, 44, np.random.default_rng(0)))
    assert not np.array_equal(drawn, even_draw(cells, 44, np.random.default_rng(1)))
    assert np.array_equal(even_draw(cells, 1000, np.random.default_rng(0)), np.arange(144))
    assert even_draw(np.zeros(0, int), 5, np.random.default_rng(0)).size == 0


def test_more_cells_than_samples_leave_each_cell_the_same_chance():
    rng = np.random.default_rng(0)
    hits = np.zeros(50)
    for _ in range(400):
        hits[even_draw(np.arange(50), 10, rng)] += 1
    assert hits.min() > 50  # of 80 expected


@pytest.fixture(scope="module")
def recorded(trained):
    """A few samples of the tiny run on the digits, and the progress that was told."""
    run, told = RunDirectory(trained), []
    config = config_of(run, "cpu")
    task = open_task(config)
    algorithm = build(config, task, torch.device("cpu"))
    algorithm.load_state_dict(run.load_checkpoint().selected)
    algorithm.train()
    found = record_boundary_distance(
        algorithm.model,
        task,
        torch.device("cpu"),
        rng=np.random.default_rng(0),
        most=40,
        progress=lambda *now: told.append(now),
    )
    assert algorithm.model.training
    assert all(p.requires_grad and p.grad is None for p in algorithm.model.parameters())
    return (
        {name.removeprefix("boundary_distance/"): values for name, values in found.items()},
        algorithm.model,
        task,
        told,
    )


def test_positions_are_those_of_the_artifact_and_none_was_trained_on(trained, recorded):
    found, _, _, told = recorded
    artifact = load(trained / "artifact")
    index = found["index"]
    assert len(index) == 40
    assert told == [(32, 40), (40, 40)]
    assert np.array_equal(found["label"], artifact.labels[index])
    assert np.array_equal(found["domain"], artifact.domains[index])
    assert np.array_equal(found["split"], artifact.split[index])
    assert {artifact.split_names[code] for code in found["split"]} <= set(EVALUATED)
    np.testing.assert_allclose(found["logits"], artifact.logits[index], atol=1e-4)
    replace(artifact, probes={f"boundary_distance/{k}": v for k, v in found.items()})  # which checks every array


def test_signs_say_whether_the_prediction_is_right(recorded):
    found, *_ = recorded
    right = found["logits"].argmax(axis=1) == found["label"]
    assert found["converged"].mean() > 0.9
    assert np.array_equal(np.isfinite(found["distance"]), found["converged"])
    reached = found["converged"]
    assert np.array_equal(found["distance"][reached] >= 0, right[reached])
    assert (found["iterations"] >= 1).all()


def test_no_nearer_random_change_moves_a_prediction_in_the_space_of_pixels(recorded):
    found, model, task, _ = recorded
    order = np.concatenate([task.indices(part) for part in ("train", *EVALUATED)])
    first = order[found["index"][:1]]
    image = task.inputs.batch(first, torch.device("cpu"))
    model.eval()
    ways = torch.randn(64, *image.shape[1:], generator=torch.Generator().manual_seed(0))
    ways *= abs(found["distance"][0]) / ways.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)
    with torch.no_grad():
        assert (model(image + 0.99 * ways).argmax(dim=1) == model(image).argmax()).all()


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """A linear head trained on frozen features of twelve classes, extracted with the probe."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("head")
    labels = np.tile(np.arange(12), 30)
    split = np.repeat([0, 1, 2], 120)
    artifact = Artifact(
        features=(2 * rng.normal(size=(12, 8))[labels] + rng.normal(size=(360, 8))).astype(np.float32),
        labels=labels,
        class_names=tuple(map(str, range(12))),
        domains=np.where(split == 2, 2, np.arange(360) % 2),
        domain_names=("day", "dusk", "night"),
        split=split,
        split_names=("train", "validation", "target"),
        held_out="night",
    )
    optim = OptimConfig(algorithm="erm", steps=30, lr=1e-2, checkpoint_every=15, device="cpu")
    train(RunConfig(features=artifact.save(folder / "features"), optim=optim), folder / "run")
    return extract_run(folder / "run", probes=("boundary_distance",), device="cpu")


def test_on_frozen_features_the_distance_is_the_exact_one_of_the_head(head):
    index = head.probes["boundary_distance/index"]
    assert len(index) == 240
    features = head.features[index].astype(np.float64)
    scores = features @ head.head_weight.astype(np.float64).T + head.head_bias.astype(np.float64)
    exact = signed_boundary_distance(scores, head.labels[index], head.head_weight)
    np.testing.assert_allclose(head.probes["boundary_distance/distance"], exact, rtol=1e-6)
    assert head.probes["boundary_distance/converged"].all()


def test_of_a_head_on_cached_features_of_images_the_distance_is_in_pixels(tiny_tree, tmp_path):
    data = DataConfig(
        dataset="mine", data=tiny_tree, setting="natural", test_domain="night", validation=2, image_size=16
    )
    optim, cpu = OptimConfig(algorithm="erm", steps=3, device="cpu"), torch.device("cpu")
    config = RunConfig(data=data, model=ModelConfig(finetune="none"), optim=optim)
    run = train(config, tmp_path / "run")
    found = extract_run(run.path, probes=("boundary_distance",), most_samples=5, device="cpu")
    probes = {name.removeprefix("boundary_distance/"): values for name, values in found.probes.items()}
    assert len(probes["index"]) == 5
    np.testing.assert_allclose(probes["logits"], found.logits[probes["index"]], atol=1e-5)
    # The same backbone and head as one network on images finds the same.
    task = open_task(replace(config, model=ModelConfig(finetune="head")))
    network = build(replace(config, model=ModelConfig(finetune="head")), task, cpu).model
    network.head.load_state_dict({"weight": torch.tensor(found.head_weight), "bias": torch.tensor(found.head_bias)})
    whole = record_boundary_distance(network, task, cpu, rng=np.random.default_rng(0))
    place = np.searchsorted(whole["boundary_distance/index"], probes["index"])
    np.testing.assert_allclose(probes["distance"], whole["boundary_distance/distance"][place], rtol=1e-4)
    in_features = signed_boundary_distance(probes["logits"], probes["label"], found.head_weight.astype(np.float64))
    assert not np.allclose(probes["distance"], in_features, rtol=0.01)
    with pytest.raises(UsageError, match="at least 1 sample"):
        extract_run(run.path, most_samples=0, device="cpu")


def test_a_number_of_samples_is_for_this_probe(tailgeom, trained, tmp_path):
    code, _, error = tailgeom("extract", trained, "--probe-samples", "3", "--out", tmp_path / "artifact")
    assert code == 2
    assert "--probes boundary_distance" in error
