import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group

from geometry.alignment import coordinates, cosines, gram_error
from geometry.artifact import Artifact
from geometry.atomic import plain
from geometry.class_vectors import learned_vectors
from geometry.compare import BLOCK_HEADER, PAIR_HEADER, SUMMARY_HEADER, against, compare
from geometry.errors import DataError, UsageError
from geometry.frames import orthogonal_frame, seli_classifiers, seli_embeddings, simplex_etf
from geometry.intervals import percentile_interval
from geometry.layer_peeled import layer_peeled
from geometry.optimum import solve
from geometry.shots import ShotThresholds
from geometry.targets import Target, forget, known_targets, register
from geometry.theory_fit import compare_to_optimum

COUNTS = (60, 30, 12, 6, 3)
NAMES = ("ant", "bee", "cat", "dog", "elk")


def planted(gram, counts=COUNTS, *, noise=0.0, dim=8, scale=2.5, offset=0.0, seed=0, **extra):
    """Samples around class means of a given Gram matrix, turned, scaled and moved."""
    rng = np.random.default_rng(seed)
    vectors = coordinates(np.asarray(gram))
    vectors = np.pad(vectors, ((0, 0), (0, dim - vectors.shape[1])))
    means = scale * vectors @ ortho_group.rvs(dim, random_state=rng) + offset
    labels = np.repeat(np.arange(len(counts)), counts)
    features = means[labels] + noise * rng.normal(size=(len(labels), dim))
    return Artifact(features=features, labels=labels, class_names=NAMES[: len(counts)], **extra)


def whole(pairs, size):
    """The matrix of cosines with these pairs."""
    gram = np.eye(size)
    gram[np.triu_indices(size, 1)] = pairs
    return gram + gram.T - np.eye(size)


def theory(name):
    if name == "lpm embeddings":
        return layer_peeled(COUNTS).embeddings
    if name == "optimum":
        return solve(COUNTS, tau=0.5, method="burer-monteiro").gram
    return simplex_etf(5) if name == "etf" else seli_embeddings(COUNTS)


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
        assert interval.method.startswith("basic bootstrap")
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


def test_the_level_of_the_interval_is_the_one_asked_for():
    artifact, gram = planted(simplex_etf(5), noise=1.0, head_weight=np.eye(5, 8)), solve(COUNTS).gram
    wide, narrow = (compare(artifact, gram, level=level).gram_error for level in (0.95, 0.5))
    assert (wide.level, narrow.level) == (0.95, 0.5)
    assert wide.low < narrow.low < narrow.high < wide.high
    fit = compare_to_optimum(artifact, of=("features", "head"), level=0.5)
    assert {comparison.gram_error.level for comparison in fit.comparisons} == {0.5}


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


def test_head_rows_are_compared_without_an_interval():
    rng = np.random.default_rng(0)
    rotation = ortho_group.rvs(8, random_state=rng)
    weight = np.pad(coordinates(seli_classifiers(COUNTS)), ((0, 0), (0, 3))) @ rotation
    artifact = planted(simplex_etf(5), head_weight=weight)
    fit = compare_to_optimum(artifact, of=("head",))
    assert fit.best("head").target == "seli classifiers"
    assert fit.best("head").gram_error.estimate == pytest.approx(0.0, abs=1e-7)
    assert fit.best("head").gram_error.method == "no interval: a head has no samples"
    assert fit.best("head").split is None


@pytest.mark.parametrize("truth", ["optimum", "etf", "seli embeddings", "lpm embeddings"])
def test_the_theory_that_fits_best_is_the_true_one(truth):
    gram = theory(truth)
    fit = compare_to_optimum(planted(gram, noise=0.01), tau=0.5)
    assert fit.best().target == truth
    assert [c.target for c in fit.comparisons] == ["optimum", "etf", "seli embeddings", "lpm embeddings"]
    assert fit.verdicts[0].startswith(f"features: {truth} fits best (Gram error 0.0")
    assert fit.classes == NAMES
    assert fit.optimum.certified
    assert all(len(row) == len(SUMMARY_HEADER) for row in fit.rows())
    best = fit.best()
    assert best.gram_error.estimate < 0.1
    assert best.gram_error.estimate < min(c.gram_error.estimate for c in fit.comparisons if c.target != truth)


