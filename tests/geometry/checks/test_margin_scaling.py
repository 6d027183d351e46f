"""How margins scale with class counts: planted slopes are found, and absent ones seldom."""

from dataclasses import replace

import numpy as np
import pytest

from geometry.artifact import Artifact
from geometry.checks.count_slope import count_slope
from geometry.checks.margin_scaling import margin_scaling
from geometry.checks.sample_parts import sample_parts
from tests.geometry.checks.planted import (
    COUNTS,
    LOG_COUNTS,
    NULLS,
    SCALES,
    K,
    margins,
    powers,
    ragged,
    random_artifact,
    sloped,
)

RULE = "n^(-1/4) rule"


def check(artifact, seed=0, **options):
    return {v.subject: v for v in margin_scaling(artifact, rng=np.random.default_rng(seed), **options)}


def made(maker, seed=0):
    return maker(np.random.default_rng(seed))


@pytest.mark.parametrize(("slope", "outcome"), [(0.5, "holds"), (-0.5, "does not hold")])
def test_planted_slopes_are_found_in_every_scale(slope, outcome):
    found = check(made(ragged(sloped(slope))))
    assert {found[scale].verdict for scale in SCALES} == {outcome}
    logit = found["logit margin"]
    assert logit.estimate.low < slope < logit.estimate.high
    assert found["geometric margin"].estimate.estimate == pytest.approx(logit.estimate.estimate / np.sqrt(2))
    assert logit.estimate.n == K


def test_logit_margins_by_class_equal_loops():
    artifact = made(ragged(sloped(0.3)))
    part = check(artifact)["logit margin"].details["parts"]["unseen target"]
    away = artifact.domains == 3
    for k in range(K):
        own = [row[k] - max(np.delete(row, k)) for row in artifact.logits[away & (artifact.labels == k)]]
        assert part["mean"].value[k] == pytest.approx(np.mean(own))
        assert part["low"].value[k] == pytest.approx(np.quantile(own, 0.05))


def test_more_unseen_samples_of_rare_classes_in_easy_domains_are_no_effect():
    """Rare classes leave more of their source images unseen; the target being harder, pooled margins would mislead."""
    rng = np.random.default_rng(0)
    labels, domains = np.repeat(np.arange(K), 40), np.tile([0, 1], 20 * K)
    spare = np.repeat(np.arange(K), 6 * np.arange(K))
    labels, domains = np.r_[labels, spare], np.r_[domains, np.zeros(spare.size, dtype=int)]
    scores = np.zeros((labels.size, K))
    scores[np.arange(labels.size), labels] = 3.0 - 2.0 * domains + 0.05 * rng.normal(size=labels.size)
    artifact = Artifact(
        features=scores,
        labels=labels,
        logits=scores,
        domains=domains,
        domain_names=("easy", "hard"),
        held_out="hard",
        class_names=tuple("abcdefg"),
        train_counts=np.vstack([COUNTS.sum(axis=0), np.zeros(K, dtype=int)]),
    )
    pooled = [artifact.logits[labels == k, k].mean() for k in range(K)]
    assert count_slope(pooled, artifact.class_counts).high < 0
    found = check(artifact)["logit margin"].estimate
    assert abs(found.estimate) < 0.02


@pytest.mark.parametrize(
    ("exponent", "outcome"),
    [(-0.25, "holds"), (0.25, "does not hold"), (-0.6, "does not hold"), (0.0, "does not hold")],
)
def test_the_quarter_rule_on_planted_powers(exponent, outcome):
    found = check(made(powers(exponent)))[RULE]
    assert found.verdict == outcome
    assert found.estimate.low < exponent < found.estimate.high


def test_margins_without_logarithms_are_judged_by_sign():
    found = check(made(sloped(0.8, shift=0.0)))
    assert (
        found[RULE].verdict == "undecided" or found["logit margin"].details["parts"]["unseen"]["mean"].not_positive == 0
    )
    artifact = margins(-2.0 + 0.8 * LOG_COUNTS, np.random.default_rng(0))
    found = check(artifact)
    assert found["logit margin"].details["parts"]["unseen"]["mean"].not_positive > 0
    assert found[RULE].verdict == "does not hold"
    assert found[RULE].estimate == found["logit margin"].estimate
    assert "have no logarithm" in found[RULE].note
    falling = margins(2.0 - 0.8 * LOG_COUNTS, np.random.default_rng(0))
    assert check(falling)[RULE].verdict == "undecided"


