import json

import pytest

from experiments.cli import main

KEYS = {"gram", "value", "rank", "distinct", "method", "relative_gap", "certified", "seconds"}


def run(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--loss", "supcon", "--tau", 0.1),
        ("--loss", "infonce", "--negatives", 16, "--q", "plain"),
        ("--loss", "lme", "--negatives", "inf", "--collisions"),
        ("--loss", "hinge", "--margin", 1.7),
        ("--loss", "hardest", "--margin", 1.7),
        *(("--method", method) for method in ("auto", "conic", "reduced", "factor", "burer-monteiro")),
    ],
    ids=str,
)
def test_optimum_takes_every_loss_and_method(capsys, words):
    code, out, _ = run(capsys, "optimum", "--counts", "9,9,4,2", "--json", *words)
    found = json.loads(out)
    assert code == 0
    assert set(found) >= KEYS
    assert found["certified"] is True
    assert found["relative_gap"] < 1e-6
    if words[:1] == ("--method",) and words[1] != "auto":
        assert found["method"] == words[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--negatives", "many"), "whole number of at least 1, or inf"),
        (("--negatives", "2.5"), "whole number"),
        (("--negatives", "nan"), "whole number"),
        (("--q", "heavy"), "positive number, or plain"),
        (("--q", "plain"), "needs a number of negatives"),
        (("--loss", "hinge", "--margin", "-1"), "positive margin"),
        (("--method", "sdp"), "Unknown method"),
        (("--rank", "0"), "--rank of at least 1"),
        (("--rank", "1", "--starts", "0"), "--starts of at least 1"),
        (("--rank", "1", "--seed", "-1"), "--seed of 0 or more"),
        (("--rank", "1", "--method", "conic"), "--method conic solves the convex program"),
        (("--rank", "1", "--loss", "hinge"), "has kinks"),
    ],
    ids=str,
)
def test_optimum_says_what_is_wrong(capsys, words, message):
    code, out, err = run(capsys, "optimum", "--counts", "9,4,2", *words)
    assert (code, out) == (2, "")
    assert message in err


def test_optimum_in_fewer_dimensions(capsys, tmp_path):
    words = ("optimum", "--counts", "9,5,3,2,1", "--tau", 0.2, "--rank", 2, "--starts", 6, "--seed", 1)
    code, out, _ = run(capsys, *words, "--json", "--out", tmp_path)
    found = json.loads(out)
    assert code == 0
    assert set(found) >= KEYS | {"lower_bound", "starts", "reached", "second_order", "convex_rank", "dimension"}
    assert (found["certified"], found["method"], found["rank"], found["starts"]) == (False, "low-rank", 2, 6)
    assert found["value"] > found["lower_bound"]
    saved = json.loads((tmp_path / "optimum.json").read_text())
    assert saved["gram"] == found["gram"]
    _, out, _ = run(capsys, *words)
    assert "not certified: below rank 4 the program is not convex" in " ".join(out.split())
    assert "Best class means found in 2 dimensions" in out
    _, out, _ = run(capsys, "optimum", "--counts", "9,5,3,2,1", "--rank", 4, "--json")
    assert json.loads(out)["certified"] is True


def test_unresolved_angles_are_told(capsys):
    _, out, _ = run(capsys, "optimum", "--counts", "1000000000000,1000000000000,1,1,1", "--loss", "linear")
    assert "angles of 3 classes are not resolved" in out
    _, out, _ = run(capsys, "optimum", "--counts", "1000000000000,1000000000000,1,1,1", "--json")
    found = json.loads(out)
    assert (found["unresolved"], found["distinct"]) == (0, 3)


def test_threshold_in_json(capsys):
    code, out, _ = run(capsys, "threshold", "--majority", 1, "--minority", 9, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["r_star"] == pytest.approx(24.9275, abs=5e-5)
    assert found["limit_cosine"] == 1.0
    _, out, _ = run(capsys, "threshold", "--majority", 3, "--minority", 3, "--json")
    never = json.loads(out)
    assert never["r_star"] is None
    assert never["reason"].startswith("never")
    assert never["limit_cosine"] == pytest.approx(0.56617, abs=1e-5)


def test_threshold_for_people_and_files(capsys, tmp_path):
    code, out, _ = run(capsys, "threshold", "--majority", 2, "--minority", 3, "--out", tmp_path)
    assert code == 0
    assert "36.73" in out
    assert json.loads((tmp_path / "threshold.json").read_text())["r_star"] == pytest.approx(36.7264, abs=5e-5)
    code, _, err = run(capsys, "threshold", "--majority", 2, "--minority", 1)
    assert code == 2
    assert "two minority classes" in err
