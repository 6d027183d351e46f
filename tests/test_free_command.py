"""``tailgeom free``."""

import json

import pytest

from experiments.free import forms, study


def test_json_keys_and_agreement_with_the_program(tailgeom):
    code, out, err = tailgeom(
        "free", "--loss", "infonce", "--counts", "12,6,3", "--tau", "0.5", "--starts", "2", "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    code, out, _ = tailgeom("optimum", "--loss", "infonce", "--counts", "12,6,3", "--tau", "0.5", "--json")
    assert found["value"] == pytest.approx(json.loads(out)["value"], rel=1e-9)
    assert found["geometry"]["gram"][0][1] == pytest.approx(json.loads(out)["gram"][0][1], abs=1e-5)
    assert {"value", "stationarity", "agreeing", "verdict", "simplex_value", "errors", "program"} <= set(found)
    assert found["options"]["tau"] == 0.5


def test_table_and_files(tailgeom, tmp_path):
    words = ("free", "--loss", "ndcl", "--counts", "4,2,1", "--starts", "1", "--set", "radius=20", "aggregate=mean")
    code, out, err = tailgeom(*words, "--out", tmp_path)
    assert code == 0, err
    assert "stationarity" in out
    assert "lie at the bound 20" in out
    assert {file.name for file in tmp_path.iterdir()} == {"free.json", "free.csv", "free.tex"}
    assert json.loads((tmp_path / "free.json").read_text())["options"]["aggregate"] == "mean"


def test_study_writes_table_and_figure(tailgeom, tmp_path, monkeypatch):
    cell = study.Cell("SupCon", "", "supcon", {"tau": 0.5}, "long tail", (4, 3, 2))
    monkeypatch.setattr(study, "cells", lambda: (cell,))
    code, out, err = tailgeom("free", "--study", "--starts", "1", "--jobs", "1", "--out", tmp_path)
    assert code == 0, err
    assert out.startswith("Imbalanced. Never the simplex")
    assert {file.name for file in tmp_path.iterdir()} == {"table.csv", "table.md", "free.png", "free.pdf"}


def test_forms_write_table_and_figure(tailgeom, tmp_path, monkeypatch):
    options = {"tau": 0.5, "samples": "collapsed", "anchor_reduction": "sample"}
    cell = study.Cell("ECL", forms.WHOLE, "ecl", options, "3", (6, 3, 2))
    monkeypatch.setattr(forms, "forms", lambda: (cell,))
    code, out, err = tailgeom("free", "--forms", "--starts", "1", "--jobs", "1", "--out", tmp_path)
    assert code == 0, err
    assert "anchors averaged over samples: the simplex is not reached by ECL (cosines spread by " in out
    assert {file.name for file in tmp_path.iterdir()} == {"table.csv", "table.md", "figure.png", "figure.pdf"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--loss"),
        (("--loss", "bcl"), "--counts"),
        (("--loss", "nope", "--counts", "3,2"), "supcon"),
        (("--loss", "bcl", "--counts", "3,x"), "whole numbers"),
        (("--loss", "bcl", "--counts", "3,0"), "a sample"),
        (("--loss", "bcl", "--counts", "5"), "two classes"),
        (("--loss", "bcl", "--counts", "3,2", "--tau", "-1"), "tau"),
        (("--loss", "bcl", "--counts", "3,2", "--tau", "nan"), "tau"),
        (("--loss", "bcl", "--counts", "3,2", "--anchor-reduction", "both"), "anchor_reduction"),
        (("--loss", "ce", "--counts", "3,2", "--tau", "1"), "feature_energy"),
        (("--loss", "bcl", "--counts", "3,2", "--set", "share"), "name=value"),
        (("--loss", "bcl", "--counts", "3,2", "--dim", "0"), "dimension"),
        (("--loss", "bcl", "--counts", "3,2", "--starts", "0"), "--starts"),
        (("--loss", "bcl", "--counts", "2000,2"), "2000"),
        (("--study",), "--out"),
        (("--study", "--out", "somewhere", "--loss", "bcl"), "--study"),
        (("--forms",), "--out"),
        (("--forms", "--out", "somewhere", "--tau", "1"), "--forms"),
        (("--forms", "--out", "somewhere", "--anchor-reduction", "class"), "--forms"),
        (("--study", "--out", "somewhere", "--anchor-reduction", "class"), "--study"),
        (("--forms", "--study", "--out", "somewhere"), "both"),
        (("--loss", "fixclr", "--counts", "3,2", "--set", "domains=2.5"), "whole number"),
        (("--loss", "fixclr", "--counts", "3,2", "--set", "domains=nan"), "whole number"),
        (("--loss", "ecl", "--counts", "3,2", "--set", "prototypes=some"), "free or linear"),
        (("--loss", "ecl", "--counts", "3,2", "--set", "duality=much"), "number"),
    ],
)
def test_bad_input(tailgeom, words, said):
    code, out, err = tailgeom("free", *words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
