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
    assert found.mean.estimate == np.nanmean(found.signed)
    assert (found.distances[:3] == np.maximum(found.signed[:3], 0)).all()
    assert (found.low[:3] <= found.signed[:3]).all()
    assert (found.signed[:3] <= found.high[:3]).all()
    assert found.mean.low <= found.mean.estimate <= found.mean.high
    assert found.mean.n == 200 + 150 + 200 + 60 + 200 + 20
    assert "too small: d" in next(found.rows()).note


def test_label_shift_alone_costs_nothing():
    rng = np.random.default_rng(1)
    labels = np.concatenate([rng.choice(2, 600, p=[0.9, 0.1]), rng.choice(2, 600, p=[0.1, 0.9])])
    features = rng.normal(size=(1200, 5)) + 6.0 * labels[:, None]
    found = class_divergence(features, np.repeat([0, 1], 600), labels, NAMES[:2], where="x | y", rng=rng)
    assert found.mean.estimate < 0.5


def test_luck_of_many_small_classes_does_not_add_up_to_a_shift():
    names, means, clipped, above = tuple(map(str, range(20))), [], [], 0
    labels, side = np.tile(np.repeat(np.arange(20), 20), 2), np.repeat([0, 1], 400)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        found = class_divergence(rng.normal(size=(800, 5)), side, labels, names, where="x | y", rng=rng)
        means.append(found.mean.estimate)
        clipped.append(found.distances.mean())
        above += found.mean.low > 0
    assert np.mean(clipped) > 0.12  # what cutting off class by class makes of equal domains
    assert np.mean(means) < 0.07
    assert above <= 2


def test_a_shift_in_every_class_is_found():
    rng = np.random.default_rng(2)
    labels, side = np.tile(np.repeat(np.arange(5), 100), 2), np.repeat([0, 1], 500)
    features = rng.normal(size=(1000, 3)) + np.outer(side, [1.0, 0.0, 0.0])
    found = class_divergence(features, side, labels, NAMES, where="x | y", rng=rng)
    exact = 2 * (2 * 0.6914624612740131 - 1)  # 2 (2 Phi(1/2) - 1), the best half-space between the normals
    assert found.mean.low < exact < found.mean.high + 0.1
    assert 0.75 * exact < found.mean.estimate <= exact + 0.1


def test_nothing_to_compare_is_undefined_with_the_reason():
    found = class_divergence(
        np.ones((4, 2)), [0, 0, 1, 1], [0, 0, 1, 1], NAMES[:2], where="x", rng=np.random.default_rng(0)
    )
    assert np.isnan(found.mean.estimate)
    assert "10 samples on both sides" in next(found.rows()).note
