"""``tailgeom compare``: its options reach the analysis, its tables and figures the disk."""

import csv
import json

import numpy as np
import pytest

from geometry.alignment import coordinates, cosines
from geometry.artifact import Artifact
from geometry.frames import seli_classifiers, seli_embeddings
from geometry.layer_peeled import layer_peeled
from geometry.optimum import solve

COUNTS = (60, 30, 12, 6, 3)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """Features that are SELI embeddings, projections that are the contrastive optimum, a SELI head."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), COUNTS)
    optimum = coordinates(solve(COUNTS, loss="supcon", tau=0.2).gram)
    features = coordinates(seli_embeddings(COUNTS))[labels] + 1e-3 * rng.normal(size=(len(labels), 5))
    whole = Artifact(
        features=features,
        labels=labels,
        class_names=tuple("abcde"),
        projections=optimum[labels] + 1e-3 * rng.normal(size=(len(labels), 5)),
        head_weight=coordinates(seli_classifiers(COUNTS)),
    )
    return whole.save(tmp_path_factory.mktemp("compared") / "artifact")


def best(payload, of):
    fits = [entry for entry in payload["comparisons"] if entry["of"] == of]
    return min(fits, key=lambda entry: entry["gram_error"]["estimate"])["target"]


def test_each_representation_finds_its_theory(tailgeom, artifact):
    code, out, _ = tailgeom("compare", artifact, "--loss", "supcon", "--tau", "0.2", "--resamples", "30", "--json")
    assert code == 0
    payload = json.loads(out)
    found = {of: best(payload, of) for of in ("features", "projections", "head")}
    assert found == {"features": "seli embeddings", "projections": "optimum", "head": "seli classifiers"}
    assert [line.split(":")[0] for line in payload["verdicts"]] == ["features", "projections", "head"]
    assert payload["optimum"]["loss"] == "supcon"
    first = payload["comparisons"][0]
    assert {block["group"] for block in first["blocks"]} == {"all", "many-many", "many-few", "few-few"}
    assert np.shape(first["plane"]["points"]) == (2, 5, 2)
    assert np.shape(first["learned_coordinates"]) == (5, 5)


def test_options_choose_what_is_compared(tailgeom, artifact):
    words = ("--of", "head,features", "--targets", "lpm-classifiers,optimum", "--resamples", "20", "--raw")
    words += ("--feature-energy", "2", "--k", "3", "--q", "plain", "--collisions", "--json")
    code, out, _ = tailgeom("compare", artifact, *words)
    assert code == 0
    payload = json.loads(out)
    pairs = [(entry["of"], entry["target"]) for entry in payload["comparisons"]]
    assert pairs == [(of, target) for of in ("head", "features") for target in ("lpm classifiers", "optimum")]
    expected = cosines(layer_peeled(COUNTS, feature_energy=2.0).classifiers)
    np.testing.assert_allclose(payload["comparisons"][0]["optimal"], expected, atol=1e-9)
    optimum = payload["optimum"]
    assert (optimum["negatives"], optimum["q"], optimum["collisions"]) == (3, 3.0, True)
    alone = json.loads(tailgeom("optimum", "--counts", "60,30,12,6,3", "--negatives", "3", "--q", "plain",
                                "--collisions", "--json")[1])  # fmt: skip
    np.testing.assert_allclose(alone["gram"], optimum["gram"], atol=1e-9)


def test_files_hold_tables_and_figures(tailgeom, artifact, tmp_path):
    code, out, _ = tailgeom("compare", artifact, "--resamples", "20", "--out", tmp_path, "--of", "features,head")
    assert code == 0
    assert "features: " in out
    assert "halves by training count" in out
    names = {path.name for path in tmp_path.iterdir()}
    figures = {f"compare_angles_{of}.{kind}" for of in ("features", "head") for kind in ("pdf", "png")}
    assert names == figures | {f"compare.{kind}" for kind in ("json", "csv", "tex")} | {
        "compare_pairs.csv",
        "compare_blocks.csv",
    }
    with (tmp_path / "compare_pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 * 10
    sizes = [abs(float(row["residual"])) for row in rows[:10]]
    assert sizes == sorted(sizes, reverse=True)
    with (tmp_path / "compare_blocks.csv").open() as file:
        assert [row["block"] for row in csv.DictReader(file)][:4] == ["all", "many-many", "many-few", "few-few"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--of", "logits"), 2, "Unknown representation 'logits'"),
        (("--of", "predictions"), 3, "needs logits"),
        (("--targets", "etff"), 2, "Unknown target 'etff'"),
        (("--loss", "triplet-ish"), 2, "triplet-ish"),
        (("--negatives", "0"), 2, "--negatives"),
        (("--q", "lots"), 2, "--q"),
        (("--classifier-energy", "-1"), 2, "classifier energy"),
        (("--tau", "0"), 2, "temperature"),
    ],
)
def test_bad_options_are_told_in_one_sentence(tailgeom, artifact, words, code, said):
    found, out, err = tailgeom("compare", artifact, *words)
    assert (found, out) == (code, "")
    assert said in err
    assert err.count("\n") == 1


def test_many_classes_stay_quick_and_leave_the_coordinates_out(tailgeom, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(120), 3)
    features = rng.normal(size=(360, 20))
    np.savez(tmp_path / "x.npz", features=features, labels=labels)
    code, out, _ = tailgeom("compare", tmp_path / "x.npz", "--resamples", "20", "--targets", "etf", "--json")
    assert code == 0
    (entry,) = json.loads(out)["comparisons"]
    assert entry["learned_coordinates"] is None
    assert np.shape(entry["learned"]) == (120, 120)
    assert len(entry["pairs"]) == 2000
    assert "it is out of reach" in entry["notes"][0]
