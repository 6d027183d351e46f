"""``tailgeom draw``: every kind of picture from the command line, what lies beside it, and bad input."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from geometry.thresholds import threshold

USAGE = 2
SMALL = {
    "grams": ("--classes", "4", "--ratios", "1,100", "--taus", "1,0.1", "--loss", "infonce,supcon"),
    "sphere": ("--frames", "3", "--classes", "3"),
    "thresholds": ("--points", "3", "--losses", "infonce,exp", "--negatives", "1,inf", "--taus", "1"),
}


@pytest.mark.parametrize("kind", SMALL)
def test_figure_tables_and_json(tailgeom, tmp_path, kind):
    code, out, err = tailgeom("draw", kind, *SMALL[kind], "--out", tmp_path, "--json")
    assert code == 0, err
    shown = json.loads(out)
    kinds = {"pdf", "png", "json", "csv", "tex"} | ({"gif"} if kind == "sphere" else set())
    assert {path.name for path in tmp_path.iterdir()} == {f"{kind}.{suffix}" for suffix in kinds}
    saved = json.loads((tmp_path / f"{kind}.json").read_text())
    assert saved == {name: value for name, value in shown.items() if name != "files"}
    assert all((tmp_path / path).exists() for path in shown["files"])


def test_without_json_the_files_are_named(tailgeom, tmp_path):
    code, out, _ = tailgeom("draw", "grams", "--classes", "3", "--ratios", "2", "--out", tmp_path)
    assert code == 0
    assert out.split() == [str(tmp_path / f"grams.{kind}") for kind in ("pdf", "png", "json", "csv", "tex")]


def test_grams_are_certified_optima(tailgeom, tmp_path):
    words = ("draw", "grams", *SMALL["grams"], "--tail", "step:1", "--out", tmp_path, "--json")
    result = json.loads(tailgeom(*words)[1])
    assert result["uncertified"] == 0
    assert len(result["optima"]) == 8
    for entry in result["optima"]:
        assert entry["certified"]
        gram = np.array(entry["gram"])
        if entry["ratio"] == 1:
            np.testing.assert_allclose(gram[~np.eye(4, dtype=bool)], -1 / 3, atol=1e-6)
        reached = threshold(1, 3, loss=entry["loss"], tau=entry["tau"]).r_star < entry["ratio"]
        assert (entry["distinct"] < 4) == reached


def test_what_is_not_certified_is_left_out_and_counted(tailgeom, tmp_path, monkeypatch):
    from geometry import optimum

    solve = optimum.solve

    def fails_beyond(proportions, **settings):
        if max(proportions) > 0.9:
            raise optimum.UncertifiedError("no")
        return solve(proportions, **settings)

    monkeypatch.setattr(optimum, "solve", fails_beyond)
    words = ("draw", "grams", "--classes", "3", "--ratios", "1,100", "--out", tmp_path, "--json")
    assert json.loads(tailgeom(*words)[1])["uncertified"] == 1
    words = ("draw", "sphere", "--frames", "4", "--out", tmp_path, "--json")
    result = json.loads(tailgeom(*words)[1])
    assert result["uncertified"] > 0
    assert all(max(entry["proportions"]) <= 0.9 for entry in result["optima"])
    with Image.open(tmp_path / "sphere.gif") as image:
        assert 1 < image.n_frames < 4
    code, _, err = tailgeom("draw", "grams", "--classes", "3", "--ratios", "100,200", "--out", tmp_path)
    assert code == 1
    assert "certified" in err


@pytest.mark.parametrize("classes", [3, 4])
def test_the_sphere_goes_from_the_simplex_to_collapse(tailgeom, tmp_path, classes):
    words = ("draw", "sphere", "--classes", classes, "--frames", "3", "--out", tmp_path, "--json")
    code, out, err = tailgeom(*words)
    assert code == 0, err
    result = json.loads(out)
    exact = threshold(1, classes - 1).r_star
    assert result["collapse"] == pytest.approx(exact)
    first, last = result["optima"][0], result["optima"][-1]
    np.testing.assert_allclose(np.array(first["gram"])[0, 1:], -1 / (classes - 1), atol=1e-9)
    assert last["distinct"] == 2
    assert last["ratio"] == pytest.approx(4 * exact)
    assert result["strip"][0] == 1
    assert result["strip"][3] == pytest.approx(exact)
    for entry in (first, last):
        vectors = np.array(entry["vectors"])
        np.testing.assert_allclose(vectors @ vectors.T, entry["gram"], atol=1e-6)
    with Image.open(tmp_path / "sphere.gif") as image:
        assert image.n_frames == 3
    with (tmp_path / "sphere.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result["optima"])
    assert float(rows[-1]["cos AB"]) == pytest.approx(-1, abs=1e-6)


def test_still_leaves_out_the_animation_and_a_path_may_end_before_collapse(tailgeom, tmp_path):
    words = ("draw", "sphere", "--tail", "exponential", "--largest", "5", "--frames", "2", "--still", "--out", tmp_path)
    assert tailgeom(*words)[0] == 0
    assert not (tmp_path / "sphere.gif").exists()
    result = json.loads((tmp_path / "sphere.json").read_text())
    assert max(entry["ratio"] for entry in result["optima"]) == 5
    assert result["collapse"] > 5


def test_thresholds_are_those_of_the_theory_and_say_never(tailgeom, tmp_path):
    words = ("draw", "thresholds", "--majority", "3", "--minority", "3", "--points", "2", "--losses", "infonce")
    words = (*words, "--taus", "1", "--negatives", "inf", "--highest-tau", "20", "--out", tmp_path, "--json")
    code, out, err = tailgeom(*words)
    assert code == 0, err
    points = json.loads(out)["points"]
    found = {(point["tau"], point["negatives"]): point["r_star"] for point in points if point["loss"] == "infonce"}
    assert found[0.1, "inf"] == "never"
    assert found[20.0, "inf"] == pytest.approx(threshold(3, 3, tau=20.0).r_star)


def test_asymptotes_meet_the_thresholds_at_low_temperature():
    from experiments.cli.draw_thresholds import Curve, Thresholds

    command = Thresholds(minority=9, asymptotes=True)
    for loss, negatives in (
        ("infonce", 1),
        ("infonce", None),
        ("plain", 1),
        ("plain", None),
        ("lme", None),
        ("exp", 7),
    ):
        (value,) = command.asymptote(Curve("", "", [(loss, 0.04, negatives)]))
        assert value == pytest.approx(command.threshold(loss, 0.04, negatives).r_star, rel=1e-4)
    (value,) = command.asymptote(Curve("", "", [("supcon", 0.04, None)]))
    assert value == pytest.approx(command.threshold("supcon", 0.04, None).r_star, rel=1e-4)
    assert command.asymptote(Curve("", "", [("infonce", 0.04, 16)])) == []
    assert Thresholds(majority=2).asymptote(Curve("", "", [("exp", 0.04, None)])) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("grams", "--ratios", "1,x"), "--ratios"),
        (("grams", "--ratios", "0.5"), "at least 1"),
        (("grams", "--taus", "0"), "--taus"),
        (("grams", "--taus", ","), "--taus"),
        (("grams", "--classes", "1"), "two classes"),
        (("grams", "--tail", "long"), "exponential, power"),
        (("grams", "--tail", "step:10"), "step:A"),
        (("grams", "--loss", "nope"), "infonce"),
        (("grams", "--negatives", "0"), "--negatives"),
        (("sphere", "--classes", "5"), "3 or 4"),
        (("sphere", "--frames", "1"), "--frames"),
        (("sphere", "--largest", "1"), "--largest"),
        (("sphere", "--tau=-1",), "temperature"),
        (("sphere", "--tail", "step:0"), "step:A"),
        (("thresholds", "--minority", "1"), "two minority"),
        (("thresholds", "--majority", "0"), "majority"),
        (("thresholds", "--losses", "nope"), "supcon"),
        (("thresholds", "--losses", ","), "--losses"),
        (("thresholds", "--points", "1"), "--points"),
        (("thresholds", "--lowest-tau", "2", "--highest-tau", "1"), "below"),
        (("thresholds", "--negatives", "1,two"), "--negatives"),
        (("thresholds", "--at-tau", "0"), "--at-tau"),
        (("picture",), "--help"),
        ((), "--help"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(tailgeom, tmp_path, words, said):
    out = ("--out", tmp_path) if len(words) > 1 else ()
    code, _, err = tailgeom("draw", *words, *out)
    assert code == USAGE, err
    assert err.startswith("tailgeom: ")
    assert err.count("\n") == 1
    assert said in err
    assert not list(tmp_path.iterdir())
