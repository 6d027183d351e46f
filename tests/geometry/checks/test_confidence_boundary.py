"""Confidence against the distance to the boundary in feature space."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from geometry.artifact import Artifact
from geometry.atomic import plain
from geometry.checks.confidence_boundary import THRESHOLD, log_odds, signed_boundary_distance
from geometry.shots import ShotThresholds
from tests.geometry.checks.planted_models import check, linear_model


def test_signed_distance_equals_brute_force_projection_on_a_random_head():
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(5, 4)), rng.normal(size=5)
    points, labels = rng.normal(size=(50, 4)) * 2, rng.integers(0, 5, 50)
    scores = points @ weight.T + bias
    predicted = scores.argmax(axis=1)
    distances = signed_boundary_distance(scores, labels, weight)
    assert {True, False} == set(predicted == labels)
    for i, point in enumerate(points):
        own, best = predicted[i], np.inf
        for j in set(range(5)) - {own}:
            normal = weight[own] - weight[j]
            step = ((point @ normal) + bias[own] - bias[j]) / (normal @ normal) * normal
            # the projection on the plane of the pair counts when no third class has taken over before it
            there = (point - 1.000001 * step) @ weight.T + bias
            if there.argmax() == j:
                best = min(best, np.linalg.norm(step))
        assert abs(distances[i]) == pytest.approx(best)
        assert (distances[i] > 0) == (predicted[i] == labels[i])
        # nothing nearer changes the prediction, whatever the direction
        ways = rng.normal(size=(300, 4))
        ways *= 0.999 * abs(distances[i]) / np.linalg.norm(ways, axis=1, keepdims=True)
        assert np.all(((point + ways) @ weight.T + bias).argmax(axis=1) == own)


def test_log_odds_rank_like_probabilities_and_do_not_saturate():
    scores = np.random.default_rng(0).normal(size=(100, 5)) * 2
    labels = np.arange(100) % 5
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    own = p[np.arange(100), labels]
    np.testing.assert_allclose(log_odds(scores, labels), np.log(own / (1 - own)))
    steep = np.array([[900.0, 0.0], [800.0, 0.0], [-900.0, 0.0]])
    np.testing.assert_allclose(log_odds(steep, np.zeros(3, int)), [900.0, 800.0, -900.0])


def test_holds_on_a_well_read_gaussian_model():
    verdict = check(linear_model())
    assert verdict.verdict == "holds"
    assert verdict.n == 400
    assert verdict.estimate.estimate > 0.9


def test_two_classes_agree_exactly_because_both_read_one_logit():
    verdict = check(linear_model(k=2))
    assert verdict.estimate.estimate == pytest.approx(1.0)
    assert verdict.verdict == "holds"


def test_does_not_hold_when_sharp_pairs_are_near_and_blunt_pairs_far():
    # Logits are the head's own. One pair of classes is told apart by large weights at small distances, the other by
    # small weights at large distances, so confidence is highest where the boundary is nearest. A third axis keeps the
    # two pairs far apart.
    rng = np.random.default_rng(0)
    weight = np.array([[40.0, 0.0, -3.0], [-40.0, 0.0, -3.0], [0.0, 0.2, 3.0], [0.0, -0.2, 3.0]])
    labels = np.repeat(np.arange(4), 100)
    sharp, side = labels < 2, np.where(labels % 2 == 0, 1.0, -1.0)
    features = np.column_stack(
        [
            np.where(sharp, side * rng.uniform(0.1, 0.2, 400), 0.0),
            np.where(sharp, 0.0, side * rng.uniform(1.0, 5.0, 400)),
            np.where(sharp, -5.0, 5.0),
        ]
    )
    artifact = Artifact(
        features=features,
        labels=labels,
        class_names=tuple("abcd"),
        logits=features @ weight.T,
        head_weight=weight,
    )
    verdict = check(artifact)
    assert verdict.verdict == "does not hold"
    assert verdict.estimate.estimate < 0.0
    assert verdict.details["misclassified"] == 0.0
    assert "not the head's" not in verdict.note


def test_does_not_hold_when_logits_are_foreign_to_the_head():
    artifact = linear_model()
    foreign = np.random.default_rng(1).normal(size=artifact.logits.shape)
    verdict = check(replace(artifact, logits=foreign))
    assert verdict.verdict == "does not hold"
    assert "not the head's scores" in verdict.note


def test_misclassified_samples_carry_signed_but_not_near():
    # A third of the samples lie as deep in the wrong region as the others do in the right one.
    artifact = linear_model(k=2, noise=0.4)
    flipped = artifact.labels.copy()
    flipped[::3] = 1 - flipped[::3]
    verdict = check(replace(artifact, labels=flipped))
    found = {name: part["all"].estimate for name, part in verdict.details["correlations"].items()}
    assert found["signed"] == pytest.approx(1.0)
    assert found["unsigned"] == pytest.approx(1.0)
    assert found["near"] < 0.7
    assert f"without sign: all {found['near']:.2f}" in verdict.note
    assert verdict.details["misclassified"] == pytest.approx(1 / 3, abs=0.03)


def test_variants_equal_scipy():
    artifact = linear_model(noise=2.0)
    found = check(artifact).details["correlations"]
    p = artifact.probabilities()
    own = p[np.arange(400), artifact.labels]
    distance = signed_boundary_distance(artifact.logits, artifact.labels, artifact.head_weight)
    assert found["signed"]["all"].estimate == pytest.approx(spearmanr(own, distance).statistic)
    assert found["unsigned"]["all"].estimate == pytest.approx(spearmanr(p.max(axis=1), abs(distance)).statistic)
    assert found["near"]["all"].estimate == pytest.approx(spearmanr(own, abs(distance)).statistic)


def test_domains_and_shot_groups_have_their_own_numbers():
    artifact = linear_model(
        domains=np.arange(400) % 2,
        domain_names=("a", "b", "empty"),
        train_counts=np.array([[100, 50, 9, 1], [90, 40, 9, 2], [0, 0, 0, 0]]),
        shot_thresholds=ShotThresholds(many=60, few=5),
    )
    found = check(artifact).details["correlations"]["signed"]
    groups = {"shot many", "shot medium", "shot few"}
    assert set(found) == {"all", "correct", "misclassified", "domain a", "domain b"} | groups
    assert found["domain a"].n == 200
    assert found["shot few"].n == int((artifact.labels == 3).sum())


def test_too_little_data_is_undecided():
    artifact = linear_model(n=29)
    verdict = check(artifact)
    assert verdict.verdict == "undecided"
    assert "fewer than 30" in verdict.note
    assert np.isnan(verdict.estimate.estimate)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"head_weight": None}, "linear head"), ({"class_names": ("a",)}, "one class")],
)
def test_missing_parts_are_undecided_with_the_reason(change, reason):
    if "class_names" in change:
        artifact = Artifact(features=np.ones((40, 2)), labels=np.zeros(40, int), head_weight=np.ones((1, 2)), **change)
    else:
        artifact = replace(linear_model(), **change)
    verdict = check(artifact)
    assert verdict.verdict == "undecided"
    assert reason in verdict.note


def test_a_head_that_distinguishes_nothing_is_undecided():
    artifact = replace(linear_model(), head_weight=np.ones((4, 6)), logits=None)
    verdict = check(artifact)
    assert verdict.verdict == "undecided"
    assert "does not vary" in verdict.note


def test_singleton_cells_do_not_break_the_interval():
    artifact = linear_model(n=60, k=30, d=30, domains=np.arange(60) % 3, domain_names=("a", "b", "c"))
    assert np.isfinite(check(artifact).estimate.low)


def test_scatter_is_small_deterministic_and_ready_for_json():
    artifact = linear_model(n=2500, noise=3.0)
    first, second = check(artifact, seed=0, resamples=20), check(artifact, seed=5, resamples=20)
    scatter = first.details["scatter"]
    assert len(scatter.confidence) == len(scatter.correct) == 2000
    np.testing.assert_array_equal(scatter.distance, second.details["scatter"].distance)
    p = artifact.probabilities()[np.arange(2500), artifact.labels]
    assert np.isclose(scatter.confidence[:, None], p[None, :], atol=1e-12).any(axis=1).all()
    np.testing.assert_array_equal(scatter.correct, scatter.distance > 0)
    json.dumps(plain(first), allow_nan=False)


def null_artifact(rng, n=150):
    """Two classes; confidence and signed distance have a Spearman correlation of exactly the threshold."""
    pearson = 2 * np.sin(np.pi * THRESHOLD / 6)
    distance = rng.normal(size=n)
    confidence = pearson * distance + np.sqrt(1 - pearson**2) * rng.normal(size=n)
    return Artifact(
        features=distance[:, None],
        labels=np.zeros(n, int),
        class_names=("a", "b"),
        logits=np.column_stack([confidence, -confidence]),
        head_weight=np.array([[1.0], [-1.0]]),
    )


def test_false_verdicts_stay_near_the_stated_level_at_the_threshold():
    rng, outcomes = np.random.default_rng(0), []
    for _ in range(60):
        outcomes.append(check(null_artifact(rng), seed=int(rng.integers(1 << 31)), resamples=60).verdict)
    # 2.5% on either side; central 99.9% of binomial(60, 0.025) ends at 7
    assert outcomes.count("holds") <= 7
    assert outcomes.count("does not hold") <= 7
    assert outcomes.count("undecided") < 60
