"""Features once, many splits: heads on the features of a whole data set, split as its images would be."""

import json

import numpy as np
import pytest
import yaml

from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.runs import RunDirectory
from experiments.task import open_task
from experiments.training import train
from geometry.artifact import load

TREE = ("--dataset", "mine", "--validation", "2", "--seed", "3", "--device", "cpu")


@pytest.fixture
def whole(tailgeom, tmp_path, tiny_tree):
    """The features of every image of the tiny tree."""
    words = ("--backbone", "small_cnn", "--image-size", "16", "--device", "cpu", "--out", tmp_path / "features")
    code, _, err = tailgeom("extract", "--data", tiny_tree, "--dataset", "mine", "--all", *words)
    assert code == 0, err
    assert "untrained network" in err
    assert load(tmp_path / "features").provenance["frozen"]["model"]["weights"] == "none"
    return tmp_path / "features"


def test_everything_is_extracted_in_catalogue_order(whole, tiny_tree):
    artifact = load(whole)
    assert artifact.split_names == ("all",)
    assert artifact.features.shape == (72, 128)
    files = sorted(str(path.relative_to(tiny_tree)) for path in tiny_tree.glob("*/*/*.png"))
    assert list(artifact.sample_ids) == files
    assert artifact.held_out is None


@pytest.mark.parametrize("setting", ["Duality", "TotalHeavyTail"])
def test_features_are_split_as_the_images_are(tailgeom, tmp_path, tiny_tree, whole, setting):
    asked = ("--setting", setting, "--test-domain", "dusk", "--setting-options", "c=2", "--steps", "2", *TREE)
    for name, words in (("images", ("--data", tiny_tree, "--image-size", "16")), ("heads", ("--features", whole))):
        code, _, err = tailgeom("train", *words, *asked, "--out", tmp_path / name)
        assert code == 0, err
    for file in ("splits.csv", "counts.csv"):
        assert (tmp_path / "images" / file).read_bytes() == (tmp_path / "heads" / file).read_bytes()
    first, second = (
        json.loads((tmp_path / name / "manifest.json").read_text())["data"] for name in ("images", "heads")
    )
    assert first["sha256"] == second["sha256"]
    assert "mixing mixes features" in second["inputs"]
    code, _, err = tailgeom("extract", tmp_path / "heads", "--device", "cpu")
    assert code == 0, err
    assert load(tmp_path / "heads" / "artifact").held_out == "dusk"


def test_the_held_out_domain_has_to_be_named(tailgeom, tmp_path, whole):
    code, _, err = tailgeom("train", "--features", whole, "--steps", "2", "--out", tmp_path / "run")
    assert code == 2
    assert "--test-domain; it is one of day, dusk, night" in err


def test_an_artifact_keeps_its_own_split_unless_another_is_asked_for(whole, tmp_path):
    heads = train(
        RunConfig(
            data=DataConfig(test_domain="day", setting="balanced", validation=2),
            optim=OptimConfig(steps=1, device="cpu"),
            features=whole,
        ),
        tmp_path / "run",
    )
    from experiments.extraction import extract_run

    own = extract_run(heads.path, device="cpu").save(tmp_path / "own")
    kept, anew = (
        open_task(RunConfig(data=data, features=own))
        for data in (DataConfig(), DataConfig(setting="natural", validation=2))
    )
    assert kept.split is None
    assert sorted(kept.part) == sorted(np.asarray(load(own).split_names)[load(own).split])
    assert anew.held_out == kept.held_out == "day"
    assert anew.split.table.setting == "natural"


def test_the_order_of_an_artifact_does_not_matter(whole, tmp_path):
    artifact = load(whole)
    mixed = artifact.take(np.random.default_rng(0).permutation(72)).save(tmp_path / "mixed")
    data = DataConfig(setting="natural", test_domain="night", validation=2)
    first, second = (open_task(RunConfig(data=data, features=path)) for path in (whole, mixed))
    assert first.sample_ids == second.sample_ids
    assert np.array_equal(first.part, second.part)
    assert first.inputs.digest() == second.inputs.digest()


def test_prepared_features_are_views_of_the_same_numbers(whole):
    import torch

    data = DataConfig(setting="natural", test_domain="night", validation=2)
    task, cpu = open_task(RunConfig(data=data, features=whole)), torch.device("cpu")
    index = {part: task.indices(part) for part in ("train", "validation", "target")}
    before = {part: task.inputs.batch(rows, cpu).clone() for part, rows in index.items()}
    task.prepare()
    for part, rows in index.items():
        assert torch.equal(task.inputs.batch(rows, cpu), before[part])
    assert task.inputs.batch(index["target"], cpu).data_ptr() == task.inputs.batch(index["target"], cpu).data_ptr()
    mixed = np.random.default_rng(0).permutation(72)[:20]
    assert torch.equal(task.inputs.batch(mixed, cpu), task.inputs.features[mixed])


