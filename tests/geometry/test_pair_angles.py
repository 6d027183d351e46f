import math

import numpy as np
import pytest

from geometry.pair_angles import angle_blocks, pair_angles


def cosines_at(*degrees):
    angles = np.radians(degrees)
    return np.cos(angles[:, None] - angles[None, :])


def test_table_is_sorted_by_the_size_of_the_residual():
    table = pair_angles(cosines_at(0, 90, 130), cosines_at(0, 60, 140), ("a", "b", "c"), ("many", "few", "medium"))
    assert [(p.first, p.second, p.group) for p in table] == [
        ("b", "c", "medium-few"),
        ("a", "b", "many-few"),
        ("a", "c", "many-medium"),
    ]
    np.testing.assert_allclose([p.learned for p in table], [40, 90, 130], atol=1e-9)
    np.testing.assert_allclose([p.optimal for p in table], [80, 60, 140], atol=1e-9)
    np.testing.assert_allclose([p.residual for p in table], [-40, 30, -10], atol=1e-9)


def test_blocks_summarise_every_kind_of_pair():
    table = pair_angles(cosines_at(0, 90, 130), cosines_at(0, 60, 140), ("a", "b", "c"), ("many", "few", "few"))
    everything, mixed, rare = angle_blocks(table)
    assert (everything.group, everything.pairs) == ("all", 3)
    assert everything.mean == pytest.approx(-20 / 3)
    assert everything.rms == pytest.approx(math.sqrt((1600 + 900 + 100) / 3))
    assert (mixed.group, mixed.pairs) == ("many-few", 2)
    assert mixed.mean == pytest.approx(10.0)
    assert (rare.group, rare.pairs, rare.rms) == ("few-few", 1, pytest.approx(40.0))


def test_without_shot_groups_there_is_one_block():
    table = pair_angles(cosines_at(0, 90), cosines_at(0, 60), ("a", "b"))
    assert table[0].group == ""
    assert [block.group for block in angle_blocks(table)] == ["all"]


def test_rounding_beyond_one_is_no_nan():
    gram = np.array([[1.0, -1.0 - 1e-15], [-1.0 - 1e-15, 1.0]])
    assert pair_angles(gram, gram, ("a", "b"))[0].learned == pytest.approx(180.0)
