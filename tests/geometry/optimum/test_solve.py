import dataclasses
import functools
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from geometry.atomic import plain
from geometry.errors import TailgeomError, UsageError
from geometry.frames import simplex_etf
from geometry.optimum import InfoNCE, Program, UncertifiedError, certify, routes, solve
from geometry.optimum.burer_monteiro import FactorAnswer
from geometry.optimum.conic import ConicAnswer
from geometry.optimum.force_path import ForceAnswer
from geometry.optimum.resolution import angle_errors

METHODS = ("auto", "conic", "burer-monteiro")


def program_of(optimum):
    return Program(optimum.proportions, InfoNCE(optimum.q), optimum.tau)


def assert_optimal(optimum, tolerance=1e-6):
    """The optimality conditions, checked here from the definitions."""
    program, gram = program_of(optimum), optimum.gram
    forces = program.forces(gram)
    slack = forces - np.diag((forces * gram).sum(axis=1))
    scale = np.linalg.norm(slack, 2)
    assert np.linalg.eigvalsh(gram)[0] > -1e-12
    np.testing.assert_array_equal(np.diag(gram), 1.0)
    assert np.linalg.eigvalsh(slack)[0] > -tolerance * scale
    assert np.linalg.norm(slack @ gram) < max(tolerance, 1e-7) * scale * len(gram)
    assert optimum.value == pytest.approx(program.value(gram), rel=1e-14)
    assert optimum.value <= program.reference_value * (1 + optimum.relative_gap)
    assert optimum.certified


