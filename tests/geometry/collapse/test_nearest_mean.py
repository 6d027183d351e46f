"""NC4: nearest class mean against the linear head."""

import numpy as np
import pytest

from geometry.collapse import class_statistics, head_decision, nc4, nearest_mean
from geometry.errors import DataError


def test_against_loops():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 3], [40, 10, 4])
    x = rng.normal(size=(54, 5)) + np.eye(5)[y] + 100
    weight, bias = rng.normal(size=(4, 5)), rng.normal(size=4)
    means = class_statistics(x, y).means
    nearest = [min((0, 1, 3), key=lambda k, h=h: np.sum((h - means[k]) ** 2)) for h in x]
    head = [max(range(4), key=lambda k, h=h: weight[k] @ h + bias[k]) for h in x]
    assert nearest_mean(x, means).tolist() == nearest
    assert head_decision(x, weight, bias).tolist() == head
    result = nc4(y, nearest, head, 4)
    agree = [a == b for a, b in zip(nearest, head, strict=True)]
    assert result.pooled == pytest.approx(np.mean(agree))
    per_class = [np.mean([a for a, c in zip(agree, y, strict=True) if c == k]) for k in (0, 1, 3)]
    assert result.balanced == pytest.approx(np.mean(per_class))
    assert np.isnan(result.per_class[2])


def test_the_head_of_the_nearest_mean_rule_agrees_only_with_its_bias():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1, 2], [30, 20, 10])
    means = np.array([[5.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    x = means[y] + rng.normal(size=(60, 2))
    bias = -(means**2).sum(axis=1) / 2
    nearest = nearest_mean(x, means)
    assert nc4(y, nearest, head_decision(x, means, bias)).balanced == 1
    assert nc4(y, nearest, head_decision(x, means)).balanced < 1


def test_no_mean_at_all_is_refused():
    with pytest.raises(DataError, match="at least one class mean"):
        nearest_mean(np.zeros((2, 2)), np.full((3, 2), np.nan))
