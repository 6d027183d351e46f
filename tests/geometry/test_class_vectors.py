import numpy as np
import pytest

from geometry import class_vectors
from geometry.artifact import Artifact
from geometry.class_vectors import available, learned_vectors
from geometry.errors import DataError, UsageError
from geometry.intervals import stratified_resamples


def artifact_of(rng, labels, dim=6, classes=4, **extra):
    labels = np.asarray(labels)
    return Artifact(
        features=rng.normal(size=(len(labels), dim)),
        labels=labels,
        class_names=tuple("abcdefgh"[:classes]),
        logits=rng.normal(size=(len(labels), classes)),
        head_weight=rng.normal(size=(classes, dim)),
        **extra,
    )


def naive_cosines(vectors, centre):
    vectors = vectors - vectors.mean(axis=0) if centre else vectors
    return np.array([[u @ v / np.linalg.norm(u) / np.linalg.norm(v) for v in vectors] for u in vectors])


@pytest.mark.parametrize("centre", [True, False])
def test_class_means_from_their_definition(centre):
    rng = np.random.default_rng(0)
    artifact = artifact_of(rng, rng.integers(0, 4, 50))
    softmax = np.exp(artifact.logits) / np.exp(artifact.logits).sum(axis=1, keepdims=True)
    for of, array in (("features", artifact.features), ("predictions", softmax)):
        means = np.stack([array[artifact.labels == k].mean(axis=0) for k in range(4)])
        learned = learned_vectors(artifact, of=of, centre=centre, resamples=0)
        np.testing.assert_allclose(learned.gram, naive_cosines(means, centre), atol=1e-12)
        assert learned.samples == 50
        assert learned.dimension == array.shape[1]
    head = learned_vectors(artifact, of="head", centre=centre)
    np.testing.assert_allclose(head.gram, naive_cosines(artifact.head_weight, centre), atol=1e-12)
    assert (head.samples, head.split, head.draws.shape) == (0, None, (0, 6))


def test_projections_are_vectors_of_their_own():
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 4, 40)
    artifact = artifact_of(rng, labels, projections=rng.normal(size=(40, 3)))
    means = np.stack([artifact.projections[labels == k].mean(axis=0) for k in range(4)])
    learned = learned_vectors(artifact, of="projections", resamples=0)
    np.testing.assert_allclose(learned.gram, naive_cosines(means, True), atol=1e-12)
    assert learned.dimension == 3
    assert available(artifact) == ("features", "projections", "predictions", "head")
    bare = Artifact(features=artifact.features, labels=labels, class_names=artifact.class_names)
    assert available(bare) == ("features",)
    with pytest.raises(DataError, match="needs projections"):
        learned_vectors(bare, of="projections")


def test_effective_rank_is_that_of_the_class_means():
    labels = np.repeat(np.arange(4), 2)
    artifact = Artifact(features=np.eye(4)[labels], labels=labels, class_names=tuple("abcd"))
    assert learned_vectors(artifact, resamples=0).effective_rank == pytest.approx(3.0)
    assert learned_vectors(artifact, centre=False, resamples=0).effective_rank == pytest.approx(4.0)


@pytest.mark.parametrize("centre", [True, False])
def test_draws_are_distributed_as_those_of_one_resample_after_the_other(centre, monkeypatch):
    """Mean and spread of each pair's cosine, residuals longer by sqrt(n/(n-1)); in chunks as well."""
    rng = np.random.default_rng(8)
    artifact = artifact_of(rng, np.repeat(np.arange(3), [4, 9, 30]), classes=3)
    widened = np.array(artifact.features)
    for k, n in enumerate([4, 9, 30]):
        mean = widened[artifact.labels == k].mean(axis=0)
        widened[artifact.labels == k] = mean + np.sqrt(n / (n - 1)) * (widened[artifact.labels == k] - mean)
    naive = []
    for index in stratified_resamples(artifact.labels, 3000, np.random.default_rng(1)):
        means = np.stack([widened[index][artifact.labels[index] == k].mean(axis=0) for k in range(3)])
        naive.append(naive_cosines(means, centre)[np.triu_indices(3, 1)])
    monkeypatch.setattr(class_vectors, "MOST_NUMBERS", 100)
    draws = learned_vectors(artifact, resamples=3000, centre=centre).draws
    np.testing.assert_allclose(draws.mean(axis=0), np.mean(naive, axis=0), atol=0.03)
    np.testing.assert_allclose(draws.std(axis=0), np.std(naive, axis=0), rtol=0.04)


def test_resamples_stay_inside_classes_and_depend_on_the_seed_alone():
    rng = np.random.default_rng(1)
    artifact = artifact_of(rng, [0, 1, 1, 1, 2, 2, 3])
    learned = learned_vectors(artifact, resamples=30, centre=False, seed=5)
    assert learned.draws.shape == (30, 6)
    assert np.isfinite(learned.draws).all()
    np.testing.assert_allclose(learned.draws[:, 2], learned.gram[0, 3], atol=1e-12)  # classes of one sample
    assert learned.draws[:, 3].std() > 0  # classes 1 and 2
    np.testing.assert_array_equal(learned.draws, learned_vectors(artifact, resamples=30, centre=False, seed=5).draws)
    assert (learned.draws != learned_vectors(artifact, resamples=30, centre=False, seed=6).draws).any()


def test_a_common_offset_does_not_drown_the_differences():
    rng = np.random.default_rng(2)
    artifact = artifact_of(rng, rng.integers(0, 4, 60))
    moved = Artifact(features=artifact.features + 1e6, labels=artifact.labels, class_names=artifact.class_names)
    np.testing.assert_allclose(
        learned_vectors(moved, resamples=0).gram, learned_vectors(artifact, resamples=0).gram, atol=1e-8
    )


def test_absent_and_unwanted_classes_are_left_out():
    rng = np.random.default_rng(3)
    artifact = artifact_of(rng, [0, 0, 2, 2, 3])
    assert learned_vectors(artifact).classes.tolist() == [0, 2, 3]
    assert learned_vectors(artifact, among=[True, True, True, False]).classes.tolist() == [0, 2]
    with pytest.raises(DataError, match="at least two"):
        learned_vectors(artifact, among=[True, True, False, False])


def test_splits_and_unknown_names():
    rng = np.random.default_rng(4)
    split = np.array([0, 0, 0, 1, 1, 1])
    artifact = artifact_of(rng, [0, 1, 2, 0, 1, 3], split=split, split_names=("train", "target"))
    assert learned_vectors(artifact).split == "train"
    assert learned_vectors(artifact).classes.tolist() == [0, 1, 2]
    assert learned_vectors(artifact, split="target").classes.tolist() == [0, 1, 3]
    assert learned_vectors(artifact, split="all").classes.tolist() == [0, 1, 2, 3]
    with pytest.raises(UsageError, match="Unknown split"):
        learned_vectors(artifact, split="test")
    with pytest.raises(UsageError, match="Unknown representation 'logits'"):
        learned_vectors(artifact, of="logits")
    with pytest.raises(DataError, match="needs logits"):
        learned_vectors(
            Artifact(features=artifact.features, labels=artifact.labels, class_names=artifact.class_names),
            of="predictions",
        )
