"""``tailgeom check``: what could not be run is told, a required check decides, several runs are paired."""

import csv
import json
import shutil
from types import SimpleNamespace

import pytest
import yaml

from experiments.cli.check_study import ALL_MODELS, COUNT_HEADER, counted

NEEDS_SEVERAL = "minority_gain"


@pytest.fixture
def two(trained, tmp_path):
    """The same run twice: paired, and without any difference."""
    for name in ("first", "second"):
        shutil.copytree(trained, tmp_path / name)
    return [tmp_path / name for name in ("first", "second")]


def test_all_names_what_each_check_needs(tailgeom, trained):
    code, brief, _ = tailgeom("check", trained, "--resamples", "20")
    assert code == 0
    assert "--all says what each needs" in brief
    assert "not run" not in brief
    _, full, _ = tailgeom("check", trained, "--resamples", "20", "--all")
    assert "not run: hard_negatives" in full
    assert "extract with the probe hard_negatives" in full


def test_one_check_alone_and_its_figures(tailgeom, trained, tmp_path):
    code, out, _ = tailgeom(
        "check", trained, "--checks", "margin_scaling", "--resamples", "20", "--out", tmp_path, "--json"
    )
    assert code == 0
    assert {v["check"] for v in json.loads(out)["verdicts"]} == {"margin_scaling"}
    assert (tmp_path / "margin_scaling.pdf").exists()
    with (tmp_path / "check.csv").open() as file:
        assert {"claim", "source", "verdict", "estimate", "low", "high", "n"} <= set(next(csv.reader(file)))


def test_several_runs_are_judged_together_and_kept(tailgeom, two, tmp_path):
    words = ("check", *two, "--checks", "confidence_boundary", NEEDS_SEVERAL, "--resamples", "20", "--jobs", "1")
    code, out, err = tailgeom(*words, "--json", "--out", tmp_path / "out")
    assert code == 0, err
    found = json.loads(out)
    assert found["runs"] == 2
    assert {v["verdict"] for v in found["across_runs"]} == {"undecided"}
    counted = {row["subject"]: row for row in found["single_runs"]}
    assert counted["feature space"]["runs"] == 2
    assert (tmp_path / "out" / "verdict_matrix.png").exists()
    with (tmp_path / "out" / "check_study_counts.csv").open() as file:
        assert [row["runs"] for row in csv.DictReader(file) if row["subject"] == "feature space"] == ["2"]
    before = [(run / "results" / "check_study.json").stat().st_mtime_ns for run in two]
    assert tailgeom(*words)[0] == 0
    assert [(run / "results" / "check_study.json").stat().st_mtime_ns for run in two] == before  # used again
    code, _, err = tailgeom(*words, "--require", NEEDS_SEVERAL, "confidence_boundary")
    assert code == 1
    assert f"Required check {NEEDS_SEVERAL} was not run" in err
    code, _, err = tailgeom("check", *two, "--require", "hard_negatives", "--resamples", "20", "--jobs", "1")
    assert code == 1
    assert "Required check hard_negatives was not run (no run has what it needs" in err


