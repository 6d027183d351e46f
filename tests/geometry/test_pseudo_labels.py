"""Pseudo-label quality against loops over samples."""

import json
from dataclasses import fields

import numpy as np
import pytest

from geometry.artifact import Artifact
from geometry.atomic import plain
from geometry.errors import DataError, UsageError
from geometry.pseudo_labels import PseudoLabelRow, measure_pseudo_labels, pseudo_label_quality
from geometry.shots import ShotThresholds

NAMES = ("a", "b", "c", "d")
GROUPS = {"many": np.array([True, True, False, False]), "few": np.array([False, False, True, True])}


def drawn(seed, size=40):
    """Probabilities that know a little of the labels; no sample of the last class, and nobody says "c" surely."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=size, p=[0.6, 0.3, 0.1])
    logits = 2 * rng.normal(size=(size, 4)) + 2 * np.eye(4)[labels]
    p = np.exp(logits)
    return p / p.sum(axis=1, keepdims=True), labels


def share(found, of):
    return found / of if of else float("nan")


def naive(p, labels, of, threshold):
    """One row over the samples of a class, in a loop."""
    counts = dict.fromkeys(("n", "right", "kept", "kept_right", "named", "kept_named", "all_kept"), 0)
    for row, label in zip(p.tolist(), labels.tolist(), strict=True):
        named, sure = row.index(max(row)), max(row) >= threshold
        counts["all_kept"] += sure
        if label == of:
            counts["n"] += 1
            counts["right"] += named == label
            counts["kept"] += sure
            counts["kept_right"] += sure and named == label
        counts["named"] += named == of
        counts["kept_named"] += sure and named == of
    return [
        share(counts["right"], counts["n"]),
        share(counts["kept"], counts["n"]),
        share(counts["kept_right"], counts["kept"]),
        share(counts["kept_right"], counts["kept_named"]),
        share(counts["n"], len(labels)),
        share(counts["named"], len(labels)),
        share(counts["kept_named"], counts["all_kept"]),
        counts["n"] > 0,
        counts["n"],
        counts["kept"],
        counts["named"],
        counts["kept_named"],
    ]


def values(row):
    return [getattr(row, field.name) for field in fields(PseudoLabelRow)][1:]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.0, 0.7, 0.95, 1.0])
def test_classes_are_those_of_a_loop_and_groups_their_means(seed, threshold):
    p, labels = drawn(seed)
    found = measure_pseudo_labels(p, labels, NAMES, GROUPS, threshold=threshold)
    expected = np.array([naive(p, labels, k, threshold) for k in range(4)], dtype=float)
    for name, row in zip(NAMES, expected, strict=True):
        assert found.classes[name].group == name
        np.testing.assert_allclose(values(found.classes[name]), row, rtol=1e-12)
    for name, mask in ({"all": np.ones(4, dtype=bool)} | GROUPS).items():
        for column, value in enumerate(values(found.groups[name])):
            present = expected[mask, column][np.isfinite(expected[mask, column])]
            if column < 4:
                assert value == pytest.approx(present.mean() if present.size else np.nan, nan_ok=True)
            else:
                assert value == pytest.approx(expected[mask, column].sum(), nan_ok=True)
    predicted, true = expected[:, 5], expected[:, 4]
    assert found.total_variation == pytest.approx(sum(abs(a - b) for a, b in zip(predicted, true, strict=True)) / 2)


def test_pooled_counts_samples_alike():
    p, labels = drawn(0)
    pooled = measure_pseudo_labels(p, labels, NAMES, GROUPS, threshold=0.7).groups["pooled"]
    right, kept = p.argmax(axis=1) == labels, p.max(axis=1) >= 0.7
    assert pooled.accuracy == right.mean()
    assert pooled.kept == kept.mean()
    assert pooled.kept_accuracy == pooled.kept_precision == right[kept].mean()
    assert (pooled.n, pooled.n_kept, pooled.true_share) == (40, kept.sum(), 1.0)


def test_total_variation_by_hand():
    p = [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]]
    found = measure_pseudo_labels(p, [0, 1, 1, 1], ("a", "b"), {}, threshold=0.75)
    assert found.total_variation == 0.5  # three of four are called a, one is
    assert found.kept_total_variation == 0.75  # both kept ones are
    assert measure_pseudo_labels(p, [0, 0, 0, 1], ("a", "b"), {}).total_variation == 0.0


def test_empty_cells_are_nan_with_a_count():
    found = measure_pseudo_labels([[0.6, 0.4]], [0], ("a", "b"), {}, threshold=0.9)
    assert found.classes["b"].n == found.groups["all"].n_kept == 0
    for value in (found.classes["b"].accuracy, found.groups["all"].kept_accuracy, found.kept_total_variation):
        assert np.isnan(value)
    assert found.groups["all"].accuracy == 1.0
    nothing = measure_pseudo_labels(np.zeros((0, 2)), [], ("a", "b"), {})
    assert np.isnan(nothing.total_variation)
    assert nothing.groups["pooled"].n == 0
    assert "NaN" not in json.dumps(plain(found))


def test_of_an_artifact_it_is_the_unlabelled_part_by_shot_group():
    rng = np.random.default_rng(0)
    labels, split = rng.integers(0, 3, 30), np.repeat([0, 1], 15)
    logits = 3 * rng.normal(size=(30, 3))
    artifact = Artifact(
        features=rng.normal(size=(30, 2)),
        labels=labels,
        class_names=("a", "b", "c"),
        logits=logits,
        split=split,
        split_names=("train", "unlabelled"),
        train_counts=np.array([[100, 20, 2]]),
        shot_thresholds=ShotThresholds(50, 5),
    )
    found = pseudo_label_quality(artifact, threshold=0.8)
    part = np.exp(logits[split == 1])
    part /= part.sum(axis=1, keepdims=True)
    groups = {"many": np.array([1, 0, 0]) > 0, "medium": np.array([0, 1, 0]) > 0, "few": np.array([0, 0, 1]) > 0}
    assert plain(found) == plain(
        measure_pseudo_labels(part, labels[split == 1], ("a", "b", "c"), groups, threshold=0.8)
    )
    assert list(found.groups) == ["pooled", "all", "many", "medium", "few"]
    with pytest.raises(UsageError, match="Unknown split"):
        pseudo_label_quality(artifact, split="target")


def test_bad_input_is_one_sentence():
    with pytest.raises(DataError, match=r"finite probabilities \(1, 2\)"):
        measure_pseudo_labels([[0.5, 0.3, 0.2]], [0], ("a", "b"), {})
    for labels in ([0, 2], [-1, 0]):
        with pytest.raises(DataError, match=r"labels in 0\.\.1, got"):
            measure_pseudo_labels([[0.5, 0.5]] * 2, labels, ("a", "b"), {})
    with pytest.raises(UsageError, match=r"threshold in \[0, 1\]"):
        measure_pseudo_labels([[0.5, 0.5]], [0], ("a", "b"), {}, threshold=95)
