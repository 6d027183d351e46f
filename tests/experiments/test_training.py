"""Training on image trees with any backbone, with classes and domains as odd as they come."""

import json

import numpy as np
import pytest
import yaml

from experiments.algorithms.registry import recorded_options, resolve_options
from experiments.augment import augment
from experiments.evaluation import accuracies
from geometry.artifact import load
from geometry.errors import UsageError

TREE = ("--dataset", "mine", "--test-domain", "night", "--setting", "balanced", "--validation", "2", "--device", "cpu")


@pytest.mark.slow
def test_resnet50_trains_two_steps_and_is_extracted(tailgeom, tmp_path, tiny_tree):
    run = tmp_path / "run"
    code, _, err = tailgeom(
        "train", "--algorithm", "ndcl", "--backbone", "resnet50", "--weights", "none", "--steps", "2",
        "--data", tiny_tree, "--image-size", "32", "--batch-size", "4", "--augment", "crop_flip", "--out", run, *TREE,
    )  # fmt: skip
    assert code == 0, err
    code, _, err = tailgeom("extract", run, "--device", "cpu")
    assert code == 0, err
    artifact = load(run / "artifact")
    assert artifact.features.shape[1] == 2048
    assert np.isfinite(artifact.logits).all()


def test_frozen_features_of_a_tree_train_a_head(tailgeom, tmp_path, tiny_tree):
    frozen = tmp_path / "features"
    code, _, err = tailgeom(
        "extract", "--data", tiny_tree, "--dataset", "mine", "--test-domain", "night", "--setting", "balanced",
        "--validation", "2", "--backbone", "small_cnn", "--image-size", "16", "--out", frozen,
    )  # fmt: skip
    assert code == 0, err
    assert load(frozen).logits is None
    assert tailgeom("measure", frozen)[0] == 0
    code, _, err = tailgeom(
        "train", "--features", frozen, "--steps", "4", "--out", tmp_path / "head", "--device", "cpu"
    )
    assert code == 0, err
    rows = [json.loads(line) for line in (tmp_path / "head" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 4


@pytest.mark.parametrize("algorithm", ["erm", "ndcl"])
def test_a_batch_beyond_the_domain_and_classes_of_one_image(tailgeom, tmp_path, tiny_tree, algorithm):
    for domain in ("day", "dusk"):
        for file in sorted((tiny_tree / domain / "dog").iterdir())[3:]:
            file.unlink()
    run = tmp_path / "run"
    code, _, err = tailgeom(
        "train", "--algorithm", algorithm, "--steps", "3", "--data", tiny_tree, "--image-size", "16", "--out", run,
        "--dataset", "mine", "--test-domain", "night", "--setting", "TotalHeavyTail", "--validation", "2",
        "--device", "cpu",
    )  # fmt: skip
    assert code == 0, err
    assert (run / "done").exists()


def test_accuracies_leave_absent_classes_out():
    found = accuracies(
        np.array([0, 0, 2, 2]),
        np.array([0, 0, 0, 2]),
        4,
        {"few": np.array([0, 0, 1, 1], bool), "none": np.array([0, 1, 0, 0], bool)},
    )
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2)
    assert found["few"] == 1
    assert np.isnan(found["none"])


def test_options_are_resolved_to_published_defaults():
    released = {"alpha": 0.1, "beta": 0.1, "rho": 0.2, "tau": 1.0, "negatives": "mixup", "prior_weights": "released"}
    assert released.items() <= resolve_options("ndcl", {}).items()
    assert resolve_options("ndcl", {"beta": "0.5"}) == resolve_options("ndcl", {}) | {"beta": 0.5}
    assert resolve_options("erm", {}) == {}
    with pytest.raises(UsageError, match="rho > 0"):
        resolve_options("ndcl", {"rho": 0})


def test_crops_stay_inside_the_image_and_flips_mirror():
    import torch

    ramp = torch.linspace(0, 1, 16).expand(64, 3, 16, 16)
    seen = augment(ramp, "crop", np.random.default_rng(0))
    assert seen.shape == ramp.shape
    assert seen.min() >= 0
    assert seen.max() <= 1
    assert (seen[..., -1] > seen[..., 0]).all()
    flipped = augment(ramp, "crop_flip", np.random.default_rng(0))
    mirrored = (flipped[:, 0, 0, -1] < flipped[:, 0, 0, 0]).float().mean()
    assert 0.25 < mirrored < 0.75
    torch.testing.assert_close(augment(ramp, "crop", np.random.default_rng(0)), seen)
    assert augment(ramp, "none", np.random.default_rng(0)) is ramp


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("logistic", ("prior_weights=inverse",)),
        ("supcon", ("negatives=both", "tau=0.5")),
        ("ndcl", ("prototypes=moving",)),
    ],
)
def test_features_train_any_algorithm_and_the_resolved_options_are_saved(
    tailgeom, tmp_path, trained, algorithm, options
):
    run = tmp_path / "head"
    code, _, err = tailgeom(
        "train", "--features", trained / "artifact", "--algorithm", algorithm, "--set", *options, "--steps", "6",
        "--checkpoint-every", "3", "--device", "cpu", "--out", run,
    )  # fmt: skip
    assert code == 0, err
    saved = yaml.safe_load((run / "config.yaml").read_text())["optim"]["options"]
    given = dict(word.split("=") for word in options)
    assert {name: str(saved[name]) for name in given} == given
    assert set(saved) == set(recorded_options(algorithm, {}))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = rows[0]
    assert {"logistic": "strength", "supcon": "loss/contrast", "ndcl": "loss/alignment"}[algorithm] in logged
    assert rows[-1]["validation/balanced_accuracy"] is not None


def test_a_term_that_sets_in_between_two_rows_is_averaged_over_its_own_steps(tailgeom, tmp_path, trained, monkeypatch):
    from experiments.algorithms.erm import ERM

    whole, steps = ERM.terms, []

    def terms(self, batch, rng):
        found = whole(self, batch, rng)
        if self.training:
            steps.append(len(steps) + 1)
        return found | ({"loss/late": found["loss"].detach() * 0 + 10 * steps[-1]} if len(steps) > 4 else {})

    monkeypatch.setattr(ERM, "terms", terms)
    code, _, err = tailgeom(
        "train", "--features", trained / "artifact", "--steps", "9", "--log-every", "3", "--checkpoint-every", "9",
        "--device", "cpu", "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row.get("loss/late") for row in rows if "loss" in row] == [None, 55, 80]


def test_a_word_that_no_option_knows_is_one_sentence(tailgeom, tmp_path):
    code, _, err = tailgeom("train", "--algorithm", "ndcl", "--set", "negatives=all", "--out", tmp_path / "run")
    assert code == 2
    assert "Expected mixup, real or both for option 'negatives' of ndcl, got 'all'." in " ".join(err.split())


def test_logistic_regression_refuses_images(tailgeom, tmp_path):
    code, _, err = tailgeom("train", "--algorithm", "logistic", "--steps", "2", "--out", tmp_path / "run")
    assert code == 2
    assert "Logistic regression is fitted to frozen features" in " ".join(err.split())
