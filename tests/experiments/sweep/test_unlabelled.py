"""A sweep with labels withheld: what its results say of the pseudo-labels of every run."""

import csv

import numpy as np
import pytest

from experiments.sweep.driver import run_sweep
from experiments.sweep.plan import plan
from experiments.sweep.spec import parse_spec

SPEC = {
    "datasets": [
        {
            "dataset": "digits",
            "image_size": 8,
            "held_out": ["textured"],
            "settings": [{"setting": "exponential", "labels": 2}],
        }
    ],
    "algorithms": ["erm", {"algorithm": "fixmatch", "options": {"threshold": 0.2, "fixclr": 0.1}}],
    "train": {"steps": 2, "batch_size": 4, "checkpoint_every": 2, "device": "cpu"},
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    spec, out = parse_spec(SPEC), tmp_path_factory.mktemp("sweep")
    found = run_sweep(spec, plan(spec), out, workers=1)
    assert all(outcome.error is None for outcome in found.values())
    return list(csv.DictReader((out / "results.csv").read_text().splitlines()))


def test_every_run_says_how_good_its_pseudo_labels_are(rows):
    assert [row["variant"] for row in rows] == ["erm", "fixmatch"]
    for row in rows:
        assert 0 <= float(row["unlabelled_balanced_accuracy"]) <= 1
        assert 0 <= float(row["pseudo_total_variation"]) <= 1
        shares = [float(row[f"pseudo_{group}_true_share"]) for group in ("many", "medium", "few")]
        assert np.isclose(sum(shares), 1)
        assert shares[0] > shares[2]
        assert np.isclose(float(row["pseudo_all_predicted_share"]), 1)


def test_the_setting_says_how_many_labels_it_keeps(rows):
    assert {row["setting"] for row in rows} == {"exponential, 2 labels"}
