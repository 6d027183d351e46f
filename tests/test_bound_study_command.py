"""``tailgeom bound`` over a sweep: every run's terms, which of them predict, what is left out and refused."""

import csv
import json
import shutil

import numpy as np
import pytest
import yaml

from experiments.composition import compose_run
from experiments.extraction import extract_run
from tests.toy_features import save_toy_features

USAGE, DATA = 2, 3
QUICK = ("--resamples", "20", "--jobs", "1")


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Whole features of three domains and three classes, 40 samples a cell, not split."""
    return save_toy_features(tmp_path_factory.mktemp("features") / "all", cell=40, dimension=8)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, features):
    """A finished sweep of eight heads: two held-out domains, four algorithms; checkpoints are kept."""
    from experiments.cli import main

    folder = tmp_path_factory.mktemp("sweep")
    train = {"steps": 20, "batch_size": 4, "lr": 0.01, "checkpoint_every": 10, "log_every": 10, "device": "cpu"}
    data = {"dataset": "small", "features": str(features), "held_out": ["day", "night"], "validation": 3}
    data |= {"settings": [{"setting": "exponential", "setting_options": {"ratio": 5}}]}
    algorithms = ["erm", "ldam", "mixup", "balanced_softmax"]
    spec = {"datasets": [data], "algorithms": algorithms, "seeds": 1, "train": train, "keep": ["checkpoint"]}
    (folder / "grid.yaml").write_text(yaml.safe_dump(spec))
    assert main(["sweep", str(folder / "grid.yaml"), "--out", str(folder / "out"), "--jobs", "1"]) == 0
    return folder / "out"


def table(path):
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def test_a_composed_artifact_is_the_extracted_one_without_probes(sweep):
    run = sorted((sweep / "runs").iterdir())[0]
    composed, extracted = compose_run(run), extract_run(run, device="cpu")
    for name in ("features", "labels", "domains", "split", "head_weight", "head_bias", "train_counts"):
        assert np.array_equal(getattr(composed, name), getattr(extracted, name)), name
    assert composed.logits == pytest.approx(extracted.logits, abs=1e-5)
    assert (composed.held_out, composed.shots) == (extracted.held_out, extracted.shots)
    assert not composed.probes


def test_a_sweep_becomes_a_table_a_figure_and_an_answer(tailgeom, sweep, tmp_path):
    code, out, err = tailgeom("bound", sweep, *QUICK, "--out", tmp_path)
    assert code == 0, err
    assert "terms that need no target labels" in out
    assert "2 clusters (held-out domain)" in out
    correlations = table(tmp_path / "bound_study.csv")
    assert {row["outcome"] for row in correlations} == {"target error", "balanced target error"}
    oracle = next(row for row in correlations if row["term"] == "risk, target" and row["outcome"] == "target error")
    assert (oracle["needs"], float(oracle["within"])) == ("target labels", 1.0)
    rows = table(tmp_path / "bound_study_runs.csv")
    terms = {row["term"] for row in rows}
    assert len(rows) == 8 * len(terms)
    assert {"balanced risk, sources", "sum of the paper's shape", "Theorem C (soft error + hull), sources"} <= terms
    assert (tmp_path / "bound_study.tex").exists()
    assert (tmp_path / "bound_study.png").exists()
    # The target risk of the study is the error that the sweep's own evaluation counted.
    errors = {row["path"]: float(row["value"]) for row in rows if row["term"] == "risk, target"}
    for path, error in errors.items():
        target = json.loads((sweep / "runs" / path.split("/")[-1] / "evaluation.json").read_text())["parts"]["target"]
        assert error == pytest.approx(1 - target["accuracy"], abs=1e-9)


def test_a_second_call_and_an_interrupted_one_make_only_what_is_missing(tailgeom, sweep, tmp_path, monkeypatch):
    from geometry import bound

    copy = tmp_path / "copy"
    shutil.copytree(sweep, copy, ignore=shutil.ignore_patterns("results"))
    code, first, err = tailgeom("bound", copy, *QUICK, "--json")
    assert code == 0, err
    made = []
    estimate = bound.estimate
    monkeypatch.setattr(bound, "estimate", lambda artifact, **options: made.append(1) or estimate(artifact, **options))
    assert tailgeom("bound", copy, *QUICK, "--json")[1] == first
    assert not made
    runs = sorted((copy / "runs").iterdir())
    (runs[0] / "results" / "bound_columns.json").unlink()
    shutil.rmtree(runs[1] / "results")
    (runs[2] / "results" / "bound_columns.json").write_text("{")
    assert tailgeom("bound", copy, *QUICK, "--json")[1] == first
    assert len(made) == 1  # of the others, the whole report was still there
    assert tailgeom("bound", *runs[:2], *QUICK, "--seed", "1", "--json")[0] == 0
    assert len(made) == 3  # other settings, other numbers


def test_runs_share_what_reads_no_head(tailgeom, sweep, tmp_path, monkeypatch):
    from geometry import bound

    copy, made = tmp_path / "copy", []
    shutil.copytree(sweep, copy, ignore=shutil.ignore_patterns("results"))
    terms = bound.feature_terms
    monkeypatch.setattr(
        bound, "feature_terms", lambda artifact, **options: made.append(1) or terms(artifact, **options)
    )
    assert tailgeom("bound", copy, *QUICK)[0] == 0
    assert len(made) == 2  # held-out domains


def test_unfinished_runs_are_counted_and_a_single_run_is_refused(tailgeom, sweep, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(sweep / "runs", copy)
    runs = sorted(copy.iterdir())
    (runs[0] / "done").unlink()
    shutil.rmtree(runs[1] / "checkpoint")
    code, out, err = tailgeom("bound", *runs, *QUICK)
    assert code == 0, err
    assert "Left out: 1 not finished, 1 without checkpoint and artifact." in out
    code, _, err = tailgeom("bound", runs[0], runs[2], *QUICK)
    assert code == DATA
    assert "two finished runs or more for a study, found 1: 1 not finished." in err


def test_runs_of_other_classes_and_bad_options_are_one_sentence(tailgeom, sweep, tmp_path):
    shutil.copytree(sweep / "runs", tmp_path / "runs")
    runs = sorted((tmp_path / "runs").iterdir())[:2]
    assert tailgeom("bound", *runs, *QUICK)[0] == 0
    kept = runs[0] / "results" / "bound_columns.json"
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"classes": ["ant", "bee", "dog"]}))
    code, _, err = tailgeom("bound", *runs, *QUICK)
    assert code == DATA
    assert "same classes" in err
    assert tailgeom("bound", *runs, "--clusters", "runs")[0] == USAGE
    assert tailgeom("bound", *runs, "--jobs", "-1")[0] == USAGE
    code, _, err = tailgeom("bound", tmp_path / "none", runs[0])
    assert code == DATA
    assert err.count("\n") == 1
