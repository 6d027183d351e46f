"""The wide table against means by hand, and what it says where a study has not been made."""

import json

import numpy as np
import pytest

from experiments.run_records import BOUND_RECORD, CHECK_RECORD
from experiments.table.records import Place, Run
from experiments.table.wide import SHOWN, in_words, wide_table
from geometry.errors import DataError

SAID = ("holds", "does not hold", "undecided")


@pytest.fixture
def runs(tmp_path):
    """Three runs each of two rows, with a number that one run lacks."""
    found = []
    for row in ("a", "b"):
        for seed in range(3):
            path = tmp_path / f"{row}{seed}"
            (path / "results").mkdir(parents=True)
            outcomes = {
                "target_few": 0.1 * seed,
                "prediction_nc1": None if seed == 1 else (1 + (row == "b")) * (1.0 + seed),
            }
            verdict = {"check": "margin_scaling", "subject": "rule", "verdict": SAID[seed if row == "a" else 0]}
            checked = {"summary": {"outcomes": outcomes}, "verdicts": [verdict]}
            terms = {"columns": {"balanced risk, sources": [0.5 + seed, "sources", ""]}}
            (path / "results" / CHECK_RECORD).write_text(json.dumps(checked))
            (path / "results" / BOUND_RECORD).write_text(json.dumps(terms))
            place = Place("PACS", "Cross", ("photo", "sketch")[seed % 2], row)
            found.append(Run(place, 0, seed, "", {}, "", path))
    return found


def test_cells_are_means_over_runs_and_verdicts_are_counted(runs):
    cells = {(c.algorithm, c.kind, c.name): c for c in wide_table(runs)}
    assert cells["a", "outcome", "target_few"].mean == pytest.approx(0.1)
    nc1 = cells["a", "outcome", "prediction_nc1"]
    assert (nc1.mean, nc1.runs) == (2.0, 2)
    assert nc1.deviation == pytest.approx(np.std([1.0, 3.0], ddof=1))
    assert cells["b", "bound term", "balanced risk, sources"].mean == pytest.approx(1.5)
    assert cells["a", "verdict", "margin scaling: rule"].counts == (1, 1, 1)
    assert cells["b", "verdict", "margin scaling: rule"].counts == (3, 0, 0)


def test_the_page_shows_numbers_then_verdicts(runs):
    (first, head, lines), (second, claims, judged) = in_words(wide_table(runs))
    assert first == "PACS, Cross: geometry and bound terms"
    assert head == ("", "NC1")  # what both rows share, or lack, says nothing here
    assert lines == [["a", "2"], ["b", "4"]]
    assert second == "PACS, Cross: verdicts"
    assert claims == ("", "margin scaling: rule")
    assert judged == [["a", "1/1/1"], ["b", "3/0/0"]]


def test_one_row_alone_shows_every_column(runs):
    ((_, head, lines), _) = in_words(wide_table(runs[:3]))
    assert len(head) == len(SHOWN) + 1 == len(lines[0])
    assert lines[0][head.index("ECE")] == "–"


def test_a_run_without_its_studies_names_the_command(runs):
    (runs[2].path / "results" / BOUND_RECORD).unlink()
    with pytest.raises(DataError, match="run `tailgeom bound` on these runs first"):
        wide_table(runs)


def test_one_study_is_enough_and_none_is_not(runs):
    for run in runs:
        (run.path / "results" / BOUND_RECORD).unlink()
    assert {cell.kind for cell in wide_table(runs)} == {"outcome", "verdict"}
    for run in runs:
        (run.path / "results" / CHECK_RECORD).unlink()
    with pytest.raises(DataError, match="run `tailgeom check` on these runs first"):
        wide_table(runs)
