from dataclasses import replace

import numpy as np
import pytest

from geometry.artifact import Artifact
from geometry.checks.balanced_means import ClassVectors, balanced_means, pair_interval
from geometry.checks.class_margins import class_weights_of_cells
from geometry.checks.simplex_alignment import SMALLEST_CLASS, simplex_alignment
from geometry.frames import simplex_etf
from tests.geometry.checks.planted import (
    NULLS,
    K,
    clusters,
    merged,
    prototypes_at,
    random_artifact,
    vectors_at,
)

MEANS, PROTOTYPES, ROWS = "class means", "prediction prototypes", "classifier rows"


def check(artifact, seed=0, **options):
    return {v.subject: v for v in simplex_alignment(artifact, rng=np.random.default_rng(seed), **options)}


def simplex(seed=0, **options):
    return clusters(simplex_etf(K) @ np.eye(K, 16), np.random.default_rng(seed), noise=0.1, **options)


def test_a_simplex_holds_for_all_three():
    found = check(simplex())
    assert {v.verdict for v in found.values()} == {"holds"}
    assert found[ROWS].estimate.estimate == pytest.approx(0.0, abs=1e-9)
    assert found[ROWS].estimate.low == found[ROWS].estimate.high
    assert found[ROWS].estimate.method.startswith("exact, one run")
    assert found[MEANS].details["agreement"][ROWS] < 0.05
    assert found[MEANS].details["equilibrium"].nc3 < 0.05


def test_minority_collapse_breaks_it_in_the_few_few_block():
    found = check(merged(np.random.default_rng(0)))
    assert found[MEANS].verdict == "does not hold"
    blocks = found[MEANS].details["blocks"]
    assert blocks["few-few"].cosine.low > 0.8
    assert blocks["many-many"].cosine.high < 0.2


def test_the_number_equals_a_loop():
    artifact = clusters(np.random.default_rng(5).normal(size=(K, 9)), np.random.default_rng(1))
    found = check(artifact)[MEANS]
    means = [
        [artifact.features[(artifact.labels == k) & (artifact.domains == d)].mean(axis=0) for d in range(4)]
        for k in range(K)
    ]
    means = np.array(means).mean(axis=1)
    means = means - means.mean(axis=0)
    groups, gaps, kinds = found.details["groups"], [], {}
    for i in range(K):
        for j in range(i + 1, K):
            cosine = means[i] @ means[j] / np.linalg.norm(means[i]) / np.linalg.norm(means[j])
            gaps.append(abs(cosine + 1 / (K - 1)))
            order = sorted((groups[i], groups[j]), key=("many", "medium", "few").index)
            kinds.setdefault("-".join(order), []).append(cosine)
    assert found.estimate.estimate == pytest.approx(np.mean(gaps))
    assert set(found.details["blocks"]) == set(kinds)
    for kind, cosine in kinds.items():
        assert found.details["blocks"][kind].pairs == len(cosine)
        assert found.details["blocks"][kind].cosine.estimate == pytest.approx(np.mean(cosine))
    assert found.details["target"] == pytest.approx(-1 / 6)


def test_unequal_lengths_do_not_matter_to_angles_and_are_told():
    lengths = np.linspace(0.5, 2.0, K)
    rows = simplex_etf(K)
    artifact = replace(simplex(), head_weight=rows @ np.eye(K, 16), logits=None)
    assert check(artifact)[ROWS].estimate.estimate == pytest.approx(0.0, abs=1e-9)
    stretched = check(replace(artifact, head_weight=lengths[:, None] * rows @ np.eye(K, 16)))[ROWS]
    assert stretched.details["equilibrium"].norm_cov > 0.1


def test_the_origin_and_the_scale_do_not_matter():
    artifact = clusters(np.random.default_rng(5).normal(size=(K, 9)), np.random.default_rng(1))
    moved = replace(artifact, features=1000.0 + 3.0 * artifact.features)
    assert check(moved)[MEANS].estimate.estimate == pytest.approx(check(artifact)[MEANS].estimate.estimate, abs=1e-6)


