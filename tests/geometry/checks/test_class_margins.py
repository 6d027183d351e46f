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


def test_classes_that_no_domain_links_are_left_out():
    domains, classes, cells = np.array([0, 0, 1, 1]), np.arange(4), np.array([1.0, 2.0, 101.0, 102.0])
    present, weights = class_weights_of_cells(domains, classes)  # either pair; the first
    assert present.tolist() == [0, 1]
    np.testing.assert_allclose(weights @ cells, [1.0, 2.0])
    present, weights = class_weights_of_cells(domains, classes, np.array([9, 1, 1, 10]))
    assert present.tolist() == [2, 3]
    np.testing.assert_allclose(weights @ cells, [101.0, 102.0])
    present, _ = class_weights_of_cells(np.r_[domains, 1], np.r_[classes, 4], np.array([90, 90, 1, 1, 1]))
    assert present.tolist() == [2, 3, 4]  # more classes, fewer samples


def largest_by_flooding(table):
    """Classes of the largest part of a table of samples: walk from each class along its cells."""
    found = []
    for start in np.flatnonzero(table.any(axis=0)):
        classes = {start}
        while True:
            domains = table[:, sorted(classes)].any(axis=1)
            more = set(np.flatnonzero(table[domains].any(axis=0)))
            if more == classes:
                break
            classes = more
        found.append((len(classes), table[:, sorted(classes)].sum(), -start, sorted(classes)))
    return max(found)[-1]


def test_class_values_of_sparse_tables_do_not_depend_on_the_domains():
    """For cells that are a domain's number plus a class's, classes differ by their own numbers, whatever is missing."""
    rng, split = np.random.default_rng(0), 0
    for _ in range(300):
        table = rng.integers(1, 4, (4, 6)) * (rng.random((4, 6)) < 0.3)
        table[0, 0] += 1
        domains, classes = np.nonzero(table)
        own = rng.normal(size=6)
        cells = 100.0 * rng.normal(size=4)[domains] + own[classes]
        present, weights = class_weights_of_cells(domains, classes, table[domains, classes])
        assert present.tolist() == largest_by_flooding(table)
        values = weights @ cells
        np.testing.assert_allclose(values - values[0], own[present] - own[present[0]], atol=1e-10)
        split += present.size < np.unique(classes).size
    assert split > 50


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
