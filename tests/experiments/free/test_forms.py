"""The study of ECL's forms: its grid, its sentences, its files."""

import pytest

from experiments.free import forms, study


def test_the_grid_has_every_form_once_a_setting():
    grid = forms.forms()
    assert len({cell.key for cell in grid}) == len(grid)
    assert {cell.family for cell in grid} == {*forms.FORMS, forms.LINEAR}
    whole = [cell for cell in grid if cell.variant == forms.WHOLE]
    assert len(whole) == len(forms.FORMS) * 2 * 3 * 3 + 2 * 3
    for factor, counts in forms.COUNTS.items():
        assert max(counts) == factor * min(counts)
        assert min(counts) >= 2
    assert all(cell.options["samples"] == "collapsed" for cell in whole)
    assert not any("samples" in cell.options for cell in grid if cell.variant == forms.FREE)
    assert all(min(cell.counts) == 1 for cell in grid if cell.variant == forms.SINGLETON)


def row(loss, verdict, *, anchors="class", imbalance="10", spread=0.25, variant=forms.WHOLE):
    names = ("loss", "variant", "anchors", "imbalance", "verdict", "cosine_std")
    return dict(zip(names, (loss, variant, anchors, imbalance, verdict, spread), strict=True))


def test_findings_follow_the_numbers():
    rows = [
        row("A", "simplex", spread=1e-9),
        row("B", "objective", spread=0.5),
        row("B", "objective", spread=0.125, imbalance="100"),
        row("C", "objective"),
        row("C", "simplex", spread=1e-9),
        row("C", "objective", imbalance="1"),  # balanced classes are not counted
        row("A", "objective", anchors="sample"),
    ]
    part = "Imbalanced, one vector a class, anchors averaged over"
    assert forms.findings(rows) == [
        f"{part} samples: the simplex is not reached by A (cosines spread by 0.25).",
        f"{part} classes: the simplex is reached by A.",
        f"{part} classes: the simplex is not reached by B (cosines spread by 0.12 to 0.5); "
        "C (cosines spread by 0.25, the simplex in 1 of 2).",
    ]


def test_an_undefined_spread_is_told():
    (sentence,) = forms.findings([row("A", "objective", spread=None)])
    assert sentence.endswith("A (cosines spread by an undefined amount).")


def test_table_of_a_small_run(tmp_path):
    grid = [
        study.Cell(
            "ECL", forms.WHOLE, "ecl", {"tau": 0.5, "samples": "collapsed", "anchor_reduction": how}, "3", (6, 2)
        )
        for how in study.REDUCTIONS
    ]
    rows = study.run_study(tmp_path / "cells", grid, starts=2, jobs=1)
    for found in rows:
        assert found["least_start_std"] <= found["most_start_std"]
        assert found["alignment"] == pytest.approx(1, abs=1e-6)
        assert found["cosine_mean"] == pytest.approx(-1, abs=1e-6)
    forms.write_forms(tmp_path, rows, command="tailgeom free --forms", seed=0, seconds=61.0)
    text = (tmp_path / "table.md").read_text()
    assert "`tailgeom free --forms`" in text
    assert "| ECL | one vector a class | class | 0.5 | 3 | simplex |" in text
    assert (tmp_path / "table.csv").read_text().splitlines()[0] == ",".join(study.HEADER)
