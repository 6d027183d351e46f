"""The whole report: against the single functions, groups, domains, absences, determinism, JSON."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from geometry.artifact import Artifact
from geometry.atomic import plain
from geometry.collapse import (
    METRICS,
    MetricRow,
    cdnv,
    class_statistics,
    etf_error,
    head_decision,
    measure,
    nc1,
    nc2,
    nc3,
    nc4,
    nearest_mean,
    pair_cosines,
)
from geometry.errors import UsageError
from geometry.shots import ShotThresholds

NAMES = ("dog", "elephant", "giraffe", "guitar", "horse", "house")
TRAIN = np.array([[60, 20, 12, 6, 2, 0], [40, 20, 8, 4, 2, 1], [0, 0, 0, 0, 0, 0]])


def artifact(seed=0, dimension=10, dtype=np.float32, **changes):
    """Two source domains and a held-out one with its own test samples."""
    rng = np.random.default_rng(seed)
    cells = [(m, k, 0) for m in range(2) for k in range(6) for _ in range(TRAIN[m, k])]
    cells += [(2, k, 1) for k in range(6) for _ in range(7)]
    domains, labels, split = np.array(cells).T
    means = 2 * rng.normal(size=(6, dimension))
    shift = 0.3 * rng.normal(size=(3, dimension))
    features = (means[labels] + shift[domains] + rng.normal(size=(len(labels), dimension))).astype(dtype)
    whole = Artifact(
        features,
        labels,
        NAMES,
        domains=domains,
        domain_names=("art", "photo", "sketch"),
        split=split,
        split_names=("train", "target"),
        head_weight=means + rng.normal(size=means.shape),
        head_bias=rng.normal(size=6),
        train_counts=TRAIN,
        held_out="sketch",
        shot_thresholds=ShotThresholds(many=15, few=4),
    )
    return replace(whole, **changes)


def test_estimates_are_those_of_the_single_functions():
    whole = artifact()
    report = measure(whole, resamples=0)
    part = whole.select("train")
    assert report.split == "train"
    for weighting in ("balanced", "pooled"):
        stats = class_statistics(part.features, part.labels, 6, weighting=weighting)
        few = [4, 5]
        expected = {
            ("nc1", "all"): nc1(stats).value,
            ("nc1", "few"): nc1(stats, few).value,
            ("trace_ratio", "all"): nc1(stats).trace_ratio,
            ("cdnv", "many"): cdnv(stats, [0, 1]).mean,
            ("cdnv_max", "medium"): cdnv(stats, [2, 3]).maximum,
            ("means_norm_cov", "all"): nc2(stats.gram).norm_cov,
            ("means_etf_error", "all"): etf_error(stats.gram),
            ("means_cosine", "minority"): pair_cosines(stats.gram, few).mean,
            ("nc3_frobenius", "all"): nc3(stats, whole.head_weight).frobenius,
            ("nc3_cosine", "medium"): nc3(stats, whole.head_weight, [2, 3]).one_minus_cosine,
        }
        for (metric, group), value in expected.items():
            assert report.find(metric, weighting, group).estimate == pytest.approx(value, rel=1e-12)
        decision = head_decision(part.features, whole.head_weight, whole.head_bias)
        agreement = nc4(part.labels, nearest_mean(part.features, stats.means), decision, 6)
        assert report.find("nc4", weighting).estimate == pytest.approx(getattr(agreement, weighting))
    rows = np.asarray(whole.head_weight)
    assert report.find("head_cosine", group="minority").estimate == pytest.approx(
        float(pair_cosines(rows @ rows.T, [4, 5]).mean)
    )
    assert report.minority.classes == (4, 5)
    assert report.minority.rule == "the few-shot classes"


def test_each_domain_is_measured_on_its_own_samples():
    whole = artifact()
    report = measure(whole, resamples=0)
    assert list(report.domains) == ["art", "photo"]
    part = whole.select("train", "photo")
    stats = class_statistics(part.features, part.labels, 6, weighting="pooled")
    assert report.find("nc1", "pooled", domain="photo").estimate == pytest.approx(float(nc1(stats).value))
    decision = head_decision(part.features, whole.head_weight, whole.head_bias)
    means = class_statistics(whole.select("train").features, whole.select("train").labels, 6).means
    agreement = nc4(part.labels, nearest_mean(part.features, means), decision)
    assert 0 < agreement.pooled < 1
    assert report.find("nc4", domain="photo").estimate == pytest.approx(agreement.balanced)
    art = report.domains["art"].balanced
    assert art.groups["few"].absent == 1  # no house in art
    assert art.groups["few"].classes == ("horse",)
    assert "fewer than two classes" in art.groups["few"].metrics["means_cosine"].method
    assert report.domains["photo"].balanced.groups["few"].single == 1
    assert set(report.across) == {"balanced", "pooled"}
    assert -1 <= report.find("domain_cosine", "pooled").estimate <= 1
    assert report.find("domain_spread_ratio", group="few").n == 4  # horse; house is in photo alone
    assert report.across["pooled"].masked_cells == 8  # two in the sources, six in the held-out domain


def test_nearest_means_are_the_training_ones_on_any_split():
    whole = artifact()
    train, target = whole.select("train"), whole.select("target")
    means = class_statistics(train.features, train.labels, 6).means
    decision = head_decision(target.features, whole.head_weight, whole.head_bias)
    expected = nc4(target.labels, nearest_mean(target.features, means), decision)
    report = measure(whole, split="target", resamples=0)
    assert report.find("nc4").estimate == pytest.approx(expected.balanced)
    assert report.nearest_means_from == "the split train"
    assert report.domains == {} == report.across
    bare = Artifact(target.features, target.labels, NAMES)
    assert "measured samples" in measure(bare, resamples=0).nearest_means_from


def test_intervals_are_reproducible_and_ordered():
    report, again = (measure(artifact(), resamples=40, seed=3) for _ in range(2))
    assert plain(report) == plain(again)
    assert plain(report) != plain(measure(artifact(), resamples=40, seed=4))
    with_interval = [row for row in report.rows() if not math.isnan(row.low)]
    assert len(with_interval) > 100
    assert all(row.low <= row.high for row in with_interval)
    for row in with_interval:
        metric = METRICS[row.metric]
        assert metric.low - 1e-9 <= row.low
        assert row.high <= metric.high + 1e-9
    assert "not resampled" not in " ".join(row.note for row in report.rows())


def test_rows_are_flat_complete_and_json_has_no_nan():
    report = measure(artifact(), resamples=25)
    rows = list(report.rows())
    assert all(isinstance(row, MetricRow) for row in rows)
    keys = [(row.metric, row.weighting, row.group, row.domain) for row in rows]
    assert len(keys) == len(set(keys))
    assert {row.metric for row in rows} == set(METRICS) == set(report.definitions)
    assert {row.group for row in rows} == {"all", "many", "medium", "few", "minority"}
    assert {row.domain for row in rows} == {"all", "art", "photo", "across"}
    for row in rows:
        assert row.note
        assert not math.isnan(row.estimate) or row.note.startswith("undefined: ")
        if not row.metric.startswith("head_") and row.domain != "across":
            assert row.estimate == pytest.approx(
                report.find(row.metric, row.weighting, row.group, row.domain).estimate, nan_ok=True
            )
    text = json.dumps(plain(report), allow_nan=False)
    assert json.loads(text)["overall"]["balanced"]["nc1"]["rank"] == 5


def test_a_merged_minority_is_told_in_every_place():
    whole = artifact(seed=1, dtype=np.float64)
    features = whole.features.copy()
    features[whole.labels == 5] = 4 * np.eye(10)[0] + 1e-3 * features[whole.labels == 5]
    features[whole.labels == 4] = 4 * np.eye(10)[0] + 1e-3 * features[whole.labels == 4]
    report = measure(replace(whole, features=features), split="all", resamples=30)
    clear = measure(whole, split="all", resamples=30)
    assert report.find("means_cosine", group="minority").low > 0.99
    assert report.find("means_merged_share", group="minority").estimate == 1
    assert report.find("means_min_angle", group="minority").estimate < 1
    assert report.find("nc1").estimate > 10 * clear.find("nc1").estimate
    assert clear.find("means_merged_share", group="minority").estimate == 0


def test_without_head_shots_or_domains():
    whole = artifact()
    bare = Artifact(whole.features, whole.labels, NAMES)
    report = measure(bare, resamples=25)
    assert "no linear head" in report.find("nc3_frobenius").method
    assert "no linear head" in report.find("nc4").method
    assert report.head == {} == report.domains
    assert list(report.overall.balanced.groups) == ["all", "minority"]
    with_logits = replace(bare, logits=whole.features[:, :6])
    assert measure(with_logits, resamples=0).find("nc4").estimate >= 0
    assert "no linear head" in measure(with_logits, resamples=0).find("nc3_cosine").method


def test_one_class_one_sample_each_and_more_classes_than_dimensions():
    rng = np.random.default_rng(5)
    one = measure(Artifact(rng.normal(size=(8, 3)), np.full(8, 1), ("a", "b")), resamples=25)
    for row in one.rows():
        if row.metric not in ("features_effective_rank", "features_stable_rank"):
            assert math.isnan(row.estimate)
            assert row.note.startswith("undefined: ")
    single = measure(Artifact(np.eye(4), np.arange(4), tuple("abcd")), resamples=25)
    assert "no class with two samples" in single.find("nc1").method
    assert single.find("means_etf_error").estimate == pytest.approx(0, abs=1e-12)
    crowded = measure(Artifact(rng.normal(size=(30, 2)), np.arange(30) % 6, tuple("abcdef")), resamples=25)
    assert not crowded.overall.etf_possible
    assert crowded.overall.balanced.nc1.rank == crowded.overall.balanced.nc1.rank_expected == 2


def test_all_features_equal():
    report = measure(Artifact(np.ones((12, 5), dtype=np.float32), np.arange(12) % 3, tuple("abc")), resamples=25)
    assert math.isnan(report.find("nc1").estimate)
    assert "vanishes" in report.find("nc1").method
    assert report.overall.balanced.nc1.rank == 0


@pytest.mark.parametrize("change", [{"level": 1.0}, {"resamples": -1}, {"split": "nowhere"}])
def test_refusals(change):
    with pytest.raises(UsageError):
        measure(artifact(), **change)


def test_find_refuses_what_is_not_there():
    report = measure(artifact(), resamples=0)
    for key in (("nc9",), ("nc1", "median"), ("nc1", "balanced", "zero"), ("nc1", "balanced", "all", "cartoon")):
        with pytest.raises(UsageError, match="has no"):
            report.find(*key)
