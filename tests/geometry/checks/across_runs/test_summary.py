"""The numbers of one run against the functions and loops they stand for."""

import numpy as np
import pytest

from geometry.alignment import cosines, gram_error
from geometry.artifact import Artifact
from geometry.checks.across_runs.summary import OUTCOMES, outcomes, summarise
from geometry.errors import DataError
from geometry.frames import simplex_etf
from geometry.shots import ShotThresholds

SPLITS = ("train", "validation", "source_test", "target")
RUN = {
    "data": {"setting_options": ["ratio=50"], "seed": 3},
    "model": {"backbone": "small_cnn"},
    "optim": {"algorithm": "ndcl", "options": {"alpha": 0.1}, "lr": 0.001},
}


@pytest.fixture
def artifact():
    rng = np.random.default_rng(0)
    counts = np.array([[40, 10, 2], [40, 10, 3], [0, 0, 0]])
    rows = [(d, k, 0) for d in range(2) for k in range(3) for _ in range(counts[d, k])]
    rows += [(d, k, 2) for d in range(2) for k in range(3) for _ in range(9)]
    rows += [(2, k, 3) for k in range(3) for _ in range(11)]
    domains, labels, split = np.array(rows).T
    logits = 2.0 * np.eye(3)[labels] + rng.normal(size=(len(labels), 3))
    return Artifact(
        features=logits @ rng.normal(size=(3, 5)),
        labels=labels,
        class_names=("a", "b", "c"),
        logits=logits,
        domains=domains,
        domain_names=("a", "b", "c"),
        split=split,
        split_names=SPLITS,
        train_counts=counts,
        held_out="c",
        shot_thresholds=ShotThresholds(many=30, few=5),
        provenance={"run": RUN, "data": {"dataset": "toy", "setting": "TotalHeavyTail"}},
    )


def test_every_outcome_is_a_number_here_and_within_its_range(artifact):
    found = outcomes(artifact)
    assert set(found) == set(OUTCOMES)
    missing = {name for name, value in found.items() if not np.isfinite(value)}
    assert missing == {"few_cosine", "feature_sd"}  # one few-shot class has no pair, and there is no head
    assert all(0 <= found[name] <= 1 for name in found if name.startswith(("target_acc", "discrepancy", "target_ece")))


def test_margins_discrepancies_and_slope_are_those_of_loops(artifact):
    found, p = outcomes(artifact), artifact.probabilities()
    where = artifact.split == 2

    def median(k, rows):
        rows = [i for i in np.flatnonzero(rows) if artifact.labels[i] == k]
        return np.median([p[i, k] - max(p[i, j] for j in range(3) if j != k) for i in rows])

    margins = [median(k, where) for k in range(3)]
    assert found["few_margin"] == pytest.approx(margins[2])
    assert found["target_few_margin"] == pytest.approx(median(2, artifact.split == 3))
    assert found["margin_slope"] == pytest.approx(np.polyfit(np.log10([80, 20, 5]), margins, 1)[0])

    def mean(rows, k):
        return p[rows & (artifact.labels == k)].mean(axis=0)

    gaps = [
        0.5 * np.abs(mean(where & (artifact.domains == 0), k) - mean(where & (artifact.domains == 1), k)).sum()
        for k in range(3)
    ]
    assert found["discrepancy_sources"] == pytest.approx(np.mean(gaps))
    gaps = [0.5 * np.abs(mean(where, k) - mean(artifact.split == 3, k)).sum() for k in range(3)]
    assert found["discrepancy_target"] == pytest.approx(np.mean(gaps))


def test_the_distance_to_the_simplex_is_that_of_the_training_means(artifact):
    trained = artifact.split == 0
    means = np.stack([artifact.features[trained & (artifact.labels == k)].mean(axis=0) for k in range(3)])
    gram = cosines(means @ means.T, centre=True)
    assert outcomes(artifact)["features_to_simplex"] == pytest.approx(gram_error(gram, simplex_etf(3)))


def test_what_a_run_is_paired_on_comes_from_its_configuration(artifact):
    run = summarise(artifact, variant="mine")
    assert run.place == ("toy", "TotalHeavyTail ratio=50", "c", 3)
    assert (run.name, run.algorithm, run.options) == ("mine", "ndcl", {"alpha": 0.1})
    assert "lr" in run.rest
    assert "small_cnn" in run.rest
    assert "algorithm" not in run.rest


def test_absent_parts_are_nan_and_an_artifact_of_no_run_is_refused(artifact):
    from dataclasses import replace

    lone = artifact.select("target")
    found = outcomes(lone)
    assert np.isfinite(found["target_accuracy"])
    assert np.isnan(found["source_few"])
    assert np.isnan(found["feature_nc1"])
    with pytest.raises(DataError, match="provenance holds no configuration"):
        summarise(replace(artifact, provenance={}))