def test_predictions_of_a_perfect_classifier_are_a_simplex():
    logits = 50.0 * np.eye(5)[np.repeat(np.arange(5), COUNTS)]
    fit = compare_to_optimum(planted(simplex_etf(5), logits=logits))
    assert {(c.of, c.target) for c in fit.comparisons} == {
        (of, target)
        for of in ("features", "predictions")
        for target in ("optimum", "etf", "seli embeddings", "lpm embeddings")
    }
    assert fit.best("predictions").target == "etf"
    raw = compare_to_optimum(planted(simplex_etf(5), logits=logits), centre=False)
    assert raw.best("predictions").target == "orthogonal frame"
    assert raw.best("features").target == "etf"
    np.testing.assert_array_equal(raw.best("predictions").optimal, orthogonal_frame(5))


def test_classes_without_training_samples_are_no_part_of_the_optimum():
    counts = np.array([[60, 30, 0, 6, 3]])
    artifact = planted(simplex_etf(5), noise=0.1, train_counts=counts)
    fit = compare_to_optimum(artifact)
    assert fit.classes == ("ant", "bee", "dog", "elk")
    assert fit.optimum.gram.shape == (4, 4)
    np.testing.assert_allclose(fit.optimum.proportions, np.array([60, 30, 6, 3]) / 99)
    assert fit.comparisons[0].left_out == ("cat",)
    one = planted(simplex_etf(5), train_counts=np.array([[60, 0, 0, 0, 0]]))
    with pytest.raises(DataError, match="two classes with training samples, got 1"):
        compare_to_optimum(one)


def test_bad_targets_and_names():
    artifact = planted(simplex_etf(5))
    with pytest.raises(UsageError, match=r"shape \(5, 5\), got \(4, 4\)"):
        compare(artifact, simplex_etf(4))
    with pytest.raises(UsageError, match="symmetric Gram matrix"):
        compare(artifact, np.eye(5) + np.triu(np.ones((5, 5))))
    with pytest.raises(DataError, match="needs logits"):
        compare(artifact, simplex_etf(5), of="predictions")
    with pytest.raises(UsageError, match="No comparison of 'head'"):
        compare_to_optimum(artifact, resamples=0).best("head")
    partial = np.full((5, 5), np.nan)
    partial[:3, :3] = simplex_etf(3)
    with pytest.raises(DataError, match="says nothing about some of the classes"):
        against(learned_vectors(artifact), partial)


def test_results_become_json():
    fit = compare_to_optimum(planted(simplex_etf(5), noise=0.1), resamples=0)
    report = json.loads(json.dumps(plain(fit), allow_nan=False))
    assert report["comparisons"][0]["gram_error"]["low"] is None
    assert len(report["comparisons"][0]["pairs"]) == 10
    assert report["comparisons"][0]["source"] == "ours"
    assert report["comparisons"][1]["blocks"][0]["relative_error"]["estimate"] >= 0
    assert report["optimum"]["certified"] is True


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


def test_relabelling_the_classes_changes_no_number():
    order = np.array([3, 0, 4, 2, 1])
    base = planted(simplex_etf(5), noise=0.4, train_counts=np.array([COUNTS]))
    other = Artifact(
        features=base.features,
        labels=np.argsort(order)[base.labels],
        class_names=tuple(NAMES[k] for k in order),
        train_counts=np.array([np.array(COUNTS)[order]]),
    )
    first, second = (compare_to_optimum(artifact, resamples=0) for artifact in (base, other))
    for a, b in zip(first.comparisons, second.comparisons, strict=True):
        assert a.gram_error.estimate == pytest.approx(b.gram_error.estimate, abs=1e-7)
        assert a.procrustes == pytest.approx(b.procrustes, abs=1e-6)
        assert a.effective_rank == pytest.approx(b.effective_rank)
        assert [block.rms for block in a.blocks] == pytest.approx([block.rms for block in b.blocks], abs=1e-4)


