"""A long-tailed set through train, extract, table and sweep: no validation images, and the last checkpoint."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments.runs import RunDirectory
from experiments.sweep.plan import plan
from experiments.sweep.spec import parse_spec, read_spec
from geometry.artifact import load

SHORT = ("--steps", "6", "--checkpoint-every", "2", "--log-every", "2", "--batch-size", "8", "--device", "cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    for part, sizes in (("train", (12, 6, 3)), ("test", (4, 4, 4))):
        for name, count in zip("abc", sizes, strict=True):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number:02d}.png")
    return root


def test_from_images_to_a_table(tailgeom, root, tmp_path):
    run = tmp_path / "run"
    words = ("--dataset", "mine", "--data", root, "--setting", "natural", "--image-size", "8", "--augment", "cifar")
    code, _, said = tailgeom("train", *words, *SHORT, "--out", run)
    assert code == 0, said
    manifest = json.loads((run / "manifest.json").read_text())
    assert "last checkpoint" in manifest["selection"]
    assert manifest["data"]["sizes"] == {
        "train": 21,
        "validation": 0,
        "source_test": 0,
        "target": 12,
        "target_unused": 0,
    }
    saved = RunDirectory(run).load_checkpoint()
    assert saved.state["best_step"] == saved.step == 6
    assert all(np.array_equal(saved.weights[name], saved.selected[name]) for name in saved.weights)
    assert tailgeom("extract", run)[0] == 0
    artifact = load(run / "artifact")
    assert artifact.held_out == "test"
    assert artifact.source_counts.tolist() == [[12, 6, 3]]
    code, out, _ = tailgeom("table", run)
    assert code == 0
    assert "No validation images: every run is shown at its last checkpoint." in out
    code, out, said = tailgeom("measure", run / "artifact", "--resamples", "20")
    assert code == 0, said


def test_validation_where_it_is_asked_for(tailgeom, root, tmp_path):
    run = tmp_path / "run"
    words = ("--dataset", "mine", "--data", root, "--setting", "natural", "--image-size", "8", "--validation", "2")
    assert tailgeom("train", *words, *SHORT, "--out", run)[0] == 0
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["selection"] == "best balanced validation accuracy"
    assert manifest["data"]["sizes"]["validation"] == 4
    assert manifest["data"]["setting_parameters"]["classes that validate"] == 2
    assert "validation images" not in tailgeom("table", run)[1]


def test_features_of_the_whole_set_are_split_as_its_images(tailgeom, root, tmp_path):
    words = ("--dataset", "mine", "--data", root, "--image-size", "8", "--backbone", "small_cnn", "--weights", "none")
    assert tailgeom("extract", "--all", *words, "--device", "cpu", "--out", tmp_path / "features")[0] == 0
    sources = {"f": ("--features", tmp_path / "features"), "i": words[:6]}
    found = {}
    for name, given in sources.items():
        assert tailgeom("train", *given, "--imbalance-factor", "6", *SHORT, "--out", tmp_path / name)[0] == 0
        found[name] = (tmp_path / name / "splits.csv").read_text()
    assert found["f"] == found["i"]
    assert found["i"].count(",train\n") == 12 + 4 + 2


def test_a_sweep_holds_the_test_split_out_and_nothing_else(root):
    given = {
        "datasets": [
            {"dataset": "mine", "data": str(root), "settings": ["natural", "LongTail"]},
            {"dataset": "digits-LT", "settings": [{"setting": "Step", "setting_options": {"ratio": 50}}]},
            {"dataset": "CIFAR100-LT", "data": "nowhere", "settings": ["LongTail"]},
        ],
        "algorithms": ["erm"],
    }
    jobs = plan(parse_spec(given))
    assert [job.held_out for job in jobs] == ["test"] * 4
    assert jobs[2].config.data.setting_parameters == {"ratio": 50}


@pytest.mark.parametrize(
    ("name", "augment"),
    [("cifar100_lt", {"cifar", "strong"}), ("cifar100_lt_short", {"crop_flip"}), ("digits_lt_ecl", {"crop"})],
)
def test_the_ready_made_specs_can_be_planned(name, augment):
    from importlib.resources import files

    jobs = plan(read_spec(files("experiments") / "sweeps" / f"{name}.yaml"))
    assert {job.held_out for job in jobs} == {"test"}
    assert {job.config.optim.augment for job in jobs} == augment
    assert {job.config.model.classifier for job in jobs} == {"cosine"}
