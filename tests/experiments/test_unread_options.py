"""Features are taken as they are: who asks for more is told before anything runs, and earlier runs still open."""

from dataclasses import replace

import pytest

from experiments.config import OptimConfig, RunConfig
from experiments.restoring import reopen
from experiments.sweep.plan import plan
from experiments.sweep.spec import parse_spec
from experiments.training import train
from geometry.errors import UsageError

HEAD = ("--steps", "2", "--batch-size", "4", "--device", "cpu")


def test_the_command_refuses_it_and_leaves_no_run(tailgeom, trained, tmp_path):
    out = tmp_path / "run"
    code, _, err = tailgeom("train", "--features", trained / "artifact", "--augment", "crop", *HEAD, "--out", out)
    assert code == 2
    assert err == ("tailgeom: Expected no augmentation beside --features, as features have none, got augment 'crop'.\n")
    assert not out.exists()
    code, _, err = tailgeom("train", "--finetune", "none", "--augment", "weak", *HEAD, "--out", out)
    assert code == 2
    assert "beside --finetune none" in err
    assert not out.exists()


def test_the_command_takes_none(tailgeom, trained, tmp_path):
    words = ("--features", trained / "artifact", "--augment", "none", *HEAD, "--out", tmp_path / "run")
    assert tailgeom("train", *words)[0] == 0


def test_a_sweep_refuses_it(trained):
    data = {"dataset": "digits", "settings": ["balanced"], "held_out": ["textured"]}
    on_images = {"datasets": [data], "algorithms": ["erm"], "train": {"augment": "crop"}}
    assert plan(parse_spec(on_images))[0].config.optim.augment == "crop"
    on_features = on_images | {"datasets": [data | {"features": str(trained / "artifact")}]}
    with pytest.raises(UsageError, match="beside --features"):
        plan(parse_spec(on_features))
    with pytest.raises(UsageError, match="beside --finetune none"):
        plan(parse_spec(on_images | {"model": {"finetune": "none"}}))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--features", "FEATURES", "--backbone", "resnet18"), "no --backbone beside --features"),
        (("--features", "FEATURES", "--weights", "imagenet"), "no --weights beside --features"),
        (("--features", "FEATURES", "--finetune", "head"), "no --finetune beside --features"),
        (("--view-copies", "2"), "no --view-copies beside --finetune all"),
        (("--finetune", "head", "--view-precision", "bf16"), "no --view-precision beside --finetune head"),
    ],
)
def test_what_nothing_reads_is_refused(tailgeom, trained, tmp_path, words, sentence):
    words = [trained / "artifact" if word == "FEATURES" else word for word in words]
    code, _, err = tailgeom("train", *words, *HEAD, "--out", tmp_path / "run")
    assert code == 2
    assert sentence in err
    assert not (tmp_path / "run").exists()


def test_a_run_brings_its_own_data_and_backbone_to_its_extraction(tailgeom, trained):
    for words in (("--dataset", "PACS"), ("--backbone", "resnet18"), ("--image-size", "32")):
        code, _, err = tailgeom("extract", trained, *words)
        assert code == 2
        assert "a run has its own" in err


def test_a_run_that_ignored_it_opens_and_resumes(tailgeom, trained, tmp_path):
    optim = OptimConfig(augment="crop", steps=2, batch_size=4, checkpoint_every=2, device="cpu")
    config = RunConfig(optim=optim, features=trained / "artifact")
    train(config, tmp_path / "old")
    assert reopen(tmp_path / "old", device="cpu").config == replace(config, data=replace(config.data))
    assert train(config, tmp_path / "old").finished
