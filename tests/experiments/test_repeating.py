"""What a run and its page say to repeat it: its command, its setting, its steps."""

import shlex

import numpy as np
import pytest

from experiments.cli.report import train_command
from experiments.config import ModelConfig, OptimConfig, RunConfig
from experiments.data_config import DataConfig
from experiments.extraction import extract_frozen
from experiments.origin import resolved
from experiments.runs import RunDirectory
from experiments.table.records import read_records
from experiments.training import train
from geometry.artifact import load

CHOSEN = DataConfig(setting="exponential", setting_options=("ratio=5",), test_domain="printed", labels=2, seed=3)


@pytest.mark.parametrize("data", [DataConfig(seed=2), CHOSEN])
@pytest.mark.parametrize("model", [ModelConfig(), ModelConfig(classifier="cosine", projection=6)])
def test_the_command_of_a_head_on_features_makes_the_same_run(tailgeom, trained, tmp_path, data, model):
    optim = OptimConfig(steps=2, batch_size=4, lr=0.01, checkpoint_every=2, device="cpu")
    config = RunConfig(data, model, optim, trained / "artifact")
    train(config, tmp_path / "head")
    program, *words = shlex.split(train_command(tmp_path / "head"))
    assert program == "tailgeom"
    words[words.index("--out") + 1] = tmp_path / "again"
    code, _, err = tailgeom(*words, "--device", "cpu")
    assert code == 0, err
    assert RunDirectory(tmp_path / "again").config() == resolved(config)


def test_a_head_on_features_with_a_split_of_their_own_is_of_their_setting(tailgeom, tmp_path, tiny_tree):
    words = ("--dataset", "mine", "--data", tiny_tree, "--image-size", "16", "--test-domain", "night")
    split = ("--setting", "exponential", "--setting-options", "ratio=2", "--validation", "2", "--labels", "2")
    frozen = (*words, *split, "--backbone", "small_cnn", "--weights", "none", "--device", "cpu")
    code, _, err = tailgeom("extract", *frozen, "--out", tmp_path / "features")
    assert code == 0, err
    code, _, err = tailgeom(
        "train", "--features", tmp_path / "features", "--steps", "2", "--device", "cpu", "--out", tmp_path / "head"
    )
    assert code == 0, err
    (run,) = read_records([tmp_path / "head"]).runs
    assert run.place.setting == "exponential(ratio=2), 2 labels"


def test_an_algorithm_that_needs_one_step_says_one(tailgeom, trained, tmp_path):
    words = ("--features", trained / "artifact", "--algorithm", "logistic", "--steps", "9", "--device", "cpu")
    code, out, err = tailgeom("train", *words, "--out", tmp_path / "run")
    assert code == 0
    assert "1 step of logistic done" in out + err


def test_a_frozen_backbone_is_extracted_from_images_whatever_a_run_would_train(tmp_path, tiny_tree):
    data = DataConfig(dataset="mine", data=tiny_tree, setting="natural", test_domain="night", image_size=16)
    found = [extract_frozen(data, ModelConfig(finetune=name), device="cpu") for name in ("all", "none")]
    assert np.array_equal(found[0].features, found[1].features)
    assert load(found[1].save(tmp_path / "features")).num_domains == 3
