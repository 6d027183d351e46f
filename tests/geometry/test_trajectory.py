"""Reading a trajectory back: what single samples would have given, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from geometry.errors import DataError
from geometry.trajectory import read_trajectory
from tests.geometry.checks.planted_trajectories import artifact, prototypes

COUNTS = np.array([[4, 1, 0, 3], [2, 0, 0, 5], [0, 0, 0, 0]])


@pytest.fixture
def samples():
    """Two moments of single samples with their cells, and an artifact of their cell moments."""
    rng = np.random.default_rng(0)
    domain, label = (np.repeat(part, COUNTS.ravel()) for part in np.indices(COUNTS.shape).reshape(2, -1))
    x = rng.normal(size=(2, len(label), 3))
    means, scatter = np.full((2, *COUNTS.shape, 3), np.nan), np.full((2, *COUNTS.shape), np.nan)
    for m, k in np.argwhere(COUNTS):
        mine = x[:, (domain == m) & (label == k)]
        means[:, m, k] = mine.mean(axis=1)
        scatter[:, m, k] = ((mine - mine.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1)
    made = artifact({"cell_counts": COUNTS, "feature_means": means, "feature_scatter": scatter})
    return x, label, made


def test_class_moments_are_those_of_the_samples(samples):
    x, label, made = samples
    path = read_trajectory(made)
    assert path.class_counts.tolist() == [6, 1, 0, 8]
    assert path.sources.tolist() == [0, 1]
    means, scatter = path.class_means(), path.class_scatter()
    for k in range(4):
        mine = x[:, label == k]
        if k == 2:
            assert np.isnan(means[:, k]).all()
            assert np.isnan(scatter[:, k]).all()
            continue
        assert means[:, k] == pytest.approx(mine.mean(axis=1))
        expected = ((mine - mine.mean(axis=1, keepdims=True)) ** 2).sum(axis=2).mean(axis=1)
        assert scatter[:, k] == pytest.approx(expected, abs=1e-12)


def test_an_artifact_without_one_has_none(samples):
    assert read_trajectory(replace(samples[2], probes={"other/x": np.zeros(1)})) is None


def test_anchor_gradients_are_read_by_contrast(samples):
    parts = {
        "norm": np.ones(2),
        "weight": np.ones(2),
        "label": np.array([0, 3]),
        "batch": np.array([0, 9]),
        "moment": np.array([0, 1]),
    }
    added = {f"trajectory/anchor_gradient/ndcl/{name}": values for name, values in parts.items()}
    path = read_trajectory(replace(samples[2], probes={**samples[2].probes, **added}))
    assert path.gradients["ndcl"]["moment"].tolist() == [0, 1]
    added["trajectory/anchor_gradient/ndcl/moment"] = np.array([0, 2])
    with pytest.raises(DataError, match="moment"):
        read_trajectory(replace(samples[2], probes={**samples[2].probes, **added}))


BROKEN = {
    "step": lambda a: a[::-1].copy(),
    "cell_counts": lambda a: -a,
    "feature_means": lambda a: np.where(np.isnan(a), a, np.nan),
    "feature_scatter": lambda a: a[:, :2],
    "prediction_means": lambda a: a[:1],
    "prediction_scatter": lambda a: np.full_like(a, np.inf),
    "head_weight": lambda a: a[..., :1],
    "head_bias": lambda a: a.astype(str),
    "target_errors": lambda a: a[0],
    "validation_errors": lambda a: a[:, :-1],
    "moving_prototypes": lambda a: a[..., 0],
    "batch_prototypes/step": lambda a: a + 4,
    "batch_prototypes/batch": lambda a: a.astype(float),
    "batch_prototypes/domain": lambda a: a + 4,
    "batch_prototypes/class": lambda a: a[:-1],
    "batch_prototypes/count": lambda a: a * 0,
    "batch_prototypes/mean": lambda a: a * np.nan,
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_malformed_and_missing_arrays_are_named(name):
    made = prototypes(3.0, np.random.default_rng(0))
    key = f"trajectory/{name}"
    with pytest.raises(DataError, match=f"trajectory/{name.split('/')[0]}"):
        read_trajectory(replace(made, probes={**made.probes, key: BROKEN[name](made.probes[key])}))
    with pytest.raises(DataError, match=key):
        read_trajectory(replace(made, probes={k: v for k, v in made.probes.items() if k != key}))
