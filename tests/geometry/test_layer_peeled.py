import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.alignment import cosines
from geometry.errors import UsageError
from geometry.frames import seli_classifiers, simplex_etf
from geometry.layer_peeled import layer_peeled, ridge_cross_entropy
from geometry.optimum import UncertifiedError
from geometry.peeled_factor import PeeledProblem, _Point

# (K_A, K_B, E_H, E_W) and the imbalance ratio at which minority classifiers merge (geometry_theory.md, section 8)
THRESHOLDS = [
    (5, 5, 5, 1, 12.1924),
    (3, 7, 5, 1, 245.497),
    (7, 3, 5, 1, 4.00047),
    (2, 3, 5, 1, 104.837),
    (2, 2, 1, 1, 3.38049),
    (3, 3, 1, 1, 2.36371),
    (5, 5, 1, 1, 1.73542),
    (1, 3, 1, 1, 24.3547),
    (5, 5, 5, 5, 3954.67),
]


def cross_entropy(logits, counts):
    """The mean over samples, one logarithm at a time."""
    total = 0.0
    for k, count in enumerate(counts):
        total += count * (np.log(np.exp(logits[:, k] - logits[:, k].max()).sum()) + logits[:, k].max() - logits[k, k])
    return total / sum(counts)


def nuclear_program(counts, *, radius=None, penalty=None):
    """The convex program in CVXPY: the independent reference."""
    import cvxpy

    shares = np.asarray(counts) / np.sum(counts)
    size = len(counts)
    logits = cvxpy.Variable((size, size))
    loss = sum(shares[k] * (cvxpy.log_sum_exp(logits[:, k]) - logits[k, k]) for k in range(size))
    if radius is not None:
        program = cvxpy.Problem(cvxpy.Minimize(loss), [cvxpy.normNuc(logits) <= radius])
    else:
        spread = logits @ np.diag(np.sqrt(counts))
        program = cvxpy.Problem(cvxpy.Minimize(loss + penalty * cvxpy.normNuc(spread)))
    program.solve(solver=cvxpy.CLARABEL)
    return program.value, logits.value


@pytest.mark.parametrize("counts", [(5, 3, 1), (40, 40, 1), (8, 4, 2, 1), (100, 30, 30, 2)])
def test_optimum_equals_the_nuclear_norm_program(counts):
    optimum = layer_peeled(counts, feature_energy=2.0, classifier_energy=0.5)
    value, logits = nuclear_program(counts, radius=len(counts))
    assert optimum.value == pytest.approx(value, rel=1e-7)
    np.testing.assert_allclose(optimum.logits, logits - logits.mean(axis=0), atol=2e-3)
    assert optimum.value == pytest.approx(cross_entropy(optimum.logits, counts), rel=1e-12)
    assert np.linalg.svd(optimum.logits, compute_uv=False).sum() == pytest.approx(len(counts), rel=1e-12)


@pytest.mark.parametrize("counts", [(5, 3, 1), (40, 40, 1), (8, 4, 2, 1)])
def test_ridge_equals_its_program(counts):
    optimum = ridge_cross_entropy(counts, classifier_decay=0.02, feature_decay=0.005)
    value, logits = nuclear_program(counts, penalty=0.01)
    assert optimum.value == pytest.approx(value, rel=1e-7)
    np.testing.assert_allclose(optimum.logits, logits - logits.mean(axis=0), atol=2e-3)
    # The objective itself, from factors with these Gram matrices.
    ridge = 0.02 / 2 * np.trace(optimum.classifiers) + 0.005 / 2 * (np.diag(optimum.embeddings) @ counts)
    assert optimum.value == pytest.approx(cross_entropy(optimum.logits, counts) + ridge, rel=1e-10)


def test_gram_matrices_have_the_energies_and_make_the_logits():
    optimum = layer_peeled((50, 20, 5, 1), feature_energy=3.0, classifier_energy=0.7)
    assert np.trace(optimum.classifiers) / 4 == pytest.approx(0.7)
    assert np.trace(optimum.embeddings) / 4 == pytest.approx(3.0)
    np.testing.assert_allclose(
        optimum.logits @ optimum.logits.T, 3.0 / 0.7 * optimum.classifiers @ optimum.classifiers, atol=1e-8
    )
    np.testing.assert_allclose(
        optimum.logits.T @ optimum.logits, 0.7 / 3.0 * optimum.embeddings @ optimum.embeddings, atol=1e-8
    )


@pytest.mark.parametrize("size", [2, 3, 10, 100])
def test_equal_counts_give_the_simplex(size):
    optimum = layer_peeled([7] * size)
    for gram in (optimum.classifiers, optimum.embeddings):
        np.testing.assert_allclose(cosines(gram), simplex_etf(size), atol=1e-9)
    assert (optimum.rank, optimum.distinct) == (size - 1, size)
    margin = size / (size - 1) * np.sqrt(5.0)
    assert optimum.value == pytest.approx(np.log1p((size - 1) * np.exp(-margin)), rel=1e-10)


@pytest.mark.parametrize(("majority", "minority", "features", "classifiers", "ratio"), THRESHOLDS)
def test_minority_classes_merge_at_the_threshold(majority, minority, features, classifiers, ratio):
    for factor, merged in ((0.99, False), (1.01, True)):
        counts = [factor * ratio] * majority + [1.0] * minority
        optimum = layer_peeled(counts, feature_energy=features, classifier_energy=classifiers)
        cosine = cosines(optimum.classifiers)[-1, -2]
        assert bool(cosine > 1 - 1e-7) is merged
        assert optimum.distinct == (majority + 1 if merged else majority + minority)
        assert optimum.relative_gap < 1e-9
        if not merged:
            assert cosine < 0.99
            if (majority, features, classifiers) == (5, 5, 1):
                assert cosine == pytest.approx(0.9617, abs=1e-4)


