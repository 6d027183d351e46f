"""Minority collapse: planted merging, angles, the merged share, and which classes are the minority."""

import numpy as np
import pytest

from geometry.collapse import class_statistics, minority_classes, pair_cosines


def test_planted_collapse_is_seen_in_means_and_rows():
    rng = np.random.default_rng(0)
    directions = np.eye(8)[:4]
    directions = np.vstack([directions, np.repeat(np.eye(8)[4:5], 3, axis=0)])
    y = np.repeat(np.arange(7), [50, 40, 30, 20, 5, 4, 3])
    x = directions[y] + 1e-4 * rng.normal(size=(y.size, 8))
    gram = class_statistics(x, y).gram
    minority, majority = pair_cosines(gram, [4, 5, 6]), pair_cosines(gram, [0, 1, 2, 3])
    assert minority.mean > 0.999
    assert (minority.merged, minority.pairs) == (1, 3)
    assert minority.min_angle < 1
    assert majority.mean < 0
    assert majority.merged == 0
    assert pair_cosines(directions @ directions.T, [4, 5, 6]).mean == 1


def test_against_a_loop():
    rows = np.random.default_rng(1).normal(size=(5, 3))
    rows[4] = rows[2] + 1e-3
    chosen = [1, 2, 4]
    cosine = [
        rows[i] @ rows[j] / np.linalg.norm(rows[i]) / np.linalg.norm(rows[j])
        for a, i in enumerate(chosen)
        for j in chosen[a + 1 :]
    ]
    result = pair_cosines(rows @ rows.T, chosen)
    assert result.mean == pytest.approx(np.mean(cosine))
    assert result.min_angle == pytest.approx(np.degrees(np.arccos(max(cosine))), rel=1e-6)
    assert result.merged == pytest.approx(np.mean(np.array(cosine) > 0.99)) == pytest.approx(1 / 3)


def test_absent_classes_make_no_pair():
    gram = np.full((3, 3), np.nan)
    gram[0, 0] = 1.0
    for chosen in (None, [0], [1, 2], []):
        result = pair_cosines(gram, chosen)
        assert np.isnan([result.mean, result.min_angle, result.merged]).all()
        assert result.pairs == 0


@pytest.mark.parametrize(
    ("counts", "shots", "classes", "words"),
    [
        ([9, 1, 5, 3], None, (1, 3), "2 of 4"),
        ([9, 1, 5, 3], ("many", "few", "medium", "medium"), (1, 3), "2 of 4"),  # one few-shot class makes no pair
        ([9, 1, 5, 3], ("many", "few", "few", "few"), (1, 2, 3), "few-shot"),
        ([7, 7, 7], None, (0, 1), "ties by class order"),
        ([4, 2], None, (0, 1), "2 of 2"),
        ([4], None, (0,), "1 of 1"),
    ],
)
def test_rule(counts, shots, classes, words):
    result = minority_classes(counts, shots)
    assert result.classes == classes
    assert words in result.rule