@pytest.mark.parametrize("size", [2, 3, 5, 10])
@pytest.mark.parametrize("tau", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("method", [*METHODS, "closed-form"])
def test_balanced_classes_give_the_simplex(size, tau, method):
    if (method, tau, size) == ("conic", 0.1, 2):  # a loss of 2e-9
        with pytest.raises(TailgeomError, match="too small for a conic solver"):
            solve([7] * size, tau=tau, method=method)
        return
    optimum = solve([7] * size, tau=tau, method=method)
    np.testing.assert_allclose(optimum.gram, simplex_etf(size), atol=1e-6 if method == "conic" else 1e-8)
    assert_optimal(optimum)
    assert (optimum.rank, optimum.distinct) == (size - 1, size)
    if method == "auto":
        assert optimum.method == "closed-form"


@pytest.mark.parametrize("size", [3, 10])
@pytest.mark.parametrize("tau", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("method", METHODS)
def test_long_tails_at_ratio_100(size, tau, method):
    optimum = solve(100.0 ** (-np.arange(size) / (size - 1)), tau=tau, method=method)
    assert_optimal(optimum)
    assert optimum.relative_gap < (1e-7 if method == "conic" else 1e-11)
    if size == 10:
        assert (optimum.rank, optimum.distinct) == (9, 10)


@pytest.mark.parametrize("method", METHODS)
def test_three_classes_500_50_5(method):
    optimum = solve([500, 50, 5], method=method)
    assert_optimal(optimum)
    # One majority class with unequal minorities: the Laplacian condition of the theory says antipodal collapse.
    forces = program_of(optimum).forces(np.array([[1.0, -1, -1], [-1, 1, 1], [-1, 1, 1]]))
    minorities = forces[1:, 1:]
    laplacian = np.diag(minorities.sum(axis=1)) - minorities
    assert np.linalg.eigvalsh(np.diag(forces[0, 1:]) - laplacian)[0] > 0
    assert (optimum.rank, optimum.distinct) == (1, 2)
    np.testing.assert_allclose(optimum.gram[0], [1, -1, -1], atol=1e-8)


def one_majority_threshold(minorities, tau, q=1.0):
    """Geometry theory 5.1, infonce in the limit of many negatives."""
    b = minorities + (minorities - 1) * (1 + q) / (1 + q * math.exp(-2 / tau))
    return (-b + math.sqrt(b * b + 8 * minorities**2 * math.exp(2 / tau))) / 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("majority", "minority", "tau", "ratio", "collapsed_rank"),
    [(1, 9, 1.0, 24.9275, 1), (1, 3, 1.0, 8.72344, 1), (1, 3, 0.5, 28.0759, 1), (2, 3, 1.0, 36.7264, 2)],
)
def test_collapse_switches_at_the_threshold(majority, minority, tau, ratio, collapsed_rank, method):
    if majority == 1:
        assert one_majority_threshold(minority, tau) == pytest.approx(ratio, rel=1e-5)
    size = majority + minority
    for factor, rank, distinct in ((0.99, size - 1, size), (1.01, collapsed_rank, majority + 1)):
        optimum = solve([factor * ratio] * majority + [1.0] * minority, tau=tau, method=method)
        assert_optimal(optimum)
        assert (optimum.rank, optimum.distinct) == (rank, distinct)


@pytest.mark.parametrize("method", METHODS)
def test_rank_drops_before_any_two_vectors_meet(method):
    collapsed = solve([60, 3, 3, 3, 3], method=method)
    assert_optimal(collapsed)
    assert (collapsed.rank, collapsed.distinct) == (1, 2)
    flat = solve([60, 20, 2, 1, 0.5], method=method)
    assert_optimal(flat)
    assert (flat.rank, flat.distinct) == (2, 5)


def test_uncollapsed_forces_factorise():
    """Geometry theory, Theorem 3: Gamma_ij = g_i g_j and sum_i g_i mu_i = 0 with g_i^2 = lambda_i."""
    optimum = solve(100.0 ** (-np.arange(6) / 5), tau=0.5)
    forces = program_of(optimum).forces(optimum.gram)
    g = np.sqrt(-(forces * optimum.gram).sum(axis=1))
    off = ~np.eye(6, dtype=bool)
    np.testing.assert_allclose(forces[off], np.outer(g, g)[off], rtol=1e-8)
    np.testing.assert_allclose(optimum.gram @ g, 0.0, atol=1e-9 * g.max())


@pytest.mark.parametrize("counts", [[5, 3, 1], [20, 5, 5, 1], [9, 9, 2, 2, 1]])
@pytest.mark.parametrize("tau", [0.3, 1.0])
def test_free_vectors_minimised_directly_reach_the_same_value(counts, tau):
    """An oracle that shares no code: free unit vectors, loops, SciPy's quasi-Newton, several starts."""
    pi = np.asarray(counts) / sum(counts)
    size = len(pi)

    def loss(flat):
        vectors = flat.reshape(size, size)
        vectors = vectors / np.sqrt((vectors**2).sum(axis=1))[:, None]
        total = 0.0
        for y in range(size):
            inner = 0.0
            for c in range(size):
                if c != y:
                    inner += pi[c] / (1 - pi[y]) * math.exp((vectors[y] @ vectors[c] - 1) / tau)
            total += pi[y] * math.log(1 + inner)
        return total

    rng = np.random.default_rng(0)
    found = min(minimize(loss, rng.normal(size=size * size), tol=1e-10).fun for _ in range(3))
    optimum = solve(counts, tau=tau)
    assert found == pytest.approx(optimum.value, rel=1e-6)
    assert found >= optimum.value * (1 - 1e-12)


@given(
    weights=st.lists(st.floats(1.0, 100.0), min_size=2, max_size=7),
    tau=st.floats(0.1, 2.0),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=30, deadline=None)
def test_relabelling_the_classes_relabels_the_optimum(weights, tau, seed):
    order = np.random.default_rng(seed).permutation(len(weights))
    optimum = solve(weights, tau=tau, method="burer-monteiro")
    relabelled = solve(np.asarray(weights)[order], tau=tau, method="burer-monteiro")
    np.testing.assert_allclose(relabelled.gram, optimum.gram[np.ix_(order, order)], atol=1e-6)
    assert relabelled.value == pytest.approx(optimum.value, rel=1e-11)
    assert_optimal(optimum)


def test_equal_proportions_get_equal_angles():
    gram = solve([50, 50, 50, 5, 5], tau=0.5).gram
    np.testing.assert_allclose(gram[[0, 0, 1], [1, 2, 2]], gram[0, 1], atol=1e-9)
    np.testing.assert_allclose(gram[:3, 3:], gram[0, 3], atol=1e-9)


def test_low_temperature_falls_back_where_cones_cannot_resolve():
    optimum = solve([100, 10, 1], tau=0.05)
    assert_optimal(optimum)
    assert optimum.method == "factor"
    with pytest.raises(TailgeomError, match="too small for a conic solver"):
        solve([100, 10, 1], tau=0.05, method="conic")


def test_many_classes_do_not_wait_for_the_cone(monkeypatch):
    monkeypatch.setattr(routes, "solve_conic", lambda program: pytest.fail("called"))
    optimum = solve(100.0 ** (-np.arange(65) / 64), tau=0.5)
    assert_optimal(optimum)


def test_an_uncertified_answer_is_raised_or_marked_never_silent(monkeypatch):
    monkeypatch.setattr(routes, "solve_conic", lambda program: ConicAnswer(np.eye(3), "optimal_inaccurate", 4))
    with pytest.raises(UncertifiedError, match=r"relative gap of .* above the tolerance"):
        solve([5, 2, 1], method="conic")
    marked = solve([5, 2, 1], method="conic", require_certificate=False)
    assert not marked.certified
    assert marked.relative_gap > 0.1
    assert marked.value > solve([5, 2, 1], method="burer-monteiro").value
    with pytest.raises(UncertifiedError):  # not even the best answer is exact
        solve([5, 2, 1], tolerance=1e-17)


@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("method", ["factor", "reduced", "burer-monteiro", "auto"])
def test_steps_that_run_out_are_never_silent(monkeypatch, method, steps):
    """Whatever a solver returns when it stops early, it is raised on, or marked, or made good by another."""
    counts = [90, 90, 40, 7, 2]
    for name in ("solve_forces", "solve_reduced", "solve_factor"):
        monkeypatch.setattr(routes, name, functools.partial(getattr(routes, name), max_steps=steps))
    monkeypatch.setattr(routes, "CONIC_CLASSES", 0)
    message = "stops at" if method == "factor" else "above the tolerance"
    with pytest.raises(TailgeomError, match=message):
        solve(counts, method=method, tolerance=1e-9)
    if method == "factor":
        return
    marked = solve(counts, method=method, tolerance=1e-9, require_certificate=False)
    truth = solve(counts, method="conic")
    assert not marked.certified
    assert marked.relative_gap > 1e-9
    assert marked.value >= truth.lower_bound
    assert marked.lower_bound <= truth.value


def test_no_answer_at_all_is_raised(monkeypatch):
    def fails(program):
        raise TailgeomError("broken")

    monkeypatch.setattr(routes, "_SOLVERS", dict.fromkeys(routes._SOLVERS, fails))
    for require in (True, False):
        with pytest.raises(UncertifiedError, match="No method finished"):
            solve([5, 2, 1], require_certificate=require)


def test_unresolved_classes_are_counted():
    """The linear loss of 2 + 3 classes at ratio 1e12: forces among the rare ones are lost to rounding."""
    optimum = solve([1e12] * 2 + [1.0] * 3, loss="linear")
    assert optimum.certified
    assert optimum.unresolved == 3
    resolved = solve([100.0] * 2 + [1.0] * 3, loss="linear")
    assert (resolved.unresolved, resolved.distinct) == (0, 3)
    assert resolved.angle_error < 1e-8


@pytest.mark.parametrize("noise", [1e-9, 1e-6, 1e-3])
def test_estimated_errors_of_angles_follow_the_true_ones(noise):
    optimum = solve(30.0 ** (-np.arange(5) / 4), tau=0.5)
    rng = np.random.default_rng(0)
    values, vectors = np.linalg.eigh(optimum.gram)
    factor = vectors * np.sqrt(np.maximum(values, 0)) + noise * rng.normal(size=(5, 5))
    factor /= np.linalg.norm(factor, axis=1)[:, None]
    gram = np.clip(factor @ factor.T, -1, 1)
    estimate = angle_errors(program_of(optimum), (gram + gram.T) / 2)
    truth = np.abs(gram - optimum.gram).max()
    assert truth / 30 < estimate.max() < 30 * truth


def test_where_one_route_fails_the_next_one_answers(monkeypatch):
    """The certificate judges every answer, so that a broken solver costs time and no truth."""
    broken = ForceAnswer(np.eye(3), np.ones(3), 0, 3, np.zeros(3, dtype=bool), 0.0)
    monkeypatch.setattr(routes, "solve_forces", lambda program: broken)
    monkeypatch.setattr(routes, "solve_factor", lambda program, start: FactorAnswer(np.eye(3), 0, 0.0))
    optimum = solve([5, 2, 1])
    assert_optimal(optimum)
    assert optimum.method == "conic"


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"method": "scs"}, "Unknown method 'scs'; known: auto"),
        ({"method": "closed-form"}, "equal proportions or two classes only"),
        ({"loss": "mse"}, "Unknown loss"),
        ({"tau": 0.0}, "temperature"),
        ({"q": -1.0}, "weight"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
    ],
)
def test_bad_settings(kwargs, message):
    with pytest.raises(UsageError, match=message):
        solve([3, 2, 1], **kwargs)


def test_result_is_frozen_and_becomes_json():
    optimum = solve([50, 10, 5], tau=0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        optimum.value = 0.0
    report = json.loads(json.dumps(plain(optimum), allow_nan=False))
    assert {"gram", "value", "rank", "distinct", "method", "relative_gap", "certified", "seconds"} <= set(report)
    np.testing.assert_array_equal(report["gram"], optimum.gram)
    assert certify(program_of(optimum), np.asarray(report["gram"])).certifies(1e-10)


def test_imports_stay_light():
    code = """
import sys
from geometry.optimum import solve
solve([4, 4, 4]), solve([4, 2, 1], method="burer-monteiro")
assert not {"cvxpy", "scipy.optimize"} & set(sys.modules), "the conic model is imported only when it is used"
solve([500, 50, 5], method="conic")
heavy = {"torch", "matplotlib", "sklearn", "umap", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
