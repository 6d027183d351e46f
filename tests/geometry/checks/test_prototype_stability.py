"""Reliability of prototypes: formulas against simulation, verdicts on planted truths, calibration at the threshold."""

import json
from dataclasses import replace

import numpy as np
import pytest

from geometry.atomic import plain
from geometry.checks.prototype_stability import (
    MOMENTUM,
    SUBJECTS,
    cell_variances,
    observed_over_implied,
    prototype_stability,
    sampling_factors,
)
from geometry.trajectory import read_trajectory
from tests.geometry.checks.planted_trajectories import FEW_COUNTS, prototypes


def judge(artifact, seed=0):
    return dict(
        zip(SUBJECTS, prototype_stability(artifact, rng=np.random.default_rng(seed), resamples=100), strict=True)
    )


def test_implied_errors_are_those_of_repeated_sampling():
    """Many training sets of 6 samples, from each a batch of 2 and a moving average over batches."""
    rng, size, batches = np.random.default_rng(0), 6, 30
    truth = np.array([0.5, 0.3, 0.2])
    errors, variances = {"all": [], "batch": [], "moving": []}, []
    for _ in range(3000):
        x = rng.dirichlet(4 * truth, size)
        variances.append(x.var(axis=0).sum() * size / (size - 1))
        means = x[rng.permuted(np.tile(np.arange(size), (batches, 1)), axis=1)[:, :2]].mean(axis=1)
        moving = means[0]
        for mean in means[1:]:
            moving = MOMENTUM * moving + (1 - MOMENTUM) * mean
        for name, found in (("all", x.mean(axis=0)), ("batch", means[0]), ("moving", moving)):
            errors[name].append(((found - truth) ** 2).sum())
    made = prototypes(1.0, np.random.default_rng(0), few=np.full((3, 3), size))
    probes = dict(made.probes)
    recorded = {name: probes[f"trajectory/batch_prototypes/{name}"] for name in ("step", "batch", "domain", "class")}
    keep = (recorded["domain"] == 0) & (recorded["class"] == 3) & (recorded["step"] == 0)
    new = {name: np.repeat(values[keep][:1], batches) for name, values in recorded.items()}
    new |= {"count": np.full(batches, 2), "mean": np.full((batches, 6), 1 / 6)}
    probes |= {f"trajectory/batch_prototypes/{name}": values for name, values in new.items()}
    factors = sampling_factors(read_trajectory(replace(made, probes=probes)))
    for name, seen in errors.items():
        assert np.mean(seen) == pytest.approx(np.mean(variances) * factors[name][0, 3], rel=0.06), name
    assert np.isnan(factors["batch"][1, 3])


def test_variances_are_unbiased_and_unknown_for_single_samples():
    few = FEW_COUNTS.copy()
    few[0, 0] = 1
    path = read_trajectory(prototypes(3.0, np.random.default_rng(0), few=few))
    variances = cell_variances(path)
    assert np.isnan(variances[:, 0, 3]).all()
    assert np.isnan(variances[:, 3]).all()
    assert variances[0, 1, 3] == pytest.approx(path.prediction_scatter[0, 1, 3] * 5 / 4)


def test_recorded_prototypes_are_held_against_what_sampling_implies():
    made = prototypes(3.0, np.random.default_rng(0))
    path = read_trajectory(made)
    variance, factors = cell_variances(path), sampling_factors(path)
    assert observed_over_implied(path, variance, factors) == {"batch": 0.0, "moving": 0.0}
    # Each batch's prototype moved by exactly what its count implies.
    recorded = path.batches
    own = path.cell_counts[recorded.domain, recorded.label]
    spare = variance[recorded.moment, recorded.domain, recorded.label] * (1 / recorded.count - 1 / own)
    moved = path.batches.mean.copy()
    moved[:, 0] += np.sqrt(spare)
    shifted = replace(path, batches=replace(recorded, mean=moved))
    assert observed_over_implied(shifted, variance, factors)["batch"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("ratio", "skewed", "outcome"), [(30.0, False, "holds"), (30.0, True, "holds"), (0.0, False, "does not hold")]
)
def test_planted_distances_are_found(ratio, skewed, outcome):
    found = judge(prototypes(ratio, np.random.default_rng(1), skewed=skewed))
    assert found["batch"].verdict == outcome
    json.dumps(plain(list(found.values())), allow_nan=False)


def test_moving_averages_are_known_better_than_single_batches():
    found = judge(prototypes(1.0, np.random.default_rng(2)))
    assert found["moving"].estimate.estimate > found["batch"].estimate.estimate
    few = found["batch"].details["groups"]["few"]
    assert (few.moving_error < few.batch_error).all()
    assert (few.standard_error < few.batch_error).all()


def test_an_equal_model_at_every_moment_has_no_drift():
    few = judge(prototypes(3.0, np.random.default_rng(0)))["batch"].details["groups"]["few"]
    assert np.isnan(few.drift[0])
    assert few.drift[1:].tolist() == [0.0] * 3
    assert (few.pairs, few.cells, few.singles) == (9, 9, 0)


def test_single_samples_are_counted_and_decide_nothing():
    few = np.ones((3, 3), dtype=np.int64)
    few[:2, 0] = 4
    verdict = judge(prototypes(30.0, np.random.default_rng(0), few=few))["batch"]
    assert verdict.verdict == "undecided"
    assert verdict.note.startswith("only 1 pairs")
    assert "7 of 9 few-shot cells hold one sample" in verdict.note


def test_without_a_trajectory_or_a_minority_it_says_so():
    made = prototypes(3.0, np.random.default_rng(0))
    assert "trajectory/" in judge(replace(made, probes={}))["moving"].note
    alike = np.where(made.train_counts > 0, 9, 0)
    found = judge(replace(made, train_counts=alike, shot_thresholds=None))
    assert "no minority" in found["batch"].note


@pytest.mark.parametrize("subject", SUBJECTS)
def test_at_the_threshold_it_seldom_decides(subject):
    nulls = 60
    made = (prototypes(1.0, np.random.default_rng([7, i]), subject=subject) for i in range(nulls))
    decided = [judge(artifact, i)[subject].verdict != "undecided" for i, artifact in enumerate(made)]
    assert sum(decided) <= 0.05 * nulls + 2 * np.sqrt(0.05 * 0.95 * nulls)
