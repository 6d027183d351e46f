"""The study of repelling alone: its grid, its sentences, its command."""

import json

import pytest

from experiments.free import relation, repelling_forms, study
from experiments.free.repelling import domains_of


def test_the_grid():
    import numpy as np

    grid = repelling_forms.forms()
    assert len({cell.key for cell in grid}) == len(grid)
    for factor, counts in (repelling_forms.COUNTS | repelling_forms.SHARED).items():
        assert max(counts) == factor * min(counts)
    for counts in repelling_forms.SHARED.values():  # every class in every domain
        labels = np.repeat(np.arange(5), counts)
        cells = set(zip(labels, domains_of(labels, 3, "shared"), strict=True))
        assert len(cells) == 15
    levels = {cell.options.get("level", "sample") for cell in grid}
    assert levels == {"sample", "class", "domain-class", "balanced"}
    assert {cell.dimension for cell in grid} == {None, 2, 3, 4}


def row(loss, verdict, *, imbalance="10", std=0.25, spread=0.0, length=1.0, variant=repelling_forms.ALONE):
    return {
        "loss": loss,
        "variant": variant,
        "anchors": "sample",
        "imbalance": imbalance,
        "verdict": verdict,
        "cosine_std": std,
        "spread": spread,
        "mean_length": length,
    }


def test_findings_follow_the_numbers():
    rows = [
        row("samples", "objective"),
        row("samples", "simplex", std=1e-12),
        row("samples", "simplex", imbalance="1", std=0.0),
        row("samples, other domains", "objective", std=None, spread=1.0, length=0.0),
        row("class means", "angles only", std=0.0, spread=1.25),
    ]
    assert repelling_forms.findings(rows) == [
        "Alone, imbalanced: samples (sample-averaged): objective in 1 of 2, simplex in 1 of 2; cosines spread by "
        "0 to 0.25; samples off their means by 0.",
        "Alone, balanced: samples (sample-averaged): simplex in 1 of 1; cosines spread by 0; "
        "samples off their means by 0.",
        "Alone, imbalanced: samples, other domains (sample-averaged): objective in 1 of 1; cosines spread by an "
        "undefined amount; samples off their means by 1; class means vanish in 1.",
        "Alone, imbalanced: class means: angles only in 1 of 1; cosines spread by 0; samples off their means by 1.2.",
    ]


def test_command(tailgeom, tmp_path, monkeypatch):
    other = {"tau": 0.5, "aggregate": "mean", "other_domains_only": True, "domains": 2.0}
    cells = (
        study.Cell("samples", repelling_forms.ALONE, "fixclr", {"tau": 0.5}, "10", (6, 3, 2)),
        study.Cell("samples, other domains", repelling_forms.DOMAINS, "fixclr", other, "1", (2, 2, 2)),
    )
    monkeypatch.setattr(repelling_forms, "forms", lambda: cells)
    monkeypatch.setattr(repelling_forms, "drawn", lambda rows: rows)
    monkeypatch.setattr(relation, "SEEDS", 1)
    words = ("free", "--forms", "--loss", "fixclr", "--starts", "1", "--jobs", "1", "--out", tmp_path)
    code, out, err = tailgeom(*words)
    assert code == 0, err
    assert "Alone, imbalanced: samples (sample-averaged): objective in 1 of 1" in out
    names = {"table.csv", "table.md", "relation.csv", "relation.md", "results.json", "figure.png", "figure.pdf"}
    assert {file.name for file in tmp_path.iterdir()} == names
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["rows"][0]["program_gap"] == pytest.approx(0, abs=1e-9)
    assert found["rows"][1]["cosine_std"] is None
    assert found["rows"][1]["mean_length"] < 1e-6
    assert "tailgeom free --loss fixclr" in (tmp_path / "relation.md").read_text()


def test_forms_of_another_loss_are_refused(tailgeom):
    code, out, err = tailgeom("free", "--forms", "--loss", "supcon", "--out", "somewhere")
    assert (code, out) == (2, "")
    assert "ecl or fixclr" in err
