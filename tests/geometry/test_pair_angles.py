import math

import numpy as np
import pytest

from geometry.pair_angles import angle_table


def cosines_at(*degrees):
    angles = np.radians(degrees)
    return np.cos(angles[:, None] - angles[None, :])


def test_table_is_sorted_by_the_size_of_the_residual():
    table = angle_table(cosines_at(0, 90, 130), cosines_at(0, 60, 140), ("a", "b", "c"), ("many", "few", "medium"))
    assert [(p.first, p.second, p.group) for p in table.pairs()] == [
        ("b", "c", "medium-few"),
        ("a", "b", "many-few"),
        ("a", "c", "many-medium"),
    ]
    np.testing.assert_allclose([p.learned for p in table.pairs()], [40, 90, 130], atol=1e-9)
    np.testing.assert_allclose([p.optimal for p in table.pairs()], [80, 60, 140], atol=1e-9)
    np.testing.assert_allclose([p.residual for p in table.pairs()], [-40, 30, -10], atol=1e-9)


def test_blocks_summarise_every_kind_of_pair():
    table = angle_table(cosines_at(0, 90, 130), cosines_at(0, 60, 140), ("a", "b", "c"), ("many", "few", "few"))
    everything, mixed, rare = table.blocks()
    assert (everything.group, everything.pairs) == ("all", 3)
    assert everything.mean == pytest.approx(-20 / 3)
    assert everything.rms == pytest.approx(math.sqrt((1600 + 900 + 100) / 3))
    assert (mixed.group, mixed.pairs) == ("many-few", 2)
    assert mixed.mean == pytest.approx(10.0)
    assert (rare.group, rare.pairs, rare.rms) == ("few-few", 1, pytest.approx(40.0))


def test_without_shot_groups_there_is_one_block():
    table = angle_table(cosines_at(0, 90), cosines_at(0, 60), ("a", "b"))
    assert table.pairs()[0].group == ""
    assert [block.group for block in table.blocks()] == ["all"]


def test_rounding_beyond_one_is_no_nan():
    gram = np.array([[1.0, -1.0 - 1e-15], [-1.0 - 1e-15, 1.0]])
    assert angle_table(gram, gram, ("a", "b")).pairs()[0].learned == pytest.approx(180.0)


def test_the_first_rows_of_the_table_are_the_largest():
    table = angle_table(cosines_at(0, 90, 130), cosines_at(0, 60, 140), ("a", "b", "c"))
    assert table.pairs(2) == table.pairs()[:2]


def test_blocks_from_their_definition():
    rng = np.random.default_rng(0)
    groups = ("few", "many", "medium", "few", "many", "few")
    learned, optimal = (np.corrcoef(rng.normal(size=(6, 5))) for _ in range(2))
    angles, goals = np.degrees(np.arccos(learned)), np.degrees(np.arccos(optimal))
    for block in angle_table(learned, optimal, tuple("abcdef"), groups).blocks():
        on = [
            (i, j)
            for i in range(6)
            for j in range(i + 1, 6)
            if block.group == "all" or sorted(block.group.split("-")) == sorted((groups[i], groups[j]))
        ]
        residuals = np.array([angles[p] - goals[p] for p in on])
        difference = np.array([learned[p] - optimal[p] for p in on])
        assert block.pairs == len(on)
        assert block.mean == pytest.approx(residuals.mean())
        assert block.rms == pytest.approx(np.sqrt((residuals**2).mean()))
        expected = np.linalg.norm(difference) / np.linalg.norm([optimal[p] for p in on])
        assert block.relative_error.estimate == pytest.approx(expected, rel=1e-12)
        assert np.isnan(block.relative_error.low)


def test_intervals_of_blocks_follow_the_draws():
    rng = np.random.default_rng(1)
    learned, optimal = (np.corrcoef(rng.normal(size=(4, 5))) for _ in range(2))
    table = angle_table(learned, optimal, tuple("abcd"), ("many", "many", "few", "few"))
    draws = table.learned + 0.01 * rng.normal(size=(100, 6))
    for block in table.blocks(draws, samples=50, level=0.9):
        error = block.relative_error
        assert error.low < error.high
        assert (error.n, error.level) == (50, 0.9)
        assert abs(error.low - error.estimate) < 0.2 * error.estimate
    orthogonal = angle_table(learned, np.eye(4), tuple("abcd")).blocks(draws, samples=50)[0].relative_error
    assert np.isnan(orthogonal.estimate)
    assert "all zero" in orthogonal.method
