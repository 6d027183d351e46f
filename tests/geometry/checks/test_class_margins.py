"""Class values from the margins of cells."""

import numpy as np
import pytest

from geometry.checks.class_margins import cell_margins, class_weights_of_cells


def test_class_values_with_every_cell_are_plain_means_over_domains():
    domains, classes = np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3)
    table = np.random.default_rng(0).normal(size=(3, 4))
    present, weights = class_weights_of_cells(domains, classes)
    np.testing.assert_allclose(weights @ table.ravel(), table.mean(axis=0))
    assert present.tolist() == [0, 1, 2, 3]


def test_a_missing_cell_does_not_credit_a_class_with_an_easy_domain():
    table = np.array([[5.0], [0.0], [1.0]]) + np.array([0.0, 1.0, 2.0, 3.0])  # domain + class
    domains, classes = (table < 8.5).nonzero()
    keep = ~((domains == 1) & (classes == 3))
    _, weights = class_weights_of_cells(domains[keep], classes[keep])
    np.testing.assert_allclose(weights @ table[domains[keep], classes[keep]], 2.0 + np.arange(4))


def test_cell_statistics_equal_numpy_on_each_cell():
    rng = np.random.default_rng(0)
    cells = np.array([0] * 7 + [1] + [2] * 30)[rng.permutation(38)]
    values = rng.normal(size=38)
    found = cell_margins({"logit": values}, cells, rng=rng, resamples=400)
    for c in range(3):
        own = values[cells == c]
        assert found["logit", "mean"][0][c] == pytest.approx(own.mean())
        assert found["logit", "median"][0][c] == pytest.approx(np.median(own))
        assert found["logit", "low"][0][c] == pytest.approx(np.quantile(own, 0.05))
    draws = found["logit", "mean"][1]
    assert draws.shape == (400, 3)
    assert np.ptp(draws[:, 1]) == 0  # one sample is always itself
    assert draws[:, 2].std() == pytest.approx(values[cells == 2].std() / np.sqrt(30), rel=0.15)