def test_a_frozen_backbone_trains_heads_on_features_made_once(tiny_tree, tmp_path, whole, monkeypatch):
    data = DataConfig(
        dataset="mine", data=tiny_tree, setting="natural", test_domain="night", validation=2, image_size=16
    )
    frozen = RunConfig(data=data, model=ModelConfig(finetune="none"), optim=OptimConfig(steps=3, device="cpu"))
    heads = RunConfig(data=data, optim=frozen.optim, features=whole)
    weights = [
        train(config, tmp_path / name).load_checkpoint().weights
        for name, config in (("frozen", frozen), ("heads", heads))
    ]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        np.testing.assert_allclose(tensor, weights[1][name], atol=1e-6)
    from experiments import frozen as module

    monkeypatch.setattr(module, "features_of", lambda *_: pytest.fail("computed again"))
    train(frozen, tmp_path / "again")


def test_projections_are_extracted(tailgeom, tmp_path, whole):
    words = ("--setting", "natural", "--test-domain", "night", "--projection", "5", "--steps", "2", *TREE)
    assert tailgeom("train", "--features", whole, *words, "--out", tmp_path / "run")[0] == 0
    assert tailgeom("extract", tmp_path / "run", "--device", "cpu")[0] == 0
    artifact = load(tmp_path / "run" / "artifact")
    assert artifact.projections.shape == (len(artifact.labels), 5)
    np.testing.assert_allclose(np.linalg.norm(artifact.projections, axis=1), 1, atol=1e-5)
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["model"] == {"projection": 5}


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_resumed_head_ends_with_the_same_bytes(whole, tmp_path, optimizer):
    def config(steps):
        optim = OptimConfig(
            steps=steps,
            optimizer=optimizer,
            sampling="class-aware",
            weight_decay=0.01,
            checkpoint_every=5,
            device="cpu",
        )
        return RunConfig(
            data=DataConfig(setting="natural", test_domain="night", validation=2), optim=optim, features=whole
        )

    class StopError(Exception):
        pass

    def stop(step, terms):
        if step == 7:
            raise StopError

    whole_run = train(config(12), tmp_path / "whole")
    with pytest.raises(StopError):
        train(config(12), tmp_path / "broken", report=stop)
    train(config(12), tmp_path / "broken")
    for file in ("checkpoint/model.safetensors", "metrics.jsonl"):
        assert (whole_run.path / file).read_bytes() == (tmp_path / "broken" / file).read_bytes()
    assert RunDirectory(tmp_path / "broken").finished


@pytest.mark.parametrize("form", ["csv", "yaml"])
def test_a_table_of_counts_is_a_setting(tailgeom, tmp_path, tiny_tree, form):
    words = ("--data", tiny_tree, "--dataset", "mine", "--validation", "2", "--test-domain", "night")
    code, out, err = tailgeom("data", "split", *words, "--setting", "natural", "--out", tmp_path / "made")
    assert code == 0, err
    assert "few" in out or "many" in out
    table = tmp_path / "made" / f"counts.{form}"
    for seed in ("0", "1"):
        code, out, err = tailgeom("data", "split", *words, "--setting", table, "--seed", seed, "--json")
        assert code == 0, err
        assert json.loads(out)["counts"]["train"] == [[8, 8], [8, 8], [0, 0]]
    table.write_text(table.read_text().replace("8", "99"))
    code, _, err = tailgeom("data", "split", *words, "--setting", table)
    assert code == 3
    assert "asks for 101" in err
    assert tailgeom("data", "split", *words, "--setting", table, "--setting-options", "c=2")[0] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--setting-options", "c"), "name=value"),
        (("--setting-options", "c=2", "c=3"), "twice"),
        (("--setting-options", "depth=2"), "no parameter 'depth'"),
        (("--setting-options", "c=steep"), "number for c"),
        (("--setting", "TotalHeavyTail", "--shots", "1", "5"), "many > few"),
        (("--setting", "absent.csv"), "found no file"),
    ],
)
def test_settings_that_make_no_sense(tailgeom, tiny_tree, words, message):
    code, _, err = tailgeom(
        "data", "split", "--data", tiny_tree, "--dataset", "mine", "--test-domain", "night", "--validation", "2", *words
    )
    assert code in (2, 3)
    assert message in err
