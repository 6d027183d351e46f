"""``tailgeom measure`` over a sweep: every run's collapse by shot group, averaged, compared, drawn, and refused."""

import csv
import json

import numpy as np
import pytest
import yaml

from experiments.composition import artifact_of
from geometry.collapse import measure
from tests.toy_features import save_toy_features

USAGE, DATA = 2, 3


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Twelve heads on features of three domains and classes: two held-out domains, two algorithms, three seeds."""
    from experiments.cli import main

    folder = tmp_path_factory.mktemp("sweep")
    save_toy_features(folder / "features", cell=40, dimension=8)
    data = {"dataset": "small", "features": str(folder / "features"), "held_out": ["day", "night"], "validation": 3}
    data |= {"settings": [{"setting": "exponential", "setting_options": {"ratio": 5}, "shots": [25, 8]}]}
    train = {"steps": 20, "batch_size": 4, "lr": 0.01, "checkpoint_every": 10, "log_every": 10, "device": "cpu"}
    spec = {"datasets": [data], "algorithms": ["erm", "ldam"], "seeds": 3, "train": train, "keep": ["checkpoint"]}
    (folder / "grid.yaml").write_text(yaml.safe_dump(spec))
    assert main(["sweep", str(folder / "grid.yaml"), "--out", str(folder / "out"), "--jobs", "1"]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def runs(sweep):
    """Held-out domain, algorithm, seed -> collapse report of the run, made one by one."""
    with (sweep / "results.csv").open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    assert len(rows) == 12
    return {
        (row["held_out"], row["algorithm"], int(row["seed"])): measure(artifact_of(sweep / row["path"]), resamples=0)
        for row in rows
    }


def value(report, metric, group):
    return next(
        row.estimate
        for row in report.rows()
        if (row.metric, row.group) == (metric, group)
        and row.weighting in ("balanced", "none")
        and row.domain in ("all", "across")
    )


def entries(payload, **wanted):
    return [row for row in payload["entries"] if all(row[name] == known for name, known in wanted.items())]


@pytest.mark.parametrize(
    ("metric", "group"), [("nc1", "all"), ("nc3_cosine", "few"), ("head_norm_cov", "all"), ("domain_cosine", "all")]
)
def test_means_and_differences_are_those_of_the_single_runs(tailgeom, sweep, runs, metric, group):
    code, out, err = tailgeom("measure", sweep, "--baseline", "erm", "--test", "t", "--jobs", "1", "--json")
    assert code == 0, err
    payload = json.loads(out)
    found = {
        name: np.array(
            [[value(runs[domain, name, seed], metric, group) for seed in range(3)] for domain in ("day", "night")]
        )
        for name in ("erm", "ldam")
    }
    for name, values in found.items():
        (row,) = entries(payload, held_out="average", algorithm=name, metric=metric, group=group)
        means = values.mean(axis=0)
        assert row["mean"] == pytest.approx(means.mean(), nan_ok=True)
        assert row["standard_error"] == pytest.approx(means.std(ddof=1) / 3**0.5, nan_ok=True)
        assert row["seeds"] == 3
        (row,) = entries(payload, held_out="day", algorithm=name, metric=metric, group=group)
        assert row["mean"] == pytest.approx(values[0].mean())
    (row,) = entries(payload, held_out="average", algorithm="ldam", metric=metric, group=group)
    assert row["difference"] == pytest.approx((found["ldam"] - found["erm"]).mean())
    assert row["low"] <= row["difference"] <= row["high"]
    assert payload["split"] == ["train"]


def test_the_page_the_files_and_the_figure(tailgeom, sweep, tmp_path):
    code, out, err = tailgeom(
        "measure", sweep, "--baseline", "erm", "--split", "target", "--out", tmp_path, "--jobs", "1"
    )
    assert code == 0, err
    assert "12 runs; samples: target." in out
    assert "NC1" in out
    assert "differs from erm (paired sign-flip test" in out
    lines = [line.split() for line in out.splitlines()]
    assert [line[:2] for line in lines if line[:1] in (["erm"], ["ldam"])][:2] == [["erm", "all"], ["ldam", "all"]]
    assert "minority" not in out
    assert all((tmp_path / f"measure_study.{kind}").stat().st_size for kind in ("json", "csv", "tex", "pdf", "png"))
    assert tailgeom("measure", sweep, "--only", "seed=0", "held_out=day", "--jobs", "1")[0] == 0


def test_kept_records_are_used_until_what_made_them_changes(tailgeom, sweep, tmp_path, monkeypatch):
    import geometry.collapse

    made, whole = [], geometry.collapse.measure
    monkeypatch.setattr(
        geometry.collapse, "measure", lambda artifact, **options: made.append(1) or whole(artifact, **options)
    )
    first = tailgeom("measure", sweep, "--split", "validation", "--jobs", "1", "--json")
    assert len(made) == 12
    assert tailgeom("measure", sweep, "--split", "validation", "--jobs", "1", "--json") == first
    assert len(made) == 12
    assert tailgeom("measure", sweep, "--split", "target", "--only", "seed=1", "--jobs", "1")[0] == 0
    assert len(made) == 16


@pytest.mark.parametrize(
    ("more", "code", "sentence"),
    [
        (("--baseline", "nobody"), USAGE, "Unknown baseline 'nobody'"),
        (("--test", "guess"), USAGE, "Unknown test 'guess'"),
        (("--jobs", "-1"), USAGE, "Expected --jobs of 0"),
        (("--only", "seed=7"), USAGE, "No run has seed=7; the runs have 0"),
        (("--features", "x.npz"), USAGE, "Expected runs or --features, got both"),
        (("--split", "unlabelled"), DATA, "Unknown split 'unlabelled'"),
        (("--split", "unlabelled"), DATA, "Expected runs that can be analysed, found none in 12"),
    ],
)
def test_bad_input_is_one_sentence(tailgeom, sweep, more, code, sentence):
    found, out, err = tailgeom("measure", sweep, "--jobs", "1", *more)
    assert found == code
    assert sentence in err
    assert "Traceback" not in out + err


def test_baseline_is_refused_for_a_single_artifact(tailgeom, sweep):
    code, _, err = tailgeom("measure", sorted((sweep / "runs").iterdir())[0], "--baseline", "erm")
    assert code == USAGE
    assert "--baseline" in err
