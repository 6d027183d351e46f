"""Which theory a representation fits best, judged on representations built to fit one."""

import json

import numpy as np
import pytest
from scipy.stats import ortho_group

from geometry.alignment import coordinates, cosines
from geometry.artifact import Artifact
from geometry.atomic import plain
from geometry.class_vectors import learned_vectors
from geometry.compare import SUMMARY_HEADER, against, compare
from geometry.errors import DataError, UsageError
from geometry.frames import orthogonal_frame, seli_classifiers, seli_embeddings, simplex_etf
from geometry.optimum import solve
from geometry.targets import Target, forget, known_targets, register
from geometry.theory_fit import compare_to_optimum
from tests.geometry.planted_vectors import COUNTS, NAMES, planted, theory


def test_the_level_of_the_interval_is_the_one_asked_for():
    artifact, gram = planted(simplex_etf(5), noise=1.0, head_weight=np.eye(5, 8)), solve(COUNTS).gram
    wide, narrow = (compare(artifact, gram, level=level).gram_error for level in (0.95, 0.5))
    assert (wide.level, narrow.level) == (0.95, 0.5)
    assert wide.low < narrow.low < narrow.high < wide.high
    fit = compare_to_optimum(artifact, of=("features", "head"), level=0.5)
    assert {comparison.gram_error.level for comparison in fit.comparisons} == {0.5}


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
