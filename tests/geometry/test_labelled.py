"""Samples that were trained on without a label are neither unseen nor counted as labelled."""

from dataclasses import replace

import numpy as np
import pytest

from geometry.artifact import Artifact
from geometry.bound import estimate
from geometry.checks.run import run_checks, unseen
from geometry.checks.sample_parts import sample_parts
from geometry.errors import DataError
from geometry.labelled import has_unlabelled, labelled_counts, trained_on
from geometry.theory_fit import compare_to_optimum

SPLITS = ("train", "validation", "source_test", "target", "unlabelled")
PER_CELL = {
    "train": (4, 4, 4, 4, 2),
    "unlabelled": (60, 20, 8, 2, 0),
    "source_test": (30,) * 5,
    "target": (20,) * 5,
}


@pytest.fixture
def artifact():
    """Two sources and a target; the first class has 128 training images, of which 8 have a label."""
    rng = np.random.default_rng(0)
    rows = [
        (m, k, SPLITS.index(part))
        for part, sizes in PER_CELL.items()
        for m in ((2,) if part == "target" else (0, 1))
        for k, size in enumerate(sizes)
        for _ in range(size)
    ]
    domains, labels, split = np.array(rows).T
    counts = np.array([[64, 24, 12, 6, 2], [64, 24, 12, 6, 2], [0] * 5])
    weight = rng.normal(size=(5, 6))
    features = 4 * weight[labels] + rng.normal(size=(len(labels), 6))
    return Artifact(
        features=features,
        labels=labels,
        class_names=tuple("abcde"),
        logits=features @ weight.T,
        domains=domains,
        domain_names=("day", "dusk", "night"),
        split=split,
        split_names=SPLITS,
        head_weight=weight,
        head_bias=np.zeros(5),
        train_counts=counts,
        held_out="night",
    )


def test_labelled_samples_are_counted_apart(artifact):
    assert has_unlabelled(artifact)
    assert labelled_counts(artifact).tolist() == [[4, 4, 4, 4, 2], [4, 4, 4, 4, 2], [0] * 5]
    assert artifact.training_counts.sum() == 216


def test_without_the_labelled_part_their_number_is_not_that_of_all(artifact):
    rest = artifact.take(np.flatnonzero(artifact.split == 4))
    rest = replace(rest, split=np.zeros_like(rest.split), split_names=("unlabelled",))
    with pytest.raises(DataError, match="Expected the split train beside unlabelled, found unlabelled"):
        labelled_counts(rest)


def test_all_labelled_gives_the_training_counts(artifact):
    whole = replace(artifact.take(np.flatnonzero(artifact.split != 4)), split_names=SPLITS[:4])
    assert not has_unlabelled(whole)
    assert labelled_counts(whole) is whole.training_counts
    assert trained_on(whole).sum() == 36


def test_no_check_takes_an_unlabelled_training_sample_for_an_unseen_one(artifact):
    held = unseen(artifact)
    assert len(held.labels) == 300 + 100
    assert not trained_on(held).any()
    parts = sample_parts(artifact)
    assert {name: index.size for name, index in parts.items()} == {
        "unseen": 400, "unseen sources": 300, "unseen target": 100, "train": 216,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["Train", " train", "TRAINING", "train_2"])
def test_no_check_takes_a_training_split_of_another_spelling_for_unseen(artifact, name):
    named = replace(artifact, split_names=(name, *artifact.split_names[1:]), train_counts=artifact.training_counts)
    assert (trained_on(named) == trained_on(artifact)).all()
    assert len(unseen(named).labels) == 300 + 100


def test_complexity_divides_by_labelled_samples_and_the_prior_counts_all(artifact):
    report = estimate(artifact, resamples=20)
    found = [term for term in report.complexity if term.scale == "logit"]
    assert all(term.counts.tolist() == [8, 8, 8, 8, 4] for term in found)
    prior = next(term for term in report.priors if term.basis == "training counts" and term.where.startswith("target"))
    assert prior.total_variation.estimate == pytest.approx(128 / 216 - 1 / 5 + 48 / 216 - 1 / 5, abs=1e-9)


def test_optimum_is_that_of_the_labelled_proportions_and_says_so(artifact):
    fit = compare_to_optimum(artifact, resamples=20, targets=["optimum"], of=["features"])
    equal = compare_to_optimum(artifact, resamples=20, targets=["etf"], of=["features"])
    cosines = fit.comparisons[0].optimal
    assert cosines[0, 0] == pytest.approx(cosines[1, 1], abs=1e-6)  # 8 and 8 of 128 and 48
    assert np.abs(cosines - equal.comparisons[0].optimal).max() > 1e-3
    assert any("labelled training samples" in note for note in fit.notes)


def test_margins_against_counts_say_which_counts(artifact):
    *slopes, _ = run_checks(artifact, names=("margin_scaling",), resamples=20)
    assert len(slopes) == 3
    assert all("with and without a label" in verdict.note for verdict in slopes)