def test_verdicts_are_counted_by_setting_and_model_and_over_all_models():
    def run(setting):
        return SimpleNamespace(place=SimpleNamespace(dataset="pacs", setting=setting))

    def said(verdict, number, check="simplex"):
        return {"check": check, "subject": "means", "verdict": verdict, "estimate": {"estimate": number}}

    single = [
        (run("heavy"), "erm", [said("holds", 1.0), said("undecided", None, "margins")]),
        (run("heavy"), "erm", [said("does not hold", 3.0)]),
        (run("heavy"), "ndcl", [said("holds", 5.0)]),
        (run("balanced"), "erm", [said("undecided", 7.0)]),
    ]
    rows = [tuple(row[name] for name in COUNT_HEADER) for row in counted(single)]
    assert rows == [
        ("pacs", "heavy", "erm", "simplex", "means", 1, 0, 1, 2.0, 2),
        ("pacs", "heavy", "erm", "margins", "means", 0, 1, 0, None, 1),
        ("pacs", "heavy", "ndcl", "simplex", "means", 1, 0, 0, 5.0, 1),
        ("pacs", "balanced", "erm", "simplex", "means", 0, 1, 0, 7.0, 1),
        ("pacs", "heavy", ALL_MODELS, "simplex", "means", 2, 0, 1, 3.0, 3),
        ("pacs", "heavy", ALL_MODELS, "margins", "means", 0, 1, 0, None, 1),
        ("pacs", "balanced", ALL_MODELS, "simplex", "means", 0, 1, 0, 7.0, 1),
    ]
    assert all(row["model"] == "erm" for row in counted(single[:2]))


def test_a_required_check_that_fails_is_explained(tailgeom, trained):
    code, out, err = tailgeom("check", trained, "--require", "hard_negatives", "--resamples", "20", "--json")
    assert code == 1
    assert json.loads(out)["verdicts"]  # the result is printed all the same
    assert len(err.splitlines()) == 1
    assert err.startswith("Required check hard_negatives was not run (")
    assert "extract with the probe hard_negatives" in err


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        ([("holds", "", True)], ""),
        ([("does not hold", "", True)], "Required check bound does not hold.\n"),
        ([("undecided", "too few samples.", True)], "Required check bound is undecided (too few samples).\n"),
        ([("undecided", "no probe", False)], "Required check bound was not run (no probe).\n"),
        ([("holds", "", True), ("does not hold", "", True)], "does not hold in 1 of 2 verdicts.\n"),
        ([], "Required check bound was not run.\n"),
    ],
)
def test_one_line_for_every_required_check(capsys, verdicts, said):
    from experiments.cli.check import complain

    assert complain({"bound": verdicts}) == int(bool(said))
    assert capsys.readouterr().err.endswith(said)


def test_a_single_pair_has_no_gain_to_draw_and_is_still_saved(tailgeom, two, tmp_path):
    changed = two[1] / "artifact" / "manifest.json"
    manifest = json.loads(changed.read_text())
    manifest["provenance"]["run"]["optim"] |= {"algorithm": "erm", "options": {}}
    changed.write_text(json.dumps(manifest))
    config = yaml.safe_load((two[1] / "config.yaml").read_text())
    config["optim"] |= {"algorithm": "erm", "options": {}}
    (two[1] / "config.yaml").write_text(yaml.safe_dump(config))
    checks = ("--checks", "margin_scaling", "margin_remedy", NEEDS_SEVERAL)
    code, out, err = tailgeom(
        "check", *two, *checks, "--resamples", "20", "--jobs", "1", "--json", "--out", tmp_path / "out"
    )
    assert code == 0, err
    gains = [v["details"]["gain"] for v in json.loads(out)["across_runs"] if "gain" in v["details"]]
    assert gains
    assert all(gain["interval"]["estimate"] is None for gain in gains)
    assert not (tmp_path / "out" / "margin_remedy.png").exists()
    assert (tmp_path / "out" / "verdict_matrix.png").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--checks", "gravity"), "Unknown check 'gravity' after --checks; known: confidence_boundary"),
        (("--require", "gravity"), "Unknown check 'gravity' after --require"),
        (("--checks", NEEDS_SEVERAL), "Expected several runs, or a sweep, for minority_gain"),
        (("--checks", "margin_scaling", "--require", "gradient_share"), "Expected --checks to name gradient_share"),
        (("--jobs", "-1"), "Expected --jobs of 0"),
    ],
)
def test_bad_requests_in_one_sentence(tailgeom, trained, words, sentence):
    code, out, err = tailgeom("check", trained, *words)
    assert code == 2
    assert not out
    assert sentence in err
    assert "Traceback" not in err
