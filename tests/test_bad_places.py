"""The wrong kind of place, or one that cannot be written, is said in one sentence before anything is computed."""

import json
import shutil

import numpy as np
import pytest

from experiments.sweep.results import COLUMNS
from geometry.artifact import Artifact
from tests.one_sentence import DATA, USAGE, one_sentence

EXPECTED = "Expected an artifact (arrays.safetensors and manifest.json) or a run at"


@pytest.fixture
def artifact(tmp_path):
    labels, rng = np.arange(40) % 4, np.random.default_rng(0)
    features = (rng.normal(size=(40, 6)) + 3 * np.eye(4, 6)[labels]).astype(np.float32)
    return Artifact(features=features, labels=labels, class_names=tuple("abcd")).save(tmp_path / "mine")


@pytest.fixture
def sweep(tmp_path):
    """The plan and the results of a sweep of two finished runs; what they trained is not there."""
    runs, out = [], tmp_path / "sweep"
    for number, name in enumerate(("erm", "ndcl")):
        place = {"dataset": "small", "setting": "balanced", "held_out": "day", "algorithm": name, "variant": name}
        runs.append(place | {"draw": 0, "seed": 0, "status": "done", "path": f"runs/{number}"})
    out.mkdir()
    (out / "sweep.json").write_text(json.dumps({"runs": runs}))
    lines = [",".join(str(run.get(name, "")) for name in COLUMNS) for run in runs]
    (out / "results.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")
    return out


def test_a_sweep_where_one_artifact_is_wanted(tailgeom, sweep):
    for command in ("compare", "report"):
        code, _, err = tailgeom(command, sweep)
        assert code == USAGE
        assert f"{sweep} is a sweep, and {command} takes one artifact; name a run of it" in one_sentence(err)


@pytest.mark.parametrize("command", ["measure", "compare", "bound", "check", "report"])
def test_a_folder_that_is_neither_artifact_nor_run(tailgeom, tmp_path, command):
    folder = tmp_path / "folder"
    folder.mkdir()
    code, _, err = tailgeom(command, folder)
    assert code == DATA
    assert f"{EXPECTED} {folder}, found an empty folder" in one_sentence(err)
    (folder / "thesis.txt").write_text("")
    assert "found thesis.txt." in one_sentence(tailgeom(command, folder)[2])


def test_several_artifacts_are_no_study(tailgeom, artifact):
    other = artifact.with_name("other")
    shutil.copytree(artifact, other)
    for words in (("check", artifact, other), ("measure", artifact, other), ("table", artifact)):
        code, _, err = tailgeom(*words)
        assert code == USAGE
        assert f"{artifact} is an artifact" in one_sentence(err)
        assert "`tailgeom report`" in err


def test_a_value_that_no_run_has_is_named_with_those_there_are(tailgeom, sweep):
    for words in (("algorithm=foo",), ("algorithm=erm", "algorithm=foo")):
        code, _, err = tailgeom("table", sweep, "--only", *words)
        assert code == USAGE
        assert one_sentence(err) == "tailgeom: No run has algorithm=foo; the runs have erm, ndcl."
    assert "seed=3; the runs have 0" in tailgeom("table", sweep, "--only", "seed=3")[2]


@pytest.mark.parametrize(
    "words",
    [
        ("measure", "MINE"),
        ("compare", "MINE"),
        ("report", "MINE"),
        ("optimum", "--counts", "5,1"),
        ("threshold", "--majority", "1", "--minority", "9"),
        ("phase",),
        ("free", "--counts", "5,1"),
        ("draw", "grams"),
        ("draw", "thresholds"),
        ("data", "inspect"),
        ("data", "split"),
        ("table", "MINE"),
        ("demo",),
        ("extract",),
        ("train",),
    ],
)
def test_a_file_at_out_is_said_first(tailgeom, artifact, tmp_path, monkeypatch, words):
    """First: before even an artifact that cannot be read is complained of."""
    (artifact / "arrays.safetensors").write_bytes(b"")
    (tmp_path / "file").write_text("years")
    words = [artifact if word == "MINE" else word for word in words]
    for out in (tmp_path / "file", tmp_path / "file" / "inside"):
        code, _, err = tailgeom(*words, "--out", out)
        assert code == USAGE
        assert f"Expected a new or our own directory at {out}, found " in one_sentence(err)
    assert (tmp_path / "file").read_text() == "years"


def test_a_report_on_a_run_that_cannot_be_written_keeps_its_results_elsewhere(tailgeom, artifact, tmp_path):
    from experiments.cli.measure import Measure
    from experiments.cli.report import result_of
    from geometry.artifact import load

    (artifact / "results").write_text("in the way, for the superuser too")
    command, instead = Measure(artifact=artifact, resamples=20), tmp_path / "out" / "results" / "mine"
    found = result_of(command, load(artifact), artifact, instead)
    assert (artifact / "results").read_text().startswith("in the way")
    assert json.loads((instead / "measure.json").read_text()) == json.loads(json.dumps(found))
    (instead / "measure.json").write_text(json.dumps(found | {"kept": True}))
    assert result_of(command, load(artifact), artifact, instead)["kept"]  # used again


def test_options_are_refused_in_words(tailgeom):
    for words, said in (
        (("data", "split", "--seed", "-1"), "Expected a seed of 0 or more, got -1; see tailgeom data split --help."),
        (("data", "split", "--shots", "5"), "Expected two numbers after --shots, got 5; see tailgeom data split"),
        (("draw", "grams", "--classes", "x"), "Expected a whole number after --classes, got 'x'; see tailgeom draw gr"),
        (("train", "--lr", "fast", "--out", "run"), "Expected a number after --lr, got 'fast'; see tailgeom train"),
    ):
        code, _, err = tailgeom(*words)
        assert code == USAGE
        assert one_sentence(err).startswith(f"tailgeom: {said}")


def test_weights_that_no_backbone_has_are_refused_where_a_run_starts(tailgeom, tmp_path):
    from experiments.config import ModelConfig

    for backbone in ("small_cnn", "resnet32"):
        for command, weights in (("train", "imagenet"), ("extract", tmp_path / "mine.pth")):
            words = (command, "--backbone", backbone, "--weights", weights, "--out", tmp_path / "run")
            code, _, err = tailgeom(*words)
            assert code == USAGE
            assert f"{backbone} has no pretrained weights, got {weights}" in one_sentence(err)
            assert not (tmp_path / "run").exists()
        ModelConfig(backbone=backbone, weights="imagenet")  # as an earlier run may have it
        ModelConfig(backbone=backbone).require_weights()
    ModelConfig(backbone="resnet18", weights="imagenet").require_weights()
