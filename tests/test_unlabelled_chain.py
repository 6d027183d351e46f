"""Training with few labels, from the command line to what every analysis makes of the part ``unlabelled``."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from experiments.cli.measure import Measure
from experiments.cli.report import pseudo_labels, train_command
from figures.story.desk import Desk, Model, Study
from figures.story.unlabelled import unlabelled
from geometry.artifact import load
from geometry.labelled import labelled_counts

TREE = ("--dataset", "mine", "--test-domain", "night", "--setting", "balanced", "--validation", "2")


@pytest.fixture
def run(tailgeom, tmp_path, tiny_tree):
    """Three steps of FixMatch with two labels a class and domain, and its artifact with a trajectory."""
    path = tmp_path / "runs" / "fixmatch"
    code, _, err = tailgeom(
        "train", "--algorithm", "fixmatch", "--labels", "2", "--augment", "weak", "--set", "threshold=0.5",
        "fixclr=0.1", "--steps", "3", "--snapshots", "2", "--batch-size", "4", "--image-size", "16", "--device", "cpu",
        "--data", tiny_tree, "--out", path, *TREE,
    )  # fmt: skip
    assert code == 0, err
    code, _, err = tailgeom("extract", path, "--probes", "trajectory", "--device", "cpu")
    assert code == 0, err
    return path


def test_every_count_says_which_samples_it_counts(tailgeom, run, tmp_path, tiny_tree):
    artifact = load(run / "artifact")
    assert artifact.training_counts.tolist() == [[8, 8], [8, 8], [0, 0]]
    assert labelled_counts(artifact).tolist() == [[2, 2], [2, 2], [0, 0]]
    assert artifact.probes["trajectory/cell_counts"].tolist() == [[2, 2], [2, 2], [0, 0]]
    code, out, _ = tailgeom("data", "split", *TREE, "--data", tiny_tree, "--labels", "2", "--json")
    assert code == 0
    counts = json.loads(out)["counts"]
    assert np.sum(counts["train"]) == 8
    assert np.sum(counts["unlabelled"]) == 24
    assert all("unlabelled/balanced_accuracy" in row for row in _evaluations(run))


def test_measure_draws_the_pseudo_labels(tailgeom, run, tmp_path):
    words = ("--split", "unlabelled", "--threshold", "0.5", "--resamples", "20", "--out", tmp_path / "out")
    code, out, err = tailgeom("measure", run, *words)
    assert code == 0, err
    assert "nan" not in out
    assert (tmp_path / "out" / "measure_pseudo_labels.png").stat().st_size > 0
    found = json.loads((tmp_path / "out" / "measure.json").read_text())["pseudo_labels"]
    assert found["groups"]["all"]["n"] == 24
    assert found["class_counts"] == [16, 16]
    code, out, _ = tailgeom("measure", run, "--split", "unlabelled", "--threshold", "1", "--resamples", "20")
    assert "none is kept" in out
    assert "nan" not in out


def test_a_threshold_is_that_of_pseudo_labels_and_these_want_logits(tailgeom, run, tmp_path):
    code, _, err = tailgeom("measure", run, "--threshold", "0.5")
    assert code == 2
    assert err.startswith("tailgeom: Expected --split unlabelled beside --threshold, which is that of pseudo-labels; ")
    replace(load(run / "artifact"), logits=None).save(tmp_path / "bare")
    code, out, err = tailgeom("measure", tmp_path / "bare", "--split", "unlabelled", "--resamples", "20")
    assert code == 0, err
    assert "No pseudo-labels: the artifact has no logits." in out


def test_the_figure_has_the_whole_name_of_the_run(tmp_path):
    """A folder has no ending: lr0.01 is not lr0."""
    (tmp_path / "lr0.01" / "artifact").mkdir(parents=True)
    assert Measure(artifact=tmp_path / "lr0.01").label == "lr0.01"
    assert Measure(artifact=tmp_path / "lr0.01" / "artifact").label == "lr0.01"
    assert Measure(features=tmp_path / "mine.v2.npz").label == "mine.v2"


def test_the_report_has_a_chapter_on_them_under_the_runs_own_threshold(run, tmp_path):
    artifact = load(run / "artifact")
    results = pseudo_labels(artifact, run)
    assert results["pseudo_labels"]["threshold"] == 0.5
    assert results["pseudo_labels"]["command"].endswith("--split unlabelled --threshold 0.5")
    study = Study("t", artifact.class_names, artifact.domain_names, artifact.training_counts, "night", None, "", (), {})
    empty = np.zeros((0, 1)), np.zeros(0), np.zeros(0)
    models = {"erm": Model({}, (), *empty), "fixmatch": Model(results, (), *empty)}
    desk = Desk(tmp_path / "figures", models, study)
    section = unlabelled(desk)
    assert section is not None
    assert [table.rows[0][0] for table in section.tables] == ["fixmatch", "fixmatch"]
    assert "0.5 or more" in section.panels[0].caption
    desk.write()
    assert section.panels[0].image_path.exists()
    assert unlabelled(Desk(tmp_path / "figures", {"erm": models["erm"]}, study)) is None
    assert pseudo_labels(replace(artifact, logits=None), run) == {}


def test_the_command_in_a_report_repeats_the_run(run):
    words = train_command(run)
    assert "--labels 2" in words
    assert "fixclr_level=sample" in words
    assert not re.search("['\"]", words)


def _evaluations(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = [row for row in rows if "validation/accuracy" in row]
    assert found
    return found
