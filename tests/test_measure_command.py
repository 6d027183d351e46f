"""What ``measure`` says below its table: who was left out, what has no number and why, and what contradicts itself."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.cli.measure import blanks
from geometry.artifact import Artifact
from geometry.collapse import measure
from geometry.shots import ShotThresholds

QUICK = ("--resamples", "20")


@pytest.fixture
def artifact():
    """Five classes, all of one domain, ten samples each, with a head whose scores are the logits."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 10)
    weight = rng.normal(size=(5, 8))
    features = 2 * weight[labels] + rng.normal(size=(50, 8))
    return Artifact(features, labels, tuple("abcde"), logits=features @ weight.T, head_weight=weight)


def below(out):
    """The lines below the table that were not always there."""
    starts = ("Left out:", "Single:", "Not computed:", "The logits")
    return [line for line in out.splitlines() if line.startswith(starts)]


def test_nothing_is_said_where_nothing_is_missing(tailgeom, artifact, tmp_path):
    code, out, err = tailgeom("measure", artifact.save(tmp_path / "x"), *QUICK)
    assert code == 0, err
    assert below(out) == []
    assert "note" not in json.loads(tailgeom("measure", tmp_path / "x", "--json", *QUICK)[1])


def test_absent_and_single_classes_are_named_and_blanks_have_a_reason(tailgeom, artifact, tmp_path):
    keep = np.flatnonzero((artifact.labels != 2) & ((artifact.labels != 4) | (np.arange(50) == 40)))
    bare = replace(artifact.take(keep), head_weight=None, train_counts=None)
    code, out, err = tailgeom("measure", bare.save(tmp_path / "x"), *QUICK)
    assert code == 0, err
    assert below(out)[:2] == ["Left out: c (no samples).", "Single: e (one sample, so no variance)."]
    reasons = below(out)[2]
    assert reasons.startswith("Not computed: ")
    assert "nc3_frobenius, nc3_cosine, equilibrium_sd (the artifact has no linear head)" in reasons


def test_every_blank_of_the_table_is_among_them(artifact):
    counts = np.array([[100, 50, 20, 10, 2]])
    report = measure(replace(artifact, train_counts=counts, shot_thresholds=ShotThresholds(60, 5)), resamples=0)
    (sentence,) = blanks(report)
    parts = sentence.removeprefix("Not computed: ").removesuffix(".").split("); ")
    empty = [row for row in report.rows() if row.domain == "all" and row.weighting in ("balanced", "none")]
    empty = [(row.metric, row.group) for row in empty if np.isnan(row.estimate)]
    assert empty
    for metric, group in empty:
        names = (metric, f"{metric.partition('_')[0]}_...")
        assert any(any(name in part for name in names) and group in part for part in parts), (metric, group)


def test_long_lists_are_cut(artifact):
    many = replace(artifact, class_names=tuple(f"class {k}" for k in range(20)), logits=None, head_weight=None)
    said = blanks(measure(many, resamples=0))[0]
    names = ", ".join(f"class {k}" for k in range(5, 11))
    assert said == f"Left out: {names} and 9 more (no samples)."


@pytest.mark.parametrize(
    "command", [("measure", *QUICK), ("bound", "--resamples", "20"), ("compare", "--resamples", "20")]
)
def test_logits_of_another_classifier_are_told(tailgeom, artifact, tmp_path, command):
    swapped = replace(artifact, logits=artifact.logits[:, [1, 0, 2, 3, 4]])
    name, *options = command
    code, _, err = tailgeom(name, swapped.save(tmp_path / "x"), *options)
    assert code == 0, err
    assert err.startswith("The logits are not the scores of the head: ")
    assert tailgeom(name, artifact.save(tmp_path / "y"), *options)[2] == ""


@pytest.mark.parametrize(
    "command", [("measure", *QUICK), ("bound", "--resamples", "20"), ("compare", "--resamples", "20")]
)
def test_every_result_keeps_the_note(tailgeom, artifact, tmp_path, command):
    swapped = replace(artifact, logits=artifact.logits[:, [1, 0, 2, 3, 4]])
    name, *options = command
    found = json.loads(tailgeom(name, swapped.save(tmp_path / "x"), "--json", *options)[1])
    assert found["note"].startswith("The logits are not the scores of the head: ")
    assert "note" not in json.loads(tailgeom(name, artifact.save(tmp_path / "y"), "--json", *options)[1])
