"""What lies at --out and is not the command's own is kept, and that is said before anything is computed."""

import json
import shutil

import pytest

from tests.one_sentence import USAGE, one_sentence, train


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", ["artifact", "notes", "configured"])
def test_training_replaces_nothing_but_its_own_run(tailgeom, trained, tmp_path, kind):
    out = tmp_path / "run"
    if kind == "artifact":
        shutil.copytree(trained / "artifact", out)
    else:
        out.mkdir()
        name = {"notes": "thesis.txt", "configured": "config.yaml"}[kind]
        (out / name).write_text("server: localhost\n")
    before = contents(out)
    code, _, err = train(tailgeom, tmp_path)
    assert code == USAGE
    assert "would be lost; choose another --out" in one_sentence(err)
    assert contents(out) == before


def test_a_shells_log_and_a_cut_off_start_do_not_stand_in_the_way_of_training(tailgeom, tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("slurm-1.out", ".lock", ".config.yaml.ab12"):
        (tmp_path / "run" / name).write_text("")
    code, _, err = train(tailgeom, tmp_path, "--batch-size", "4")
    assert code == 0, err


def test_an_artifact_is_replaced_by_one_of_the_same_run_alone(tailgeom, trained, tmp_path):
    out = tmp_path / "mine"
    shutil.copytree(trained / "artifact", out)
    assert tailgeom("extract", trained, "--out", out, "--device", "cpu")[0] == 0
    for change in (lambda run: run["optim"].update(lr=0.5), lambda run: run.clear()):
        manifest = json.loads((out / "manifest.json").read_text())
        change(manifest["provenance"]["run"])
        (out / "manifest.json").write_text(json.dumps(manifest))
        before = contents(out)
        code, _, err = tailgeom("extract", trained, "--out", out, "--device", "cpu")
        assert code == USAGE
        assert "another model" in one_sentence(err)
        assert contents(out) == before
    code, _, err = tailgeom("extract", "--out", out, "--backbone", "small_cnn", "--weights", "none")
    assert code == USAGE
    assert "another model" in one_sentence(err)


def test_features_of_a_frozen_backbone_are_replaced_by_the_same_alone(tailgeom, tmp_path, tiny_tree):
    words = ("--dataset", "mine", "--data", tiny_tree, "--backbone", "small_cnn", "--weights", "none")
    words = ("extract", *words, "--image-size", "16", "--device", "cpu", "--out", tmp_path / "features")
    for _ in range(2):
        assert tailgeom(*words, "--all")[0] == 0
    before = contents(tmp_path / "features")
    split = ("--test-domain", "night", "--setting", "balanced", "--validation", "2")
    for more in (("--all", "--seed", "1"), split):
        code, _, err = tailgeom(*words, *more)
        assert code == USAGE
        assert "another model" in one_sentence(err)
    assert contents(tmp_path / "features") == before