def test_training_samples_stand_apart_and_decide_nothing():
    artifact = made(sloped(0.5))
    trained = artifact.domains == 0
    mixed = replace(
        artifact, split=np.where(trained, 2, artifact.split), split_names=("source_test", "target", "train")
    )
    found = check(mixed)["logit margin"].details
    assert list(found["parts"]) == ["unseen", "unseen sources", "unseen target", "train"]
    np.testing.assert_array_equal(found["samples"]["train"], np.bincount(artifact.labels[trained], minlength=K))
    alone = check(mixed.take(np.flatnonzero(~trained)))["logit margin"].details["parts"]
    np.testing.assert_allclose(found["parts"]["unseen"]["mean"].value, alone["unseen"]["mean"].value)
    only = check(mixed.select("train"))["logit margin"]
    assert only.details["decides"] == "train"
    assert "were trained" in only.note


def test_parts_cover_the_samples():
    artifact = made(sloped(0.5))
    parts = sample_parts(artifact)
    assert np.sort(np.r_[parts["unseen sources"], parts["unseen target"]]).tolist() == parts["unseen"].tolist()


def test_cells_regress_on_their_own_counts():
    rng = np.random.default_rng(0)
    counts = np.array([[150, 80, 40, 20, 10, 5, 2], [2, 5, 10, 20, 40, 80, 150]])
    artifact = margins(np.zeros(7), rng, counts=counts, spread=0.05)
    rise = np.where(artifact.domains < 2, 0.4 * np.log(counts[np.minimum(artifact.domains, 1), artifact.labels]), 0.0)
    scores = artifact.logits + rise[:, None] * np.eye(7)[artifact.labels]
    cells = check(replace(artifact, logits=scores))["logit margin"].details["cells"]
    assert cells.class_effects.estimate == pytest.approx(0.4, abs=0.03)
    assert cells.value.shape == cells.counts.shape == (2, 7)


def test_a_slope_that_one_class_alone_carries_is_undecided():
    """Step imbalance with one class of its own count: its margin may differ for any reason."""
    counts = np.array([[500, 100, 100, 100, 100, 100, 100]])
    for order in (np.arange(K), np.roll(np.arange(K), 3)):
        centres = 2.0 + 0.5 * np.log(counts[0, order])
        found = check(margins(centres, np.random.default_rng(0), spread=0.05, counts=counts[:, order]))
        assert {v.verdict for v in found.values()} == {"undecided"}
        assert all("one class alone carries the slope" in v.note for v in found.values())


def test_classes_that_no_domain_links_to_the_others_are_left_out_and_told():
    artifact = made(sloped(0.5))
    apart = (artifact.labels >= 5) == (artifact.domains >= 2)  # the two rarest classes only in domains without others
    whole = artifact.take(np.flatnonzero(apart))
    found, alone = check(whole), check(whole.take(np.flatnonzero(whole.labels < 5)))
    for name in ("logit margin", RULE):
        assert found[name].estimate == alone[name].estimate
        assert "2 classes left out, not linked to the others by any domain" in found[name].note
        assert "not linked" not in alone[name].note
    value = found["logit margin"].details["parts"]["unseen"]["mean"].value
    assert np.isfinite(value).tolist() == [True] * 5 + [False] * 2


def test_what_is_missing_is_said():
    artifact = random_artifact(np.random.default_rng(0))
    bare = check(replace(artifact, logits=None, head_weight=None))
    assert {v.verdict for v in bare.values()} == {"undecided"}
    assert "needs logits or a linear head" in bare[RULE].note
    headless = check(replace(artifact, head_weight=None))
    assert "weights of a linear head" in headless["geometric margin"].note
    assert np.isfinite(headless["logit margin"].estimate.estimate)
    same = check(replace(artifact, train_counts=np.full((4, K), 5) * [[1], [1], [1], [0]]))
    assert "counts do not vary" in same["logit margin"].note


@pytest.mark.parametrize("noise", ["alike", "rare classes noisier", "heavy tails"])
def test_a_slope_of_zero_is_seldom_excluded(noise):
    rng, counts = np.random.default_rng(0), COUNTS.sum(axis=0)
    scale = 2.0 if noise == "rare classes noisier" else 1.0
    spread = scale ** -np.linspace(-1, 1, K)[::-1]
    wrong = 0
    for _ in range(400):
        errors = rng.standard_t(3, K) if noise == "heavy tails" else rng.normal(size=K)
        found = count_slope(spread * errors, counts)
        wrong += not found.low <= 0.0 <= found.high
    assert wrong / 400 < 0.09


@pytest.mark.parametrize("null", ["slope 0, ragged cells", "exponent -1/8"])
def test_decisions_at_the_threshold_are_rare(null):
    entry, n = NULLS["margin_scaling"][null], 50
    wrong = dict.fromkeys(entry.subjects, 0)
    for draw in range(n):
        artifact = replace(entry.make(np.random.default_rng([7, draw])), held_out=None)  # one part, for speed
        found = check(artifact, seed=draw, resamples=20)
        for subject in wrong:
            wrong[subject] += found[subject].verdict != "undecided"
    assert max(wrong.values()) <= 8  # P(X > 8) < 0.001 for a rate of 5% of 50
