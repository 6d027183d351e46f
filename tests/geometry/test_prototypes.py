"""Prototypes beside class means, rows and the simplex: naive loops, the exact equilibrium, absent classes."""

from dataclasses import replace

import numpy as np
import pytest

from geometry.artifact import Artifact
from geometry.errors import DataError
from geometry.prototypes import prototype_report, prototype_space
from geometry.shots import ShotThresholds

K, D = 4, 6


def cosine(a, b):
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.fixture
def artifact():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(K), (9, 5, 2, 1)))
    return Artifact(
        features=rng.normal(size=(17, D)),
        labels=labels,
        class_names=tuple("abcd"),
        projections=rng.normal(size=(17, D)),
        head_weight=rng.normal(size=(K, D)),
        head_bias=np.zeros(K),
        train_counts=np.array([[9, 5, 2, 1]]),
        shot_thresholds=ShotThresholds(many=4, few=2),
        probes={"prototypes_projections": 3.0 * rng.normal(size=(K, D))},
    )


def test_every_number_is_that_of_a_loop(artifact):
    report = prototype_report(artifact)
    prototypes = artifact.probes["prototypes_projections"]
    assert (report.space, report.split) == ("projections", artifact.default_split())
    mean, row, angles = [], [], np.full((K, K), np.nan)
    for c in range(K):
        vectors = [z / np.linalg.norm(z) for z, y in zip(artifact.projections, artifact.labels, strict=True) if y == c]
        mean.append(cosine(prototypes[c], np.mean(vectors, axis=0)))
        row.append(cosine(prototypes[c], artifact.head_weight[c]))
        for j in range(K):
            if j != c:
                angles[c, j] = abs(cosine(prototypes[c], prototypes[j]) + 1 / (K - 1))
    for c, one in enumerate(report.classes.values()):
        assert (one.to_mean, one.to_row) == pytest.approx((mean[c], row[c]))
        assert one.from_simplex == pytest.approx(np.nanmean(angles[c]))
    few = report.groups["few"]
    assert (few.to_mean, few.to_row) == pytest.approx((np.mean(mean[2:]), np.mean(row[2:])))
    assert few.from_simplex == pytest.approx(angles[2, 3])
    assert report.groups["all"].from_simplex == pytest.approx(np.nanmean(angles))
    assert [(one.group, one.classes, one.n) for one in report.groups.values()] == [
        ("all", 4, 17),
        ("many", 2, 14),
        ("few", 2, 3),
    ]


def test_the_exact_equilibrium(artifact):
    corners = np.eye(K, D) - np.pad(np.full((K, K), 1 / K), ((0, 0), (0, D - K)))
    there = replace(
        artifact,
        projections=2.0 * corners[artifact.labels],
        head_weight=5.0 * corners,
        probes={"prototypes_projections": corners},
    )
    everything = prototype_report(there).groups["all"]
    assert (everything.to_mean, everything.to_row) == pytest.approx((1, 1))
    assert everything.from_simplex == pytest.approx(0, abs=1e-12)


def test_what_cannot_be_compared_is_nan_with_its_count(artifact):
    other = replace(
        artifact,
        probes={"prototypes_features": np.zeros((K, D))},
        head_weight=None,
        head_bias=None,
        features=np.where(artifact.labels[:, None] == 0, 0.0, artifact.features),
    ).take(np.flatnonzero(artifact.labels != 3))
    report = prototype_report(other)
    assert report.space == "features"
    assert np.isnan(
        [report.groups["all"].to_mean, report.groups["all"].to_row, report.groups["all"].from_simplex]
    ).all()
    assert (report.classes["d"].classes, report.classes["d"].n) == (0, 0)
    kept = replace(other, probes={"prototypes_features": np.eye(K, D)})
    report = prototype_report(kept)
    assert np.isnan([report.classes[name].to_mean for name in "ad"]).all()
    assert np.isfinite([report.classes[name].to_mean for name in "bc"]).all()


def test_refusals(artifact):
    assert prototype_space(replace(artifact, probes={})) is None
    with pytest.raises(DataError, match="holds no prototypes"):
        prototype_report(replace(artifact, probes={}))
    with pytest.raises(DataError, match=r"Expected prototypes of shape \(4, 6\), got \(3, 6\)"):
        prototype_report(replace(artifact, probes={"prototypes_projections": np.ones((3, D))}))
    with pytest.raises(DataError, match="needs projections"):
        prototype_report(replace(artifact, projections=None))
