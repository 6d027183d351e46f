"""Shot groups by mean training count over the sources; boundaries belong to the outer groups."""

import numpy as np
import pytest

from geometry.errors import UsageError
from geometry.shots import ShotThresholds, group_masks, shot_groups


def test_boundaries():
    thresholds = ShotThresholds(many=100, few=20)
    assert shot_groups([100, 99.9, 20, 20.1], thresholds) == ("many", "medium", "few", "medium")
    assert shot_groups([[150, 30], [50, 10]], thresholds) == ("many", "few")


def test_masks_name_only_groups_that_occur():
    masks = group_masks(("few", "many", "few"))
    assert list(masks) == ["many", "few"]
    assert masks["few"].tolist() == [True, False, True]


@pytest.mark.parametrize(("many", "few"), [(5, 5), (5, 6), (5, -1)])
def test_thresholds_that_cannot_be(many, few):
    with pytest.raises(UsageError, match="many > few"):
        ShotThresholds(many, few)


def test_no_source_domain_has_no_mean():
    with pytest.raises(UsageError, match="at least one source domain"):
        shot_groups(np.zeros((0, 3)), ShotThresholds(many=100, few=20))
