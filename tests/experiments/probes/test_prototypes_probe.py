"""The prototypes of a trained model: which algorithms have any, and what measure makes of them."""

import csv
import json

import numpy as np
import pytest
import torch

from experiments.composition import compose_run
from experiments.extraction import extract_run
from experiments.restoring import reopen

LONG_TAIL = ("--dataset", "digits-LT", "--imbalance-factor", "50", "--image-size", "16", "--device", "cpu")
NETWORK = ("--classifier", "cosine", "--projection", "128", "--projection-norm", "batch", "--steps", "6")


def trained(tailgeom, path, algorithm, *options):
    words = ("--algorithm", algorithm, "--set", *options) if options else ("--algorithm", algorithm)
    code, _, err = tailgeom("train", *LONG_TAIL, *NETWORK, *words, "--out", path)
    assert code == 0, err
    return path


@pytest.fixture
def ecl(tailgeom, tmp_path):
    return trained(tailgeom, tmp_path / "ecl", "ecl", "contrast_space=projections", "warmup=0.5")


def test_the_artifact_has_what_the_loss_compares_with(tailgeom, ecl):
    artifact = extract_run(ecl, device="cpu")
    model = reopen(ecl, device="cpu").algorithm
    with torch.no_grad():
        wanted = torch.nn.functional.normalize(model.prototype_map(model.model.class_rows), dim=1)
    assert artifact.probes["prototypes_projections"] == pytest.approx(wanted.numpy(), abs=1e-6)
    composed = compose_run(ecl)
    assert np.array_equal(composed.probes["prototypes_projections"], artifact.probes["prototypes_projections"])


def test_measure_tells_them_by_group_and_class(tailgeom, ecl, tmp_path):
    artifact = extract_run(ecl, device="cpu")
    artifact.save(tmp_path / "artifact")
    code, out, err = tailgeom("measure", tmp_path / "artifact", "--resamples", "20", "--out", tmp_path / "results")
    assert code == 0, err
    assert "prototypes in projections" in out
    with (tmp_path / "results" / "measure_prototypes.csv").open(encoding="utf-8", newline="") as text:
        rows = {row["group"]: row for row in csv.DictReader(text)}
    assert {"all", "few", *artifact.class_names} <= set(rows)
    payload = json.loads((tmp_path / "results" / "measure.json").read_text())
    assert payload["prototypes"]["groups"]["all"]["to_mean"] == pytest.approx(float(rows["all"]["to_mean"]))
    assert int(rows["all"]["classes"]) == 10


def test_only_losses_with_prototypes_of_their_own_have_any(tailgeom, tmp_path):
    in_features = trained(tailgeom, tmp_path / "bcl", "bcl", "contrast_space=features")
    artifact = compose_run(in_features)
    rows = artifact.head_weight / np.linalg.norm(artifact.head_weight, axis=1, keepdims=True)
    mine = artifact.probes["prototypes_features"]
    mine = mine / np.linalg.norm(mine, axis=1, keepdims=True)
    assert mine == pytest.approx(rows, abs=1e-5)  # shared: the classifier's own rows
    assert not compose_run(trained(tailgeom, tmp_path / "corners", "bcl")).probes
    assert not compose_run(trained(tailgeom, tmp_path / "erm", "erm")).probes
