import numpy as np
import pytest

from geometry.errors import UsageError
from geometry.frames import orthogonal_frame, seli_classifiers, seli_embeddings, simplex_etf
from geometry.layer_peeled import layer_peeled, ridge_cross_entropy
from geometry.optimum import solve
from geometry.targets import (
    Target,
    chosen_targets,
    contrastive,
    forget,
    known_targets,
    layer_peeled_targets,
    register,
    ridge_targets,
)

COUNTS = (60, 30, 12, 6)


def named(name):
    return next(target for target in known_targets() if target.name == name)


def test_every_target_is_what_its_source_gives():
    optimum = layer_peeled(COUNTS)
    expected = {
        "etf": simplex_etf(4),
        "orthogonal frame": orthogonal_frame(4),
        "seli classifiers": seli_classifiers(COUNTS),
        "seli embeddings": seli_embeddings(COUNTS),
        "lpm classifiers": optimum.classifiers,
        "lpm embeddings": optimum.embeddings,
    }
    assert [target.name for target in known_targets()] == list(expected)
    for name, gram in expected.items():
        np.testing.assert_allclose(named(name)(COUNTS), gram, atol=1e-12)
        assert named(name).source


def test_the_contrastive_optimum_takes_any_settings():
    target = contrastive("mine", loss="supcon", tau=0.2)
    np.testing.assert_allclose(target(COUNTS), solve(COUNTS, loss="supcon", tau=0.2).gram, atol=1e-12)
    assert (target.name, target.source) == ("mine", "ours")


def test_targets_with_settings():
    classifiers, embeddings = layer_peeled_targets(2.0, 0.5)
    optimum = layer_peeled(COUNTS, feature_energy=2.0, classifier_energy=0.5)
    np.testing.assert_allclose(classifiers(COUNTS), optimum.classifiers, atol=1e-12)
    np.testing.assert_allclose(embeddings(COUNTS), optimum.embeddings, atol=1e-12)
    ridge = ridge_cross_entropy(COUNTS, classifier_decay=0.01, feature_decay=0.001)
    for target, gram in zip(ridge_targets(0.01, 0.001), (ridge.classifiers, ridge.embeddings), strict=True):
        np.testing.assert_allclose(target(COUNTS), gram, atol=1e-12)


def test_one_of_your_own_in_a_line():
    register(Target("sqrt frame", "my thesis", lambda counts: np.diag(counts**0.5)))
    try:
        (mine,) = chosen_targets(["sqrt-frame"], known_targets())
        np.testing.assert_allclose(mine([4, 9]), np.diag([2.0, 3.0]))
    finally:
        forget("sqrt frame")
    assert "sqrt frame" not in [target.name for target in known_targets()]
    with pytest.raises(UsageError, match="name of a known target"):
        forget("sqrt frame")


def test_names_may_be_hyphenated_and_are_taken_once_in_order():
    chosen = chosen_targets(["seli_embeddings", "ETF", "seli-embeddings"], known_targets())
    assert [target.name for target in chosen] == ["seli embeddings", "etf"]
    with pytest.raises(UsageError, match="Unknown target 'sely'; known: etf, orthogonal-frame"):
        chosen_targets(["sely"], known_targets())


@pytest.mark.parametrize("counts", [(3, 0), (3, -1), (3, float("nan")), ((1, 2), (3, 4))])
def test_bad_counts(counts):
    with pytest.raises(UsageError, match="one positive count per class"):
        named("etf")(counts)


def test_a_function_that_gives_no_gram_matrix_is_told():
    with pytest.raises(UsageError, match=r"'bad' to give a \(2, 2\) matrix, got \(2,\)"):
        Target("bad", "ours", lambda counts: counts)([1, 2])