@pytest.mark.parametrize("dimension", [2, 24, 400])
def test_noise_never_passes_for_a_simplex(dimension):
    """Class means of pure noise are nearly orthogonal; centred, they are a simplex."""
    for seed in range(5):
        artifact = random_artifact(np.random.default_rng(seed), dimension=dimension, per_cell=10)
        found = check(artifact)[MEANS]
        assert found.verdict != "holds"
        if dimension > 2:
            assert found.verdict == "undecided"
            assert "sampling noise" in found.note


def test_noise_share_is_the_expected_squared_error():
    rng = np.random.default_rng(0)
    labels, domains = np.repeat(np.arange(4), [13, 10, 40, 15]), np.tile([0, 0, 1], 26)
    spread = np.array([1.0, 2.0, 0.5, 1.5])
    truth = 3.0 * rng.normal(size=(4, 6))
    centred, shift = truth - truth.mean(axis=0), rng.normal(size=(2, 6))
    _, weights = class_weights_of_cells(np.tile([0, 1], 4), np.repeat(np.arange(4), 2))
    share, error = np.zeros(4), np.zeros(4)
    for _ in range(800):
        values = truth[labels] + shift[domains] + spread[labels, None] * rng.normal(size=(labels.size, 6))
        found = balanced_means(values, labels, domains, shape=(2, 4), fewest=5, most_noise=9.0, rng=rng, resamples=0)
        cells = np.stack([values[(labels == k) & (domains == d)].mean(axis=0) for k in range(4) for d in range(2)])
        means = weights @ cells
        means -= means.mean(axis=0)
        share += found.noise * (means**2).sum(axis=1) / 800
        error += ((means - centred) ** 2).sum(axis=1) / 800
    np.testing.assert_allclose(share, error, rtol=0.1)


def test_the_mixture_of_domains_of_a_class_does_not_matter():
    """Domains differ by a shift and classes are seen in different mixtures: pooled means would lean towards it."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(K), 120)
    domains = (rng.random(labels.size) < np.linspace(0.1, 0.9, K)[labels]).astype(np.int64)
    shift = 3.0 * rng.normal(size=(2, 16)) / 4
    features = (simplex_etf(K) @ np.eye(K, 16))[labels] + shift[domains] + 0.1 * rng.normal(size=(labels.size, 16))
    artifact = Artifact(
        features=features,
        labels=labels,
        domains=domains,
        domain_names=("a", "b"),
        class_names=tuple("abcdefg"),
    )
    assert check(artifact)[MEANS].verdict == "holds"
    pooled = np.stack([features[labels == k].mean(axis=0) for k in range(K)])
    pooled -= pooled.mean(axis=0)
    lengths = np.linalg.norm(pooled, axis=1)
    cosine = (pooled @ pooled.T / np.outer(lengths, lengths))[np.triu_indices(K, 1)]
    assert np.abs(cosine + 1 / 6).mean() > 0.1


def test_classes_of_few_samples_are_left_out_and_counted():
    artifact = simplex()
    rare = np.flatnonzero(artifact.labels == 6)[SMALLEST_CLASS - 1 :]  # the rest are in one cell
    found = check(artifact.take(np.setdiff1d(np.arange(artifact.labels.size), rare)))[MEANS]
    assert found.details["target"] == pytest.approx(-1 / 5)
    assert "6 of 7 classes" in found.note
    assert found.verdict == "holds"
    some = artifact.take(np.flatnonzero(artifact.labels < 3))
    assert check(some)[MEANS].verdict == "undecided"


def test_classes_that_no_domain_links_to_the_others_are_left_out_and_told():
    """A single sample would link them, but such cells are left out; then their domains' shift is theirs too."""
    artifact = clusters(simplex_etf(K) @ np.eye(K, 16), np.random.default_rng(0), noise=0.1, shift=3.0)
    apart = (artifact.labels >= 5) == (artifact.domains >= 2)
    link = np.flatnonzero((artifact.labels == 5) & (artifact.domains == 0))[:1]
    found = check(artifact.take(np.sort(np.r_[np.flatnonzero(apart), link])))[MEANS]
    assert found.verdict == "holds"
    assert found.details["classes"] == tuple(f"class {k}" for k in range(5))
    assert "5 of 7 classes; 2 classes left out, not linked to the others by any domain" in found.note
    home = np.array([0, 0, 0, 1, 1, 2, 2])  # three parts: no half of the classes can be compared
    fewer = check(artifact.take(np.flatnonzero(np.minimum(artifact.domains, 2) == home[artifact.labels])))[MEANS]
    assert fewer.verdict == "undecided"
    assert "3 of 7 classes" in fewer.note
    assert "4 classes left out, not linked" in fewer.note