@pytest.mark.parametrize("minority_count", [1, 4, 25])
def test_ridge_merges_minority_classes_at_its_threshold(minority_count):
    counts = [100] * 3 + [minority_count] * 4
    for factor, merged in ((0.99, False), (1.01, True)):
        decay = factor * np.sqrt(minority_count) / sum(counts)
        optimum = ridge_cross_entropy(counts, classifier_decay=decay, feature_decay=decay)
        assert optimum.distinct == (4 if merged else 7)
        assert optimum.rank == (3 if merged else 6)
        assert optimum.multiplier == pytest.approx(decay)


@given(counts=st.lists(st.integers(1, 500), min_size=2, max_size=7), energy=st.floats(0.05, 40.0))
@settings(max_examples=25, deadline=None)
def test_nothing_feasible_is_better(counts, energy):
    """Certified for any counts; random feasible logits, the simplex among them, have no smaller loss."""
    optimum = layer_peeled(counts, feature_energy=energy)
    assert optimum.certified
    assert optimum.relative_gap < 1e-8
    size = len(counts)
    radius = size * np.sqrt(energy)
    rng = np.random.default_rng(0)
    candidates = [np.eye(size) - 1 / size, *(optimum.logits + 0.1 * rng.normal(size=(5, size, size)))]
    for candidate in candidates:
        scaled = candidate * (radius / np.linalg.svd(candidate, compute_uv=False).sum())
        assert optimum.value <= cross_entropy(scaled, counts) * (1 + 1e-9)


def test_gradient_and_hessian_by_finite_differences():
    rng = np.random.default_rng(0)
    shares = np.array([0.3, 0.3, 0.2, 0.1, 0.05, 0.05])
    for radius, penalty in ((9.0, 0.0), (np.inf, 0.02)):
        problem = PeeledProblem(shares, np.sqrt(100 * shares), radius=radius, penalty=penalty)
        base = problem.onto(problem.start() + 0.1 * rng.normal(size=len(problem.start())))
        point = _Point(problem, base)
        move = point.tangent(rng.normal(size=len(base)))
        step = 1e-6
        ahead, behind = (_Point(problem, problem.onto(base + sign * step * move)) for sign in (1, -1))
        assert (ahead.value - behind.value) / (2 * step) == pytest.approx(point.gradient @ move, rel=1e-6)
        change = point.tangent(ahead.gradient - behind.gradient) / (2 * step)
        np.testing.assert_allclose(change, point.hessian(move), atol=1e-6 * np.abs(change).max())


def test_classes_in_any_order():
    counts, order = np.array([90, 30, 30, 4, 1]), np.array([3, 1, 4, 0, 2])
    first, second = layer_peeled(counts), layer_peeled(counts[order])
    np.testing.assert_allclose(first.classifiers[np.ix_(order, order)], second.classifiers, atol=1e-8)
    np.testing.assert_allclose(first.embeddings[np.ix_(order, order)], second.embeddings, atol=1e-8)


def test_nearly_equal_counts_are_as_good_as_equal_ones():
    close = layer_peeled([1 + 1e-9, 1 + 1e-9, 1, 1, 1])
    np.testing.assert_allclose(cosines(close.classifiers), simplex_etf(5), atol=1e-5)
    assert close.relative_gap < 1e-9


def test_great_energies_tend_to_seli():
    """Cross-entropy with vanishing regularisation: the max-margin logits, whose factors are SELI's."""
    counts = (20, 20, 2, 2)
    ridge = ridge_cross_entropy(counts, classifier_decay=1e-9, feature_decay=1e-9)
    errors = [np.abs(cosines(ridge.classifiers) - cosines(seli_classifiers(counts))).max()]
    ridge = ridge_cross_entropy(counts, classifier_decay=1e-4, feature_decay=1e-4)
    errors.append(np.abs(cosines(ridge.classifiers) - cosines(seli_classifiers(counts))).max())
    assert errors[0] < 0.5 * errors[1]
    assert errors[0] < 0.05


def test_a_long_tail_of_a_hundred_classes_is_certified():
    optimum = layer_peeled(100 * 0.01 ** (np.arange(100) / 99))
    assert optimum.relative_gap < 1e-9
    assert optimum.seconds < 60
    assert optimum.rank < 99  # its rarest classes have merged
    assert optimum.distinct < 100


@pytest.mark.parametrize("counts", [[3, 0, 1], [5], [2, float("nan")]])
def test_bad_counts(counts):
    with pytest.raises(UsageError):
        layer_peeled(counts)


def test_bad_settings():
    with pytest.raises(UsageError, match="positive, finite feature energy, got 0"):
        layer_peeled([2, 1], feature_energy=0)
    with pytest.raises(UsageError, match="classifier decay"):
        ridge_cross_entropy([2, 1], classifier_decay=float("inf"))
    with pytest.raises(UncertifiedError, match="certified relative gap"):
        layer_peeled([5, 2, 1], tolerance=1e-30)
    marked = layer_peeled([5, 2, 1], tolerance=1e-30, require_certificate=False)
    assert not marked.certified
    assert marked.relative_gap < 1e-10
