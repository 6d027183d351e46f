"""Tests on samples, from logits that made-up runs kept."""

import csv
from itertools import product

import numpy as np
import pytest
from safetensors.numpy import save_file

from experiments.table.aggregate import AVERAGE, aggregate
from experiments.table.records import Place, Run
from experiments.table.samples import SampleTests
from geometry.errors import DataError

DOMAINS, SEEDS, ROWS = ("art", "photo"), (0, 1, 2), ("erm", "same", "better")
N = 240
WEIGHTS = {"erm": 0.5, "same": 0.5, "better": 0.75}


@pytest.fixture
def runs(tmp_path):
    """Splits that each test on four fifths of the images; ``same`` errs as often as ``erm``, elsewhere."""
    found = []
    for place, domain in enumerate(DOMAINS):
        labels = np.random.default_rng(place).permutation(np.repeat([0, 1, 2], [180, 50, 10]))
        for row, seed in product(ROWS, SEEDS):
            index = np.sort(np.random.default_rng([place, seed]).permutation(N)[:192])
            rng = np.random.default_rng([place, seed, ROWS.index(row)])
            right = rng.random(192) < WEIGHTS[row]
            guesses = np.where(right, labels[index], (labels[index] + 1) % 3)
            folder = tmp_path / f"{row}{domain}{seed}"
            folder.mkdir()
            logits = np.eye(3, dtype=np.float32)[guesses]
            save_file(
                {"logits/target": logits, "labels/target": labels[index], "index/target": index},
                folder / "logits.safetensors",
            )
            balanced = np.mean([right[labels[index] == k].mean() for k in range(3)])
            numbers = {"target_accuracy": right.mean(), "target_balanced_accuracy": balanced, "target_few": 0.5}
            found.append(Run(Place("PACS", "Duality", domain, row), 0, seed, "", numbers, f"{domain}{seed}", folder))
    return found


def by_place(entries, metric):
    return {(e.place.algorithm, e.place.held_out): e for e in entries if e.metric == metric}


@pytest.mark.parametrize("metric", ["target_accuracy", "target_balanced_accuracy"])
def test_differences_are_those_of_the_table(runs, metric):
    sampled = aggregate(runs, [metric], baseline="erm", sampled=SampleTests(runs, resamples=400))
    overall = by_place(sampled, metric)
    usual = by_place(aggregate(runs, [metric], baseline="erm"), metric)
    seen = {
        domain: np.unique([np.random.default_rng([place, s]).permutation(N)[:192] for s in SEEDS]).size
        for place, domain in enumerate(DOMAINS)
    }
    for column in (*DOMAINS, AVERAGE):
        for row in ("same", "better"):
            mine, theirs = overall[row, column].baseline, usual[row, column].baseline
            assert mine.difference == pytest.approx(theirs.difference)
            assert mine.low < mine.difference < mine.high
            assert mine.least_p_value == pytest.approx(2 / 401)
            assert mine.units == sum(seen[name] for name in (DOMAINS if column == AVERAGE else (column,)))
    assert overall["better", AVERAGE].baseline.significant
    assert not overall["same", AVERAGE].baseline.significant
    assert overall["erm", AVERAGE].like_best is False


def test_incomplete_pairs_are_counted_and_what_has_no_common_split_is_undefined(runs):
    kept = [r for r in runs if (r.place.algorithm, r.place.held_out, r.seed) != ("better", "art", 2)]
    found = by_place(
        aggregate(kept, ["target_accuracy"], baseline="erm", sampled=SampleTests(kept, resamples=50)), "target_accuracy"
    )
    assert found["better", AVERAGE].baseline.dropped == 1
    assert found["same", AVERAGE].baseline.dropped == 0
    kept = [r for r in runs if (r.place.algorithm, r.place.held_out) != ("better", "art")]
    found = by_place(
        aggregate(kept, ["target_accuracy"], baseline="erm", sampled=SampleTests(kept, resamples=50)), "target_accuracy"
    )
    assert np.isnan(found["better", AVERAGE].baseline.p_value)
    assert np.isfinite(found["same", AVERAGE].baseline.p_value)
    assert np.isfinite(found["better", "photo"].baseline.p_value)


def test_a_metric_that_samples_cannot_tell_has_undefined_tests(runs):
    found = by_place(aggregate(runs, ["target_few"], baseline="erm", sampled=SampleTests(runs)), "target_few")
    assert np.isnan(found["better", AVERAGE].baseline.p_value)
    assert found["better", AVERAGE].like_best is None


def test_logits_that_are_missing_or_of_other_data_are_named(runs, tmp_path):
    labels = np.zeros(3, dtype=np.int64)
    bad = tmp_path / "bad"
    bad.mkdir()
    other = Run(runs[0].place._replace(algorithm="other"), 0, 0, "", {"target_accuracy": 0.5}, "", bad)

    def compare():
        tests = SampleTests([*runs, other], resamples=20)
        return tests.compare("PACS", "Duality", "target_accuracy", ["art"], 0.95, "other", "erm")

    with pytest.raises(DataError, match="keep logits"):
        compare()
    twisted = {"logits/target": np.eye(3, dtype=np.float32), "labels/target": labels, "index/target": np.arange(3)}
    art = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [180, 50, 10]))
    twisted["labels/target"] = (art[:3] + 1) % 3
    save_file(twisted, bad / "logits.safetensors")
    with pytest.raises(DataError, match="same data"):
        compare()


def test_the_command(tailgeom, runs, tmp_path):
    with (tmp_path / "results.csv").open("w", newline="") as file:
        names = ["dataset", "setting", "held_out", "algorithm", "seed", "path", *runs[0].numbers]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for run in runs:
            writer.writerow({**run.place._asdict(), "seed": run.seed, "path": run.path.name, **run.numbers})
    words = ("table", tmp_path / "results.csv", "--baseline", "erm", "--paired")
    code, text, err = tailgeom(*words, "samples")
    assert code == 0, err
    assert "Paired bootstrap of the target samples" in text
    assert "sign-flip" not in text
    code, _, err = tailgeom(*words, "images")
    assert code == 2
    assert "known: runs, samples" in err
    (runs[0].path / "logits.safetensors").unlink()
    code, _, err = tailgeom(*words, "samples")
    assert code == 3
    assert len(err.strip().splitlines()) == 1
