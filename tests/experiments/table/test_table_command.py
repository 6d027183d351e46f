"""``tailgeom table``: what it prints, saves and refuses."""

import csv
import json

import pytest

from experiments.table import notes
from experiments.table.aggregate import AVERAGE, aggregate
from experiments.table.records import Records, read_records
from experiments.table.selection import select
from tests.experiments.table.made_up import ROWS, by_place


def test_errors_are_told_by_kind():
    diverged = {
        f"run {step}": f"Training diverged at step {step}: loss not finite on the batch a, b." for step in (3, 140)
    }
    states = {"sweep": {"failed": 3, "missing": 0}}
    told = notes.absent(Records((), states, diverged | {"run": "It broke."}, ()))
    kinds = "Training diverged at step ... (2 runs); It broke. Each in full in its sweep's sweep.json."
    assert told == [f"Failed runs: 3; missing runs: 0. Errors: {kinds}"]


def test_command_prints_and_saves(tailgeom, sweep, tmp_path):
    out = tmp_path / "out"
    code, text, err = tailgeom("table", sweep, "--baseline", "erm", "--ranks", "--out", out)
    assert code == 0, err
    assert "Failed runs: 1; missing runs: 1. Errors: It broke. Each in full in its sweep's sweep.json." in text
    assert "22 of 24 (1 failed, 1 missing)" in text
    assert "seeds 0, 1, 2, 3" in text
    assert "abc123" in text
    assert "manifests of 1 of 36 runs" in text
    # One draw is missing, one failed: the failed one was tried, so the search lacks the other alone.
    assert "UNFINISHED SEARCH: 1 hyper-parameter draws are missing in 1 cells" in text
    assert "UNFINISHED SEARCH" in (out / "table.md").read_text()
    assert "UNFINISHED SEARCH" not in tailgeom("table", sweep, "--select", "defaults")[1]
    assert {file.name for file in out.iterdir()} == {
        *(f"table.{kind}" for kind in ("md", "csv", "tex", "json")),
        "table_selected.csv",
        "critical_difference.pdf",
        "critical_difference.png",
    }
    page, tex, tidy = ((out / f"table.{kind}").read_text() for kind in ("md", "tex", "csv"))
    for written in (page, tex, tidy):
        assert "abc123" in written
        assert "seeds 0, 1, 2, 3" in written
        assert "tailgeom table" in written
    best = by_place(aggregate(select(read_records([sweep]).runs)[0], ["target_accuracy"]), "target_accuracy")
    shown = best["ndcl", AVERAGE]
    assert f"**{100 * shown.mean:.1f} ± {100 * shown.standard_error:.1f}**" in page
    assert rf"\textbf{{{100 * shown.mean:.1f} $\pm$ {100 * shown.standard_error:.1f}}}" in tex
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 5
    assert tex.count("{") == tex.count("}")
    rows = list(csv.DictReader(line for line in tidy.splitlines() if not line.startswith("#")))
    row = next(r for r in rows if (r["algorithm"], r["held_out"], r["metric"]) == ("ndcl", AVERAGE, "target_accuracy"))
    assert float(row["mean"]) == shown.mean
    assert row["best"] == "True"
    payload = json.loads((out / "table.json").read_text())
    assert payload["ranking"]["algorithms"] == list(ROWS)
    assert payload["ranking"]["test"]["blocks"] == 3


def test_command_as_json(tailgeom, sweep):
    code, out, _ = tailgeom("table", sweep, "--metric", "target_few", "--json")
    payload = json.loads(out)
    assert code == 0
    entry = next(e for e in payload["entries"] if e["held_out"] == "art" and e["metric"] == "target_few")
    assert entry["mean"] is None
    assert payload["origin"]["commits"] == ["abc123"]
    assert {choice["draw"] for choice in payload["selected"]} == {0}


def test_every_draw_as_a_row(tailgeom, sweep):
    code, out, _ = tailgeom("table", sweep, "--by", "setting,algorithm,draw", "--json")
    assert code == 0
    rows = {e["algorithm"] for e in json.loads(out)["entries"]}
    assert rows == {f"{row} #{draw}" for row in ROWS for draw in (0, 1)}


@pytest.mark.parametrize(
    ("words", "expected", "said"),
    [
        ((), 2, "Expected a sweep or runs"),
        (("nowhere",), 3, "found nothing"),
        (("SWEEP", "--metric", "target_luck"), 2, "Unknown metric 'target_luck'"),
        (("SWEEP", "--baseline", "sgd"), 2, "Unknown baseline 'sgd'"),
        (("SWEEP", "--select", "oracle"), 2, "Unknown selection"),
        (("SWEEP", "--test", "z"), 2, "Unknown test"),
        (("SWEEP", "--units", "z"), 2, "Unknown units"),
        (("SWEEP", "--by", "held_out"), 2, "Expected setting and algorithm"),
        (("SWEEP", "--by", "setting,algorithm,moon"), 2, "Unknown --by 'moon'"),
        (("SWEEP", "--level", "1"), 2, "Expected --level"),
    ],
)
def test_bad_requests_are_one_sentence(tailgeom, sweep, words, expected, said):
    code, _, err = tailgeom("table", *(sweep if word == "SWEEP" else word for word in words))
    assert code == expected
    assert said in err
    assert err.count("\n") == 1


def test_broken_and_empty_sources(tailgeom, sweep, tmp_path):
    (tmp_path / "empty").mkdir()
    assert tailgeom("table", tmp_path / "empty")[0] == 3
    (sweep / "results.csv").write_text("seed,algorithm\n1,erm\n")
    code, _, err = tailgeom("table", sweep)
    assert code == 3
    assert "cannot read" in err
    (sweep / "results.csv").write_text("dataset,setting,held_out,algorithm,seed\n")
    code, _, err = tailgeom("table", sweep)
    assert code == 3
    assert "found none (1 failed" in err


def test_a_plain_run_is_read_from_its_own_log(tailgeom, trained):
    code, out, err = tailgeom("table", trained, "--json")
    assert code == 0, err
    entries = {e["metric"]: e for e in json.loads(out)["entries"] if e["held_out"] == AVERAGE}
    rows = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    best = max(
        (row for row in rows if "validation/balanced_accuracy" in row),
        key=lambda row: (row["validation/balanced_accuracy"], row["step"]),
    )
    assert entries["target_accuracy"]["mean"] == best["target/accuracy"]
    assert entries["target_accuracy"]["algorithm"] == "ndcl"
    assert entries["target_accuracy"]["standard_error"] is None
