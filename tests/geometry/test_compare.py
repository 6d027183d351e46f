"""Learned class vectors against a target: planted geometries are recognised, noise is covered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from geometry.alignment import coordinates, cosines, gram_error
from geometry.artifact import Artifact
from geometry.class_vectors import learned_vectors
from geometry.compare import BLOCK_HEADER, PAIR_HEADER, against, compare
from geometry.errors import DataError
from geometry.frames import seli_embeddings, simplex_etf
from geometry.intervals import percentile_interval
from geometry.layer_peeled import layer_peeled
from geometry.optimum import solve
from geometry.shots import ShotThresholds
from tests.geometry.planted_vectors import COUNTS, NAMES, planted, theory


def whole(pairs, size):
    """The matrix of cosines with these pairs."""
    gram = np.eye(size)
    gram[np.triu_indices(size, 1)] = pairs
    return gram + gram.T - np.eye(size)


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("target", ["optimum", "etf", "seli embeddings"])
def test_a_planted_geometry_is_recognised(target, centre):
    gram = theory(target)
    result = compare(planted(gram, offset=3.0 if centre else 0.0), gram, centre=centre, resamples=25)
    assert result.gram_error.estimate == pytest.approx(0.0, abs=1e-7)
    assert result.relative_error == pytest.approx(0.0, abs=1e-7)
    assert result.alignment == pytest.approx(1.0)
    assert result.procrustes == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(result.learned_coordinates, result.optimal_coordinates, atol=1e-6)
    assert max(abs(pair.residual) for pair in result.pairs) < 1e-4
    assert len(result.pairs) == 10
    assert result.target_rank == 4
    assert result.notes == ()


def test_random_features_are_far_from_the_optimum():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 20)
    artifact = Artifact(features=rng.normal(size=(100, 4)), labels=labels, class_names=NAMES)
    result = compare(artifact, solve(COUNTS).gram)
    assert result.gram_error.low > 0.2
    assert result.procrustes > 0.2
    assert result.alignment < 0.9
    assert result.blocks[0].rms > 15


@given(seed=st.integers(0, 10**6), scale=st.floats(1e-3, 1e3))
@settings(max_examples=15, deadline=None)
def test_rotation_scale_and_offset_change_nothing(seed, scale):
    gram = solve(COUNTS, tau=0.3, method="burer-monteiro").gram
    base = planted(simplex_etf(5), noise=0.4, seed=1)
    rotation = ortho_group.rvs(8, random_state=np.random.default_rng(seed))
    moved = Artifact(features=scale * (base.features @ rotation + 1.7), labels=base.labels, class_names=NAMES)
    first, second = (compare(artifact, gram, resamples=0) for artifact in (base, moved))
    assert first.gram_error.estimate == pytest.approx(second.gram_error.estimate, rel=1e-8)
    assert first.procrustes == pytest.approx(second.procrustes, rel=1e-6)
    assert first.alignment == pytest.approx(second.alignment, rel=1e-8)
    np.testing.assert_allclose([p.residual for p in first.pairs], [p.residual for p in second.pairs], atol=1e-6)


def test_the_same_vectors_may_be_held_against_any_scale_of_the_target():
    artifact = planted(simplex_etf(5), noise=0.3)
    gram = solve(COUNTS).gram
    first, second = (compare(artifact, scale * gram).gram_error for scale in (1, 40))
    np.testing.assert_allclose(
        [first.estimate, first.low, first.high], [second.estimate, second.low, second.high], rtol=1e-12
    )


def test_absent_classes_leave_the_target_of_the_others():
    gram = solve(COUNTS, tau=0.5).gram
    whole = planted(gram)
    part = whole.take(np.flatnonzero(whole.labels != 1))
    result = compare(part, gram)
    assert result.classes == ("ant", "cat", "dog", "elk")
    assert result.left_out == ("bee",)
    assert result.gram_error.estimate == pytest.approx(0.0, abs=1e-7)
    assert len(result.pairs) == 6
    assert "Left out: bee" in result.notes[0]
    undefined = gram.copy()
    undefined[3], undefined[:, 3] = np.nan, np.nan
    assert compare(part, undefined).left_out == ("bee", "dog")


def test_classes_at_the_mean_have_no_direction():
    gram = np.diag([1.0, 1.0, 0.0])
    gram[0, 1] = gram[1, 0] = -1.0
    artifact = planted(gram, (5, 5, 5))
    result = compare(artifact, simplex_etf(3), centre=False, resamples=30)
    assert result.left_out == ("cat",)
    assert result.learned[0, 1] == pytest.approx(-1.0)
    assert np.isfinite(result.gram_error.low)
    same = Artifact(features=np.zeros((4, 2)), labels=np.array([0, 0, 1, 1]), class_names=("a", "b"))
    with pytest.raises(DataError, match="direction"):
        compare(same, simplex_etf(2))


def test_interval_covers_the_noise_and_narrows_with_samples():
    gram = simplex_etf(5)
    few, many = (compare(planted(gram, (n,) * 5, noise=1.0), gram).gram_error for n in (10, 1000))
    for interval in (few, many):
        assert interval.low <= interval.high
        assert interval.method.startswith("basic and percentile bootstrap")
    assert many.high - many.low < few.high - few.low
    assert many.n == 5000
    assert few.low >= 0
    assert np.isnan(compare(planted(gram, noise=1.0), gram, resamples=0).gram_error.low)


def test_interval_covers_the_population_where_the_percentile_interval_never_does():
    """Seven SELI classes of 100 samples, D = 64, sigma = 1, held against the ETF at a nominal 0.95."""
    population, target, trials = cosines(seli_embeddings((100, 60, 30, 15, 8, 4, 2))), simplex_etf(7), 40
    truth, covered = gram_error(cosines(population, centre=True), target), np.zeros(2)
    vectors = 2.5 * np.pad(coordinates(population), ((0, 0), (0, 57)))
    labels = np.repeat(np.arange(7), 100)
    for seed in range(trials):
        features = vectors[labels] + np.random.default_rng(seed).normal(size=(700, 64))
        learned = learned_vectors(
            Artifact(features=features, labels=labels, class_names=tuple("abcdefg")), resamples=200, seed=seed
        )
        ours = against(learned, target).gram_error
        draws = [gram_error(whole(draw, 7), target) for draw in learned.draws]
        theirs = percentile_interval(ours.estimate, draws, n=ours.n)
        covered += [i.low <= truth <= i.high for i in (ours, theirs)]
    assert covered[0] / trials >= 0.8
    assert covered[1] / trials < 0.2


def test_too_few_dimensions_are_told():
    labels = np.repeat(np.arange(5), 3)
    artifact = Artifact(features=np.random.default_rng(0).normal(size=(15, 2)), labels=labels, class_names=NAMES)
    result = compare(artifact, simplex_etf(5), resamples=0)
    assert (result.dimension, result.target_rank) == (2, 4)
    assert result.notes == ("The features have 2 dimensions and the target needs 4: it is out of reach.",)


def test_pairs_carry_shot_groups_and_blocks():
    artifact = planted(
        simplex_etf(5), noise=0.2, train_counts=np.array([COUNTS]), shot_thresholds=ShotThresholds(many=30, few=6)
    )
    result = compare(artifact, solve(COUNTS).gram)
    groups = {(pair.first, pair.second): pair.group for pair in result.pairs}
    assert groups["ant", "bee"] == "many-many"
    assert groups["ant", "elk"] == "many-few"
    assert groups["cat", "dog"] == "medium-few"
    assert groups["dog", "elk"] == "few-few"
    assert [(block.group, block.pairs) for block in result.blocks] == [
        ("all", 10), ("many-many", 1), ("many-medium", 2), ("many-few", 4), ("medium-few", 2), ("few-few", 1),
    ]  # fmt: skip
    assert all(len(row) == len(PAIR_HEADER) for row in result.rows())
    residuals = [abs(row[PAIR_HEADER.index("residual")]) for row in result.rows()]
    assert residuals == sorted(residuals, reverse=True)


def test_halves_by_count_stand_in_for_shot_groups():
    result = compare(planted(simplex_etf(5), noise=0.2), solve(COUNTS).gram)
    assert result.groups == ("many", "many", "many", "few", "few")
    assert result.grouping == "halves by training count"
    assert [(block.group, block.pairs) for block in result.blocks] == [
        ("all", 10), ("many-many", 3), ("many-few", 6), ("few-few", 1),
    ]  # fmt: skip
    assert all(len(row) == len(BLOCK_HEADER) for row in result.block_rows())
    assert all(block.relative_error.low < block.relative_error.high for block in result.blocks)
    balanced = compare(planted(simplex_etf(4), (9, 9, 9, 9), noise=0.2), simplex_etf(4))
    assert balanced.groups is None
    assert [block.group for block in balanced.blocks] == ["all"]


def test_ranks_of_both_sides():
    result = compare(planted(simplex_etf(5)), layer_peeled([10_000] * 3 + [1] * 2).embeddings, resamples=0)
    assert result.effective_rank == pytest.approx(4.0)
    assert result.target_rank == 3
    assert 2.0 < result.target_effective_rank < 3.0
