"""The check of hard negatives on planted samples of two to four classes on a line."""

from dataclasses import replace

import numpy as np
import pytest

from geometry.checks.hard_negative_records import KINDS
from geometry.checks.hard_negatives import hard_negatives
from geometry.checks.nearer import Nearer
from geometry.errors import DataError
from tests.geometry.checks.planted_negatives import alike, near, planted

SUBJECTS = (
    "nearer than random mixups",
    "nearer than real samples",
    "nearer than plain hard negatives",
    "are negatives",
)

SEED = 1  # one of the many for which nothing is decided; the last test counts the others


def check(artifact, seed=0, **options):
    return hard_negatives(artifact, rng=np.random.default_rng(seed), **options)


def test_it_holds_where_they_are_nearer_and_on_the_other_side():
    verdicts = check(planted(near(0.2)))
    assert tuple(v.subject for v in verdicts) == SUBJECTS
    assert {v.verdict for v in verdicts} == {"holds"}
    assert verdicts[3].estimate.estimate == 1


def test_it_does_not_hold_where_they_are_farther_and_on_the_same_side():
    verdicts = check(planted(lambda kind, rng, size: np.abs(near(5.0)(kind, rng, size))))
    assert {v.verdict for v in verdicts} == {"does not hold"}
    assert verdicts[3].estimate.estimate == 0


def test_it_is_undecided_where_nothing_differs():
    for verdict in check(planted(alike, batches=150)):
        assert verdict.estimate.estimate == pytest.approx(0.5, abs=0.04)
        assert verdict.estimate.high - verdict.estimate.low < 0.1
    assert [v.verdict for v in check(planted(alike, seed=SEED))] == ["undecided"] * 4


def test_too_little_is_undecided_with_the_reason():
    for artifact in (planted(near(0.2), batches=19), planted(near(0.2), batches=21, each=2)):
        for verdict in check(artifact):
            assert verdict.verdict == "undecided"
            assert "too few" in verdict.note
    full = planted(near(0.2))
    for artifact, reason in ((replace(full, probes={}), "recorded"), (replace(full, head_weight=None), "linear head")):
        verdicts = check(artifact)
        assert tuple(v.subject for v in verdicts) == SUBJECTS
        assert all(v.verdict == "undecided" and reason in v.note for v in verdicts)


def test_the_probability_is_that_of_explicit_loops():
    rng = np.random.default_rng(0)
    values, labels = np.round(rng.exponential(size=60), 1), rng.integers(0, 3, 60)
    batches, kind = rng.integers(0, 5, 60), rng.integers(0, 2, 60)
    times = np.array([2.0, 0.0, 1.0, 1.0, 1.0])
    compare = Nearer(values, labels, batches, kind == 0, kind == 1)
    found = compare.by_class(times)
    for position, k in enumerate(compare.classes):
        wins = mass = rivals = 0.0
        for i in np.flatnonzero((labels == k) & (kind == 0)):
            mass += times[batches[i]]
            for j in np.flatnonzero((labels == k) & (kind == 1)):
                weight = times[batches[i]] * times[batches[j]]
                wins += weight * ((values[i] < values[j]) + 0.5 * (values[i] == values[j]))
        rivals = sum(times[batches[j]] for j in np.flatnonzero((labels == k) & (kind == 1)))
        assert found[0, position] == pytest.approx(wins / rivals)
        assert found[1, position] == mass


def test_a_class_of_one_kind_alone_is_compared_with_nothing():
    artifact = planted(near(0.2))
    probes = dict(artifact.probes)
    made_for_b = (probes["hard_negative/kind"] == 0) & (probes["hard_negative/label"] == 1)
    keep = ~made_for_b
    for name in ("kind", "logits", "label", "coefficient", "batch"):
        probes[f"hard_negative/{name}"] = probes[f"hard_negative/{name}"][keep]
    for name in ("feature", "feature_index"):
        del probes[f"hard_negative/{name}"]
    first = check(replace(artifact, probes=probes))[0]
    assert first.verdict == "holds"
    assert np.isnan(first.details["groups"]["few"].estimate)
    assert first.details["groups"]["many"].estimate == first.estimate.estimate
    assert "picture" not in first.details


def test_samples_that_are_nearly_the_positive_are_counted():
    def draw(kind, rng, size):
        return np.abs(rng.normal(size=size))

    inside = check(planted(draw, coefficient=0.95))[3]
    assert inside.details["nearly"].estimate == 1
    assert inside.details["nearly_outside"].estimate == 0
    assert np.isnan(inside.details["others_outside"].estimate)
    curve = inside.details["outside_by_coefficient"]
    assert curve["negatives"].tolist() == [0] * 9 + [400]
    assert np.isnan(curve["share"][0].estimate)
    mixed = check(planted(draw))[3].details
    artifact = planted(draw)
    made = artifact.probes["hard_negative/kind"] == 0
    expected = np.mean(artifact.probes["hard_negative/coefficient"][made] > 0.9)
    assert mixed["nearly"].estimate == pytest.approx(expected)
    assert mixed["nearly"].low < 0.34 < mixed["nearly"].high  # P(lam > 0.9) of Beta(0.2, 0.2)


def test_details_hold_distances_and_a_picture():
    first = check(planted(near(0.2)))[0].details
    assert list(first["kinds"]) == list(KINDS)
    made = first["kinds"]["synthesised"]
    assert made.outside == 1
    assert made.quantiles.shape == (101,)
    assert made.quantiles[-1] <= 0
    assert made.nearness < first["kinds"]["random"].nearness
    assert -1 < made.margin < 0
    picture = first["picture"]
    assert picture["components"].shape == (len(picture["kind"]), 2)
    assert picture["variance"].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("batch", None, "Expected a probe array"),
        ("logits", np.zeros((3, 2)), "Expected finite logits"),
        ("kind", 7, "codes under"),
        ("label", 2, "codes under"),
        ("coefficient", 1.5, "shares in"),
        ("feature_index", 10**6, "Expected features"),
    ],
)
def test_malformed_records_are_refused(name, value, match):
    artifact = planted(alike)
    probes, key = dict(artifact.probes), f"hard_negative/{name}"
    if value is None:
        del probes[key]
    else:
        probes[key] = value if np.ndim(value) else np.full_like(probes[key], value)
    with pytest.raises(DataError, match=match):
        check(replace(artifact, probes=probes))


def test_false_verdicts_stay_near_the_stated_level_where_nothing_differs():
    wrong = np.zeros(4)
    for seed in range(200):
        artifact = planted(alike, seed=seed, batches=30, each=4)
        wrong += [v.verdict != "undecided" for v in check(artifact, seed=seed, resamples=100)]
    # nominal 5% each; central 99.9% of binomial(200, 0.05) ends at 21
    assert np.all(wrong >= 1)
    assert np.all(wrong <= 21)
