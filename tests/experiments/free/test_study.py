"""The study: its grid, its restart, and what it says."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments.free import study
from experiments.free.experiment import free_optimum
from experiments.free.objectives import LOSSES
from experiments.free.table import SAID, findings, write_table

GRID = [
    study.Cell("BCL", "", "bcl", {"tau": 0.5, "anchor_reduction": "class"}, "long tail", (6, 3, 2)),
    study.Cell("Cross-entropy", "", "ce", {}, "long tail", (6, 3, 2)),
]


def test_the_grid_has_every_loss_of_training_once_a_setting():
    grid = study.cells()
    assert len({cell.key for cell in grid}) == len(grid)
    covered = {cell.loss for cell in grid}
    assert covered >= set(LOSSES) - {"exp", "hinge", "quadratic", "linear"}
    assert {cell.imbalance for cell in grid} == {"balanced", "long tail", "step"}


def test_finished_cells_are_kept_and_the_table_is_written(tmp_path, monkeypatch):
    rows = study.run_study(tmp_path / "cells", GRID, starts=1, jobs=1)
    assert [r["verdict"] for r in rows] == ["simplex", "objective"]

    def refuse(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(study, "_solved", refuse)
    assert study.run_study(tmp_path / "cells", GRID, starts=1, jobs=1) == rows
    with pytest.raises(AssertionError, match="again"):
        study.run_study(tmp_path / "cells", GRID, starts=1, jobs=1, seed=5)

    write_table(tmp_path, rows, command="tailgeom free --study", seed=0, seconds=90.0)
    text = (tmp_path / "table.md").read_text()
    assert "`tailgeom free --study`" in text
    assert "| BCL |  | class | 0.5 | long tail | simplex |" in text
    assert (tmp_path / "table.csv").read_text().splitlines()[0] == ",".join(study.HEADER)
    json.dumps(rows, allow_nan=False)


@pytest.mark.parametrize("deviations", [(float("nan"), 0.25, 0.5), (0.5, 0.25, float("nan"))])
def test_starts_without_directions_do_not_hide_the_others(deviations):
    found = replace(free_optimum("bcl", (2, 1), starts=1), deviations=deviations)
    row = dict(zip(study.HEADER, study.row(GRID[0], found), strict=True))
    assert (row["least_start_std"], row["most_start_std"]) == (0.25, 0.5)
    nothing = study.row(GRID[0], replace(found, deviations=(float("nan"),)))
    assert np.isnan(dict(zip(study.HEADER, nothing, strict=True))["least_start_std"])


def test_findings_follow_the_numbers():
    def row(loss, verdict, imbalance="step", spread=0.25, agreeing=3):
        names = ("loss", "variant", "anchors", "imbalance", "verdict", "cosine_std", "agreeing")
        return dict(zip(names, (loss, "", "class", imbalance, verdict, spread, agreeing), strict=True))

    rows = [
        row("A", "simplex"),
        row("A", "simplex", agreeing=0),
        row("B", "objective"),
        row("B", "objective", spread=0.5),
    ]
    assert findings([*rows, row("C", "tie"), row("C", "simplex"), row("C", "simplex", "balanced")]) == [
        f"Balanced. {SAID['simplex']}: C (class-averaged).",
        f"Imbalanced. {SAID['simplex']}: A (class-averaged, in 1 of 2 found from near the simplex only).",
        f"Imbalanced. {SAID['objective']}: B (class-averaged, cosines spread by 0.25 to 0.5).",
        f"Imbalanced. {SAID['mixed']}: C (class-averaged).",
    ]
