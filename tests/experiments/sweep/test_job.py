"""One job, in this process: numbers that can be computed by hand from what it keeps, errors that are kept."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from experiments.extraction import extract_run
from experiments.sweep.job import run_job
from experiments.sweep.plan import plan
from experiments.sweep.shared_features import mapped_features, shared
from experiments.sweep.spec import parse_spec
from experiments.sweep.status import DONE, FAILED, MISSING, outcome
from experiments.task import open_task


@pytest.fixture
def job(given):
    return plan(parse_spec(given | {"keep": ["checkpoint", "logits", "splits"]}))[0]


def test_metrics_are_those_of_the_selected_checkpoint(job, tmp_path):
    assert outcome(job, tmp_path).state == MISSING
    assert run_job(job, tmp_path) is None
    found = outcome(job, tmp_path)
    assert found.state == DONE
    arrays = load_file(tmp_path / job.name / "logits.safetensors")
    artifact = extract_run(tmp_path / job.name, device="cpu")
    task = open_task(job.config)
    assert found.numbers["data"] == task.digest()
    for part in ("validation", "target", "source_test"):
        logits, labels, index = (arrays[f"{name}/{part}"] for name in ("logits", "labels", "index"))
        chosen = artifact.select(part)
        np.testing.assert_array_equal(index, task.indices(part))
        np.testing.assert_array_equal(labels, chosen.labels)
        np.testing.assert_allclose(logits, chosen.logits, rtol=1e-5, atol=1e-6)
        right = logits.argmax(axis=1) == labels
        by_class = [right[labels == k].mean() for k in range(3)]
        numbers = found.numbers["parts"][part]
        assert numbers["accuracy"] == pytest.approx(right.mean())
        assert numbers["balanced_accuracy"] == pytest.approx(np.mean(by_class))
        assert numbers["worst_class"] == pytest.approx(min(by_class))
        assert 0 <= numbers["ece"] <= 1
    assert found.numbers["seconds"] > 0
    assert found.numbers["peak_memory_mb"] > 10
    assert not (tmp_path / job.name / "log.txt").exists()


def test_only_what_is_asked_for_is_kept_and_lost_numbers_are_made_again(given, tmp_path):
    job = plan(parse_spec(given | {"keep": []}))[0]
    assert run_job(job, tmp_path) is None
    numbers = outcome(job, tmp_path).numbers
    names = {path.name for path in (tmp_path / job.name).iterdir()}
    assert {"evaluation.json", "config.yaml", "metrics.jsonl", "manifest.json", "done"} <= names
    assert not names & {"checkpoint", "logits.safetensors", "splits.csv"}
    (tmp_path / job.name / "evaluation.json").unlink()
    assert run_job(job, tmp_path) is None
    assert outcome(job, tmp_path).numbers["parts"] == numbers["parts"]


def test_a_run_that_was_only_evaluated_again_claims_no_time(job, tmp_path):
    run_job(job, tmp_path)
    (tmp_path / job.name / "evaluation.json").unlink()
    run_job(job, tmp_path)
    assert outcome(job, tmp_path).numbers["seconds"] is None


def test_numbers_of_another_run_or_half_a_file_do_not_count(job, tmp_path):
    run_job(job, tmp_path)
    file = tmp_path / job.name / "evaluation.json"
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2])
    assert outcome(job, tmp_path).state == MISSING
    file.write_text(json.dumps(json.loads(whole) | {"digest": "another"}))
    assert outcome(job, tmp_path).state == MISSING


def test_a_job_that_fails_keeps_its_error_and_its_log(given, tmp_path, capfd):
    given["datasets"][0]["validation"] = 30  # all a cell has
    job = plan(parse_spec(given))[0]
    error = run_job(job, tmp_path)
    assert outcome(job, tmp_path).state == FAILED
    assert outcome(job, tmp_path).error == error
    assert "'ant'" in error
    assert "\n" not in error
    assert "Traceback" in (tmp_path / job.name / "log.txt").read_text()
    assert capfd.readouterr() == ("", "")


def test_what_is_printed_after_a_job_goes_where_it_went_before(job, tmp_path, capfd):
    run_job(job, tmp_path)
    print("seen")
    assert capfd.readouterr().out == "seen\n"


def test_features_are_mapped_and_shared(job, features):
    task = open_task(job.config)
    mapped = mapped_features(features)
    np.testing.assert_array_equal(mapped, task.inputs.features.numpy())
    first = shared(features, task.inputs)
    assert shared(features, open_task(job.config).inputs) is first
    assert first.digest() == task.inputs.digest()
    assert mapped_features(features / "nothing") is None


def test_features_in_another_order_are_not_taken_for_the_same(job, features):
    inputs = open_task(job.config).inputs
    turned = type(inputs)(inputs.features.numpy()[::-1])
    assert shared(features, turned) is turned
    assert shared(features, inputs).digest() == inputs.digest()
