"""``tailgeom phase``: what it writes, that it remembers, and what it refuses."""

import csv
import json
import os
import subprocess
import sys

import pytest

from experiments import phase_cells
from geometry import phase

SMALL = ("--ratios", "1:1000:4", "--taus", ".5,1", "--jobs", "1")
FILES = {
    "phase.json",
    "phase.csv",
    "phase.pdf",
    "phase.png",
    *(f"phase_curve.{kind}" for kind in ("json", "csv", "tex")),
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TAILGEOM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "phase"


@pytest.fixture
def solved(monkeypatch):
    """The arguments of every cell and curve that is computed."""
    calls = []

    def counting(function):
        def counted(*args, **settings):
            calls.append(settings)
            return function(*args, **settings)

        return counted

    for function in (phase.phase_cell, phase.phase_curve):
        monkeypatch.setattr(phase, function.__name__, counting(function))
    return calls


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("words", "columns", "value"),
    [
        (SMALL, [0.5, 1.0], 24.92753),
        (("--against", "negatives", "--ratios", "1:1000:4", "--ks", "1,inf", "--jobs", "1"), [1, "inf"], 24.92753),
        (("--against", "majority", "--majorities", "2:3", "--taus", "1,20", "--jobs", "1"), [2, 3], 11.06306),
    ],
    ids=["tau", "negatives", "majority"],
)
def test_json_and_nothing_else(tailgeom, cache, words, columns, value):
    code, out, err = tailgeom("phase", *words, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["columns"] == columns
    assert len(found["minority_cosine"]) == len(found["rank"]) == len(found["rows"])
    assert found["curve"][-1]["value"] == pytest.approx(value, rel=1e-6)
    assert (found["disagreements"], found["uncertified"]) == (0, [])
    assert found["largest_relative_gap"] < 1e-9


def test_a_second_run_solves_nothing_and_gives_the_same_bytes(tailgeom, cache, solved, tmp_path):
    code, out, _ = tailgeom("phase", *SMALL, "--out", tmp_path / "a")
    assert code == 0
    assert "8 cells: 4 collapsed, 0 without a certificate, 0 on the other side" in out
    assert len(solved) == 8 + 2
    solved.clear()
    assert tailgeom("phase", *SMALL, "--out", tmp_path / "b")[:2] == (0, out)
    assert solved == []
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a").keys() == FILES
    rows = list(csv.DictReader((tmp_path / "a" / "phase.csv").read_text().splitlines()))
    assert len(rows) == 8
    assert {row["negatives"] for row in rows} == {"inf"}
    assert {row["collapsed"] for row in rows if float(row["minority_cosine"]) == 1.0} == {"True"}


def test_an_interrupted_map_goes_on_where_it_stopped(tailgeom, cache, solved, monkeypatch):
    counted, most = phase.phase_cell, 5

    def interrupted(*args, **settings):
        if len(solved) == most:
            raise KeyboardInterrupt
        return counted(*args, **settings)

    monkeypatch.setattr(phase, "phase_cell", interrupted)
    assert tailgeom("phase", *SMALL, "--json")[0] == 130
    assert len(list(cache.iterdir())) == most
    monkeypatch.setattr(phase, "phase_cell", counted)
    assert tailgeom("phase", *SMALL, "--json")[0] == 0
    assert len(solved) == 8 + 2


@pytest.mark.parametrize("damage", [b"", b"{", b"00\n[1, 2]\n", "0.5"], ids=str)
def test_a_damaged_cell_is_computed_again(tailgeom, cache, solved, damage):
    _, before, _ = tailgeom("phase", *SMALL, "--json")
    solved.clear()
    first = sorted(cache.iterdir())[0]
    whole = first.read_bytes()
    first.write_bytes(whole.replace(b"0.5", b"0.6").replace(b"1.0", b"1.1") if damage == "0.5" else damage)
    assert first.read_bytes() != whole
    assert tailgeom("phase", *SMALL, "--json")[1] == before
    assert len(solved) == 1
    assert first.read_bytes() == whole


def test_other_settings_and_other_code_share_nothing(tailgeom, cache, solved, monkeypatch):
    tailgeom("phase", *SMALL, "--json")
    solved.clear()
    tailgeom("phase", *SMALL, "--json", "--loss", "exp")
    assert len(solved) == 10
    solved.clear()
    monkeypatch.setattr(phase_cells, "code_version", lambda: "corrected")
    tailgeom("phase", *SMALL, "--json")
    assert len(solved) == 10


def test_several_processes_find_the_same(tailgeom, cache, tmp_path):
    _, alone, _ = tailgeom("phase", *SMALL, "--json")
    words = ["phase", *SMALL[:-1], "2", "--json"]
    found = subprocess.run(
        [sys.executable, "-W", "error", "-m", "experiments.cli", *words],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "TAILGEOM_CACHE": str(tmp_path / "other")},
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout) == json.loads(alone)


