"""Tails by their definitions, and the first collapse against the closed-form threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geometry.errors import UsageError
from geometry.long_tail import first_collapse, majority_classes, tail_depths, tail_proportions
from geometry.thresholds import threshold

SHAPES = ("exponential", "power", "step:1", "step:2")


@given(st.integers(3, 60), st.floats(0, 12), st.sampled_from(SHAPES))
def test_the_ratio_is_that_of_largest_over_smallest(num_classes, decades, shape):
    ratio = 10.0**decades
    proportions = tail_proportions(num_classes, ratio, shape)
    assert proportions.shape == (num_classes,)
    assert proportions.sum() == pytest.approx(1.0)
    assert (np.diff(proportions) <= 0).all()
    assert proportions[0] / proportions[-1] == pytest.approx(ratio, rel=1e-9)


def test_shapes_by_their_definitions():
    exponential = tail_proportions(5, 81.0)
    np.testing.assert_allclose(exponential[:-1] / exponential[1:], 3.0)
    power = tail_proportions(8, 64.0, "power")  # 64 = 8^2: proportional to 1/c^2
    np.testing.assert_allclose(power / power[0], 1.0 / np.arange(1, 9) ** 2)
    step = tail_proportions(5, 7.0, "step:2")
    np.testing.assert_allclose(step / step[-1], [7, 7, 1, 1, 1])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_path_is_its_points(shape):
    ratios = np.geomspace(1, 1e5, 6)
    path = tail_proportions(4, ratios, shape)
    assert path.shape == (6, 4)
    for ratio, row in zip(ratios, path, strict=True):
        np.testing.assert_array_equal(row, tail_proportions(4, ratio, shape))
    np.testing.assert_allclose(path[0], 0.25)


@pytest.mark.parametrize("shape", ["expo", "step", "step:0", "step:4", "step:-1", "step:x", "step:²", ""])
def test_unknown_tails_are_refused(shape):
    with pytest.raises(UsageError, match=r"step:A"):
        tail_depths(4, shape)


@pytest.mark.parametrize("ratio", [0.5, float("nan"), float("inf"), -3.0])
def test_ratios_that_are_none(ratio):
    with pytest.raises(UsageError, match="at least 1"):
        tail_proportions(4, [1.0, ratio])


def test_one_class_is_no_tail():
    with pytest.raises(UsageError, match="two classes"):
        tail_depths(1)
    assert majority_classes(3, "step:2") == 2


@pytest.mark.parametrize(("num_classes", "tau", "loss"), [(3, 1.0, "infonce"), (4, 0.5, "infonce"), (4, 0.5, "supcon")])
def test_first_collapse_of_a_step_is_its_threshold(num_classes, tau, loss):
    exact = threshold(1, num_classes - 1, tau=tau, loss=loss).r_star
    assert first_collapse(num_classes, "step:1", tau=tau, loss=loss) == pytest.approx(exact, rel=3e-4)


def test_no_collapse_is_none():
    assert first_collapse(4, "exponential", tau=0.5, largest=100.0) is None
    assert threshold(3, 3).r_star is None
    assert first_collapse(6, "step:3", largest=50.0) is None