def test_ranks_of_both_sides():
    result = compare(planted(simplex_etf(5)), layer_peeled([10_000] * 3 + [1] * 2).embeddings, resamples=0)
    assert result.effective_rank == pytest.approx(4.0)
    assert result.target_rank == 3
    assert 2.0 < result.target_effective_rank < 3.0


def test_projections_are_compared_where_there_are_any():
    seen = planted(simplex_etf(5))
    artifact = planted(simplex_etf(5), projections=planted(seli_embeddings(COUNTS), seed=3).features)
    fit = compare_to_optimum(artifact, resamples=0)
    assert fit.best("projections").target == "seli embeddings"
    assert fit.best("features").target == "etf"
    assert seen.projections is None


def test_only_the_targets_asked_for():
    artifact = planted(simplex_etf(5), noise=0.1)
    fit = compare_to_optimum(artifact, targets=("etf", "seli-classifiers"), of=("features",), resamples=0)
    assert [c.target for c in fit.comparisons] == ["etf", "seli classifiers"]
    assert fit.optimum is None
    with pytest.raises(UsageError, match="Unknown target 'nothing'; known: optimum, etf, orthogonal-frame"):
        compare_to_optimum(artifact, targets=("nothing",))


def test_the_loss_of_the_program_is_the_one_asked_for():
    artifact = planted(simplex_etf(5), noise=0.1)
    fit = compare_to_optimum(artifact, loss="supcon", tau=0.2, resamples=0, targets=("optimum",))
    expected = solve(COUNTS, loss="supcon", tau=0.2)
    assert fit.optimum.loss == "supcon"
    np.testing.assert_allclose(fit.comparisons[0].optimal, cosines(expected.gram, centre=True), atol=1e-9)
    fit = compare_to_optimum(artifact, negatives=4, q="plain", collisions=True, resamples=0, targets=("optimum",))
    assert (fit.optimum.negatives, fit.optimum.q, fit.optimum.collisions) == (4, 4.0, True)


def test_verdicts_tell_what_is_not_told_apart():
    vague = compare_to_optimum(planted(simplex_etf(5), (6,) * 5, noise=2.0), resamples=50).verdicts[0]
    assert "coincide here and fit best" in vague  # equal counts: every theory is the simplex
    close = planted(simplex_etf(5), noise=2.5)
    assert "so that these are not told apart" in compare_to_optimum(close, resamples=50).verdicts[0]
    clear = planted(simplex_etf(5), (4000, 2000, 800, 400, 200), noise=0.02)
    assert "no other interval overlaps its own" in compare_to_optimum(clear, resamples=50).verdicts[0]
    assert "without intervals" in compare_to_optimum(clear, resamples=0).verdicts[0]


def test_a_target_that_takes_long_is_left_out_and_named():
    target = Target("slow", "ours", lambda counts: np.eye(len(counts)), most_groups=3)
    before = known_targets()
    register(target)
    try:
        fit = compare_to_optimum(planted(simplex_etf(5), noise=0.1), resamples=0)
        assert "slow" not in [c.target for c in fit.comparisons]
        assert fit.notes == (
            "Left out slow: 5 different training counts would take it long; ask for it with --targets slow.",
        )
        asked = compare_to_optimum(planted(simplex_etf(5), noise=0.1), targets=("slow",), resamples=0)
        assert [c.target for c in asked.comparisons] == ["slow"]
    finally:
        forget("slow")
    assert known_targets() == before
