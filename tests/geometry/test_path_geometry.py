"""Geometry along training against the artifact-wide measures, and the proportions of batches against drawn ones."""

from dataclasses import replace

import numpy as np
import pytest

from geometry.alignment import cosines, gram_error
from geometry.collapse.moments import class_statistics
from geometry.collapse.variability import nc1
from geometry.frames import simplex_etf
from geometry.path_geometry import absent_share, batch_proportions, mean_angle, path_geometry
from geometry.trajectory import read_trajectory
from tests.geometry.checks.planted_trajectories import artifact, moving

RARE = np.array([False, False, True, True])


def test_it_is_what_the_samples_themselves_measure():
    rng = np.random.default_rng(0)
    counts = np.array([[30, 12, 5, 2], [10, 20, 0, 1], [0, 0, 0, 0]])
    domain, label = (np.repeat(part, counts.ravel()) for part in np.indices(counts.shape).reshape(2, -1))
    x = np.eye(4, 5)[label] + 0.3 * rng.normal(size=(3, len(label), 5))
    means, scatter = np.full((3, 3, 4, 5), np.nan), np.full((3, 3, 4), np.nan)
    for m, k in np.argwhere(counts):
        mine = x[:, (domain == m) & (label == k)]
        means[:, m, k] = mine.mean(axis=1)
        scatter[:, m, k] = ((mine - mine.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1)
    path = read_trajectory(artifact({"cell_counts": counts, "feature_means": means, "feature_scatter": scatter}))
    found = path_geometry(path, "features", np.arange(4), {"etf": simplex_etf(4)}, RARE)
    for t in range(3):
        measured = class_statistics(x[t], label)
        assert found.scatter_ratio[t] == pytest.approx(float(nc1(measured).trace_ratio))
        learned = cosines(measured.gram)
        assert found.cosine[t] == pytest.approx(learned)
        assert found.distance["etf"][t] == pytest.approx(gram_error(learned, simplex_etf(4)))
        assert found.angle["minority"][t] == pytest.approx(np.degrees(np.arccos(learned[2, 3])))
    assert found.moves


def test_frozen_features_stand_still_and_heads_have_no_scatter():
    path = read_trajectory(moving(np.repeat(np.random.default_rng(0).normal(size=(1, 4, 6)), 3, axis=0), (9, 8, 7, 6)))
    assert not path_geometry(path, "features", np.arange(4), {}, RARE).moves
    head = path_geometry(
        replace(path, head_weight=np.random.default_rng(1).normal(size=(3, 4, 6))), "head", np.arange(4), {}, RARE
    )
    assert head.moves
    assert np.isnan(head.scatter_ratio).all()


def test_class_means_without_a_direction_are_nan_and_no_warning():
    path = read_trajectory(moving(np.ones((3, 4, 6)), (9, 8, 7, 6)))
    found = path_geometry(path, "features", np.arange(4), {"etf": simplex_etf(4)}, RARE)
    for values in (found.scatter_ratio, found.distance["etf"], found.angle["all"]):
        assert np.isnan(values).all()


def test_the_mean_angle_of_a_simplex():
    every = np.ones(5, dtype=bool)
    assert mean_angle(simplex_etf(5), every) == pytest.approx(np.degrees(np.arccos(-1 / 4)))
    assert np.isnan(mean_angle(simplex_etf(5), np.arange(5) == 2))


@pytest.mark.parametrize("sampling", ["uniform", "class-aware"])
def test_batch_proportions_are_the_mean_of_drawn_batches(sampling):
    counts = np.array([[30, 12, 5, 0], [10, 200, 0, 1], [0, 0, 0, 0]])
    path = read_trajectory(
        artifact(
            {
                "cell_counts": counts,
                "feature_means": np.where(counts > 0, 1.0, np.nan)[None, ..., None] * np.ones((2, 1, 1, 2)),
            }
        )
    )
    rng, seen = np.random.default_rng(0), np.zeros(4)
    for row in counts[:2]:
        chance = (row > 0) / (row > 0).sum() if sampling == "class-aware" else row / row.sum()
        seen += rng.multinomial(200_000, chance) / 400_000
    assert batch_proportions(path, sampling) == pytest.approx(seen, abs=5e-3)
    assert batch_proportions(path, sampling).sum() == pytest.approx(1.0)


def test_absent_classes_are_counted_over_batches():
    counts = np.array([[3, 3, 3, 3], [0, 0, 0, 0]])
    batch, label = np.array([0, 0, 1, 1, 2, 0]), np.array([0, 1, 0, 0, 2, 0])
    zeros = np.zeros(6, dtype=np.int64)
    parts = {"step": zeros, "batch": batch, "domain": zeros, "class": label, "count": zeros + 1}
    arrays = {f"batch_prototypes/{name}": values for name, values in parts.items()}
    arrays |= {
        "cell_counts": counts,
        "feature_means": np.where(counts > 0, 1.0, np.nan)[None, ..., None] * np.ones((2, 1, 1, 2)),
    }
    path = read_trajectory(artifact(arrays | {"batch_prototypes/mean": np.full((6, 4), 0.25)}))
    assert absent_share(path) == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])
    assert np.isnan(absent_share(read_trajectory(moving(np.ones((3, 4, 2)), (1, 1, 1, 1))))).all()