def test_sources_and_target_stand_apart():
    artifact = simplex()
    away = artifact.domains == 3
    shuffled = np.where(away, 6 - artifact.labels, artifact.labels)
    bent = artifact.features.copy()
    bent[away] = np.random.default_rng(0).normal(size=(K, 16))[shuffled[away]] + 0.1 * bent[away]
    found = check(replace(artifact, features=bent))[MEANS].details["deviation"]
    assert found["unseen sources"].high < 0.1 < found["unseen target"].low


def test_rows_of_classes_never_trained_are_left_out():
    artifact = simplex()
    counts = artifact.train_counts.copy()
    counts[:, 2] = 0
    weight = artifact.head_weight.copy()
    weight[2] = weight[3]
    found = check(replace(artifact, train_counts=counts, head_weight=weight))[ROWS]
    assert found.verdict == "holds"
    assert "class 2" not in found.details["classes"]


def test_too_few_dimensions_are_told():
    artifact = clusters(np.random.default_rng(0).normal(size=(K, 3)), np.random.default_rng(1))
    found = check(artifact)[MEANS]
    assert found.verdict == "does not hold"
    assert "no simplex of 7 classes exists in 3 dimensions" in found.note


def test_planted_nulls_sit_at_the_threshold():
    for dimension in (None, 64):
        vectors = vectors_at(0.1, np.random.default_rng(0), dimension=dimension)
        artifact = clusters(vectors, np.random.default_rng(1), noise=1e-9)
        assert check(artifact)[MEANS].estimate.estimate == pytest.approx(0.1, abs=1e-6)
    exact = prototypes_at(0.1, np.random.default_rng(0), concentration=1e9)
    assert check(exact)[PROTOTYPES].estimate.estimate == pytest.approx(0.1, abs=1e-4)


def test_missing_parts_are_told():
    artifact = replace(simplex(), logits=None, head_weight=None)
    found = check(artifact)
    assert "need logits" in found[PROTOTYPES].note
    assert "no linear head" in found[ROWS].note
    assert found[MEANS].verdict == "holds"


@pytest.mark.parametrize("null", sorted(NULLS["simplex_alignment"]))
def test_decisions_at_the_threshold_are_rare(null):
    entry, n, wrong = NULLS["simplex_alignment"][null], 50, 0
    for draw in range(n):
        artifact = replace(entry.make(np.random.default_rng([7, draw])), held_out=None)  # one part, for speed
        wrong += check(artifact, draw, resamples=60)[entry.subjects[0]].verdict != "undecided"
    assert wrong <= 9  # P(X > 9) < 0.001 for a rate of 6% of 50


def test_the_interval_spans_the_estimate_with_and_without_bias():
    draws = np.column_stack([np.linspace(0.1, 0.3, 41), np.zeros(41), np.zeros(41)])
    cosines = np.array([[1, 0.15, 0], [0.15, 1, 0], [0, 0, 1.0]])
    vectors = ClassVectors(np.arange(3), cosines, draws, np.zeros(3), 0.0, 60, 3, 0, freedom=10)
    first = np.array([True, False, False])
    found = pair_interval(vectors, first, lambda c: c.mean(axis=-1), level=0.95, span=(-1.0, 1.0))
    half = 2.228139 * draws[:, 0].std(ddof=1)  # t quantile, 10 df
    assert (found.low, found.high) == pytest.approx((0.10 - half, 0.15 + half))  # bias 0.05
    few = replace(vectors, draws=draws[:19])
    assert np.isnan(pair_interval(few, first, lambda c: c.mean(axis=-1), level=0.95, span=(-1.0, 1.0)).low)
