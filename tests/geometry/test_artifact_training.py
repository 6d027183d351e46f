"""What an artifact says was trained on: a held-out domain without training samples, and a split named train."""

import json
from dataclasses import replace

import numpy as np
import pytest

from geometry.artifact import Artifact, load
from geometry.collapse import measure
from geometry.errors import DataError
from geometry.shots import ShotThresholds

THRESHOLDS = ShotThresholds(many=15, few=5)


def artifact(**changes):
    """Three classes of 20, 10 and 4 training samples in the first domain, 6 each in the target."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.repeat([0, 1, 2], [20, 10, 4]), np.repeat([0, 1, 2], 6)])
    target = np.repeat([0, 1], [34, 18])
    given = {
        "features": rng.normal(size=(52, 4)) + 3 * np.eye(3, 4)[labels],
        "labels": labels,
        "class_names": ("a", "b", "c"),
        "domains": target,
        "domain_names": ("day", "night"),
        "split": target,
        "split_names": ("train", "target"),
        "held_out": "night",
        "shot_thresholds": THRESHOLDS,
    }
    return Artifact(**given | changes)


def test_one_domain_needs_no_held_out_and_may_not_be_it():
    alone = {"domains": np.zeros(52, int), "domain_names": ("day",)}
    bare = artifact(**alone, held_out=None)
    assert bare.shots == ("many", "medium", "few")
    assert bare.class_counts.tolist() == [20, 10, 4]
    assert set(measure(bare, resamples=0).minority.classes) == {1, 2}
    with pytest.raises(DataError, match="held_out is 'day', but 34 of its samples are in the split train"):
        artifact(**alone, held_out="day")
    with pytest.raises(DataError, match="its row of train_counts holds 34 training samples; name another domain or"):
        artifact(**alone, held_out="day", train_counts=np.array([[20, 10, 4]]))
    with pytest.raises(DataError, match="all samples are of it, and no split says"):
        artifact(**alone, held_out="day", split=np.zeros(52, int), split_names=("all",))


def test_a_held_out_domain_holds_no_training_sample():
    assert artifact().shots == ("many", "medium", "few")
    with pytest.raises(DataError, match="held_out is 'day'"):
        artifact(held_out="day")
    with pytest.raises(DataError, match="holds 34 training samples"):
        artifact(held_out="day", train_counts=np.array([[20, 10, 4], [0, 0, 0]]))


def test_the_target_alone_has_no_shot_groups():
    target = artifact().select("target")
    assert target.shots == ("many", "medium", "few")  # of the whole
    alone = {"domains": np.zeros(18, int), "domain_names": ("night",)}
    only = replace(target, **alone, train_counts=np.zeros((1, 3), int))
    assert only.shots is None
    assert only.class_counts.tolist() == [0, 0, 0]


def test_of_one_split_all_but_the_held_out_domain_was_trained_on():
    """What is said of a held-out domain holds of a selection of the samples too."""
    whole = artifact(split=np.zeros(52, int), split_names=("all",))
    assert whole.training_counts.tolist() == [[20, 10, 4], [0, 0, 0]]
    assert whole.select(domain="night").class_counts.tolist() == [20, 10, 4]


@pytest.mark.parametrize(
    "names", [("Train", "Test"), ("training", "target"), ("source", "target"), ("split0", "split1")]
)
def test_without_a_split_named_train_nothing_is_taken_for_one(names):
    strange = artifact(split_names=names)
    said = f"Expected a split named train among {', '.join(names)}; rename it, or give train_counts."
    for asked in (lambda: strange.class_counts, lambda: strange.shots, strange.default_split):
        with pytest.raises(DataError) as caught:
            asked()
        assert str(caught.value) == said
    part = strange.select(names[0])  # what needs no counts goes on
    assert len(part.labels) == 34
    with pytest.raises(DataError, match="split named train"):
        _ = part.class_counts


def test_known_splits_without_training_samples_have_counts_of_zero():
    """Nothing of a validation and a target split was trained on; how rare a class was is then unknown."""
    unseen = artifact(split_names=("validation", "target"))
    assert unseen.class_counts.tolist() == [0, 0, 0]
    assert unseen.shots is None
    assert unseen.select("target").class_counts.tolist() == [0, 0, 0]
    with pytest.raises(DataError, match="named train among validation, target; rename it, or name the split"):
        unseen.default_split()


def test_counts_stand_for_a_split_named_train():
    counts = {"train_counts": np.array([[20, 10, 4], [0, 0, 0]])}
    seen = artifact(split_names=("validation", "target"), **counts)
    assert seen.default_split() == "all"
    assert seen.shots == ("many", "medium", "few")
    misspelt = artifact(split_names=("Train", "Test"), **counts)
    assert misspelt.shots == seen.shots
    with pytest.raises(DataError, match="among Train, Test; rename it, or name the split to analyse"):
        misspelt.default_split()
    assert misspelt.select("Train").shots == seen.shots


@pytest.mark.parametrize("found", ["tailgeom-artifact/9", "tailgeom-artifact/10", "tailgeom-artifact/"])
def test_an_artifact_of_another_version_is_refused(tmp_path, found):
    path = artifact().save(tmp_path / "x")
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["held_out"] == "night"
    (path / "manifest.json").write_text(json.dumps(manifest | {"format": found}))
    with pytest.raises(DataError, match=f"got '{found}': the artifact was written by another version"):
        load(path)
    (path / "manifest.json").write_text(json.dumps(manifest | {"held_out": None}))
    assert load(path).held_out is None
