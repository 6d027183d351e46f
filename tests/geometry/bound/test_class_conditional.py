import numpy as np

from geometry.bound.class_conditional import class_divergence

NAMES = ("a", "b", "c", "d", "e")


def test_each_class_has_its_own_distance_and_small_cells_are_named():
    rng = np.random.default_rng(0)
    labels = np.concatenate(
        [np.repeat([0, 1, 2, 3], [200, 200, 200, 5]), np.repeat([0, 1, 2, 3, 4], [150, 60, 20, 9, 4])]
    )
    side = np.repeat([0, 1], [605, 243])
    features = rng.normal(size=(848, 4))
    features[(side == 1) & (labels == 1), 0] += 30.0  # only class b differs
    found = class_divergence(features, side, labels, NAMES, where="x | y", rng=rng)
    assert found.distances[1] == 2.0
    assert found.distances[0] < 0.5
    assert np.isnan(found.distances[3:]).all()
    assert found.too_small == ("d",)
    assert found.absent == ("e",)
    assert found.mean.estimate == np.nanmean(found.distances)
    assert found.mean.low <= found.mean.estimate <= found.mean.high
    assert found.mean.n == 200 + 150 + 200 + 60 + 200 + 20
    assert "too small: d" in next(found.rows()).note


def test_label_shift_alone_costs_nothing():
    rng = np.random.default_rng(1)
    labels = np.concatenate([rng.choice(2, 600, p=[0.9, 0.1]), rng.choice(2, 600, p=[0.1, 0.9])])
    features = rng.normal(size=(1200, 5)) + 6.0 * labels[:, None]
    found = class_divergence(features, np.repeat([0, 1], 600), labels, NAMES[:2], where="x | y", rng=rng)
    assert found.mean.estimate < 0.5


def test_nothing_to_compare_is_undefined_with_the_reason():
    found = class_divergence(
        np.ones((4, 2)), [0, 0, 1, 1], [0, 0, 1, 1], NAMES[:2], where="x", rng=np.random.default_rng(0)
    )
    assert np.isnan(found.mean.estimate)
    assert "10 samples on both sides" in next(found.rows()).note