def test_cells_without_a_certificate_are_counted_and_said(tailgeom, cache, tmp_path):
    words = ("--loss", "quadratic", "--ratios", "1,10", "--taus", ".4,1", "--jobs", "1", "--out", tmp_path / "out")
    code, out, _ = tailgeom("phase", *words)
    assert code == 0
    assert "4 cells: 0 collapsed, 2 without a certificate" in out
    assert "Without a certificate: not unique" in out
    found = json.loads((tmp_path / "out" / "phase.json").read_text())
    assert [row[0] for row in found["minority_cosine"]] == [None, None]
    assert [entry["column"] for entry in found["uncertified"]] == [0.4, 0.4]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--against", "margin"), "tau, negatives or majority, got 'margin'"),
        (("--ratios", "1:10"), "LOW:HIGH:COUNT"),
        (("--ratios", "10:1:5"), "LOW:HIGH:COUNT"),
        (("--ratios", "1:10:1"), "LOW:HIGH:COUNT"),
        (("--ratios", "1:x:5"), "LOW:HIGH:COUNT"),
        (("--ratios", "1,10,5"), "positive and ascending"),
        (("--ratios", ".1,1"), "ratios of at least 1, got 0.1"),
        (("--ratios", "1,inf"), "positive and ascending"),
        (("--taus", "0,1"), "positive and ascending"),
        (("--taus", "nan"), "positive and ascending"),
        (("--taus", ".0001,1"), "underflow"),
        (("--ratios", "1:10:1000", "--taus", "1:10:1000"), "at most 100000 cells"),
        (("--against", "negatives", "--ks", "1,2.5"), "whole number"),
        (("--against", "negatives", "--ks", "inf,1"), "positive and ascending"),
        (("--against", "negatives", "--loss", "exp"), "does not depend on the number of negatives"),
        (("--against", "negatives", "--q", "plain"), "needs a number of negatives"),
        (("--against", "majority", "--majorities", "0:3"), "LOW of at least 1"),
        (("--against", "majority", "--majorities", "three"), "LOW of at least 1"),
        (("--against", "majority", "--ratio", "-1"), "at least 1, or inf"),
        (("--against", "majority", "--ratios", "1,2"), "--ratios has no meaning with --against majority"),
        (("--against", "negatives", "--taus", "1,2"), "--taus has no meaning"),
        (("--tau", "2"), "--tau has no meaning with --against tau"),
        (("--majority", "0"), "at least one majority"),
        (("--minority", "1"), "two minority classes"),
        (("--loss", "hinge"), "hinge is not unique"),
        (("--jobs", "-1"), "--jobs of 0 or more"),
    ],
    ids=str,
)
def test_bad_requests_are_one_sentence(tailgeom, cache, words, message):
    code, out, err = tailgeom("phase", *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_said(tailgeom, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TAILGEOM_CACHE", str(tmp_path / "file"))
    code, _, err = tailgeom("phase", *SMALL)
    assert code == 3
    assert "TAILGEOM_CACHE" in err
