"""``tailgeom threshold``: contrastive losses beside cross-entropy, for people and for programs."""

import json

import pytest

from geometry.thresholds import critical_temperature, layer_peeled_threshold, ridge_threshold, threshold


def test_json_holds_all_four(tailgeom):
    code, out, err = tailgeom("threshold", "--majority", 3, "--minority", 4, "--tau", 0.5, "--json")
    assert code == 0, err
    found = json.loads(out)
    expected = threshold(3, 4, tau=0.5)
    assert found["r_star"] is None
    assert found["reason"] == expected.reason
    assert found["limit_cosine"] == expected.limit_cosine
    assert found["critical_temperature"]["tau_c"] == critical_temperature(3).tau_c
    assert found["layer_peeled"]["r_star"] == layer_peeled_threshold(3, 4).r_star
    assert found["ridge"]["r_star"] == ridge_threshold(3, 4).r_star


def test_cross_entropy_always_collapses_and_the_table_says_so(tailgeom):
    code, out, err = tailgeom("threshold", "--majority", 3, "--minority", 3, "--tau", 0.5)
    assert code == 0, err
    assert "never" in out
    assert "23.98" in out
    assert "tau 0.5" in out
    assert "only at temperatures from 11.06 on" in out
    assert "100 samples of each minority class" in out


def test_settings_reach_the_models(tailgeom):
    words = ["--loss", "hinge", "--margin", 1.6, "--e-h", 2, "--e-w", 2, "--lambda-w", 1e-3, "--lambda-h", 1e-3]
    code, out, err = tailgeom("threshold", "--majority", 2, "--minority", 3, *words, "--samples", 1000, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["r_star"] == threshold(2, 3, loss="hinge", margin=1.6).r_star
    assert found["layer_peeled"]["r_star"] == layer_peeled_threshold(2, 3, 2.0, 2.0).r_star
    assert found["ridge"]["r_star"] == ridge_threshold(2, 3, lambda_w=1e-3, lambda_h=1e-3, samples=1000).r_star


def test_a_threshold_beyond_numbers_is_printed(tailgeom):
    code, out, err = tailgeom("threshold", "--majority", 1, "--minority", 1000)
    assert code == 0, err
    assert "1e969" in out


def test_files(tailgeom, tmp_path):
    code, _, err = tailgeom("threshold", "--majority", 1, "--minority", 9, "--out", tmp_path)
    assert code == 0, err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["threshold.csv", "threshold.json", "threshold.tex"]
    assert json.loads((tmp_path / "threshold.json").read_text())["r_star"] == threshold(1, 9).r_star
    assert len((tmp_path / "threshold.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--majority", 0, "--minority", 3], "at least one majority"),
        (["--majority", 1, "--minority", 3, "--loss", "nonsense"], "Unknown loss"),
        (["--majority", 1, "--minority", 3, "--tau", 0], "positive temperature"),
        (["--majority", 1, "--minority", 3, "--e-h", -1], "positive norms"),
        (["--majority", 1, "--minority", 3, "--lambda-w", 0], "positive decays"),
        (["--majority", 1, "--minority", 3, "--samples", 9, "--minority-samples", 3], "got both"),
        (["--majority", 1, "--minority", 3, "--negatives", 0], "whole number"),
    ],
)
def test_bad_input_is_one_sentence(tailgeom, words, match):
    code, out, err = tailgeom("threshold", *words)
    assert code == 2
    assert out == ""
    assert match in err
    assert len(err.strip().splitlines()) == 1
