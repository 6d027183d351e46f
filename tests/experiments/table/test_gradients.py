"""The table of gradient shares, against means worked out by hand."""

import csv
import json
from itertools import product

import numpy as np
import pytest
from scipy import stats

from experiments.sweep.results import GRADIENTS
from experiments.table.gradients import gradient_table, in_words
from experiments.table.records import Place, Run

DOMAINS, SEEDS = ("art", "photo"), (0, 1, 2)


def value(name, domain, seed):
    rng = np.random.default_rng([GRADIENTS.index(name), DOMAINS.index(domain), seed])
    return float(rng.random())


@pytest.fixture
def runs(tmp_path):
    """``ndcl`` with both gradients, ``erm`` with that of its loss alone, ``mixup`` with none."""
    found = []
    for row, domain, seed in product(("ndcl", "erm", "mixup"), DOMAINS, SEEDS):
        own = {name: value(name, domain, seed) for name in GRADIENTS if name.startswith("gradient")}
        loss = {name: value(name, domain, seed) for name in GRADIENTS if name.startswith("loss")}
        numbers = {"ndcl": own | loss, "erm": loss, "mixup": {}}[row]
        place = Place("PACS", "Duality", domain, row)
        found.append(
            Run(place, 0, seed, "", {"target_accuracy": 0.5, **numbers}, "", tmp_path / f"{row}{domain}{seed}")
        )
    return found


def test_lines_are_means_over_seeds_of_means_over_domains(runs):
    found = {(share.algorithm, share.gradient): share for share in gradient_table(runs, level=0.9)}
    assert set(found) == {("ndcl", "contrast"), ("ndcl", "whole loss"), ("erm", "whole loss")}
    share = found["ndcl", "contrast"]
    few = [[value("gradient_few_share", d, s) for s in SEEDS] for d in DOMAINS]
    assert share.few_share == pytest.approx(np.mean(few))
    ratios = np.mean([[value("gradient_amplification", d, s) for s in SEEDS] for d in DOMAINS], axis=0)
    low, high = stats.t.interval(0.9, 2, loc=ratios.mean(), scale=stats.sem(ratios))
    assert share.amplification == pytest.approx(ratios.mean())
    assert (share.low, share.high) == pytest.approx((max(low, 0.0), high))
    assert share.seeds == 3


def test_one_seed_has_no_interval_and_nothing_recorded_no_table(runs):
    single = gradient_table([run for run in runs if run.seed == 0])
    assert {share.seeds for share in single} == {1}
    assert all(np.isnan(share.low) and np.isfinite(share.amplification) for share in single)
    assert "[" not in in_words(single)[0][1][0][6]
    assert gradient_table([run for run in runs if run.place.algorithm == "mixup"]) == []


def test_the_command_shows_and_writes_them(tailgeom, runs, tmp_path):
    folder, out = tmp_path / "sweep", tmp_path / "out"
    folder.mkdir()
    with (folder / "results.csv").open("w", newline="") as file:
        names = ["dataset", "setting", "held_out", "algorithm", "seed", "target_accuracy", *GRADIENTS]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for run in runs:
            writer.writerow({**run.place._asdict(), "seed": run.seed, **run.numbers})
    code, text, err = tailgeom("table", folder / "results.csv", "--out", out)
    assert code == 0, err
    assert "gradient of few-shot samples" in text
    page, tex = (out / "table.md").read_text(), (out / "table.tex").read_text()
    assert "| ndcl | contrast |" in page
    assert r"gradient of few-shot samples" in tex
    rows = list(csv.DictReader(x for x in (out / "table_gradients.csv").read_text().splitlines() if x[0] != "#"))
    assert [row["gradient"] for row in rows] == ["contrast", "whole loss", "whole loss"]
    payload = json.loads((out / "table.json").read_text())
    assert payload["gradients"][0]["few_share"] == pytest.approx(float(rows[0]["few_share"]))
