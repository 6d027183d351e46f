"""What must not matter, and what must only matter in one direction."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.optimum import InfoNCE, LogMeanExp, Program, certify, class_proportions, solve
from geometry.optimum.burer_monteiro import FactorPoint, solve_factor
from geometry.optimum.groups import group_program
from geometry.optimum.program import unit_gram, unit_rows

NAMES = ["infonce", "lme", "supcon", "exp", "quadratic"]
weights_of = st.lists(st.floats(1.0, 60.0), min_size=3, max_size=6)


@given(weights=weights_of, name=st.sampled_from(NAMES), tau=st.floats(0.2, 2.0), seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_relabelling_the_classes(weights, name, tau, seed):
    order = np.random.default_rng(seed).permutation(len(weights))
    tau = max(tau, 1.0) if name == "quadratic" else tau  # below, its optimum need not be unique
    optimum, relabelled = (solve(w, loss=name, tau=tau) for w in (weights, np.asarray(weights)[order]))
    np.testing.assert_allclose(relabelled.gram, optimum.gram[np.ix_(order, order)], atol=1e-5)
    assert relabelled.value == pytest.approx(optimum.value, rel=1e-9, abs=1e-12)
    assert relabelled.certified


@given(weights=weights_of, seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_rotating_the_vectors(weights, seed):
    """V Q has the Gram matrix of V: the same value and proof, a rotated gradient, and the same end of a search."""
    rng = np.random.default_rng(seed)
    size = len(weights)
    program = Program(class_proportions(weights), InfoNCE(), 0.5)
    factor = unit_rows(rng.normal(size=(size, size)))
    turn = np.linalg.qr(rng.normal(size=(size, size)))[0]
    here, there = FactorPoint(program, factor), FactorPoint(program, factor @ turn)
    assert there.value == pytest.approx(here.value, rel=1e-12)
    np.testing.assert_allclose(there.gradient, here.gradient @ turn, atol=1e-10)
    bounds = [certify(program, unit_gram(point.factor)).lower_bound for point in (here, there)]
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-8, abs=1e-10)
    ends = [solve_factor(program, unit_gram(point.factor)).gram for point in (here, there)]
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-6)


@given(
    sizes=st.lists(st.integers(1, 4), min_size=2, max_size=3),
    name=st.sampled_from(NAMES),
    tau=st.floats(0.3, 1.5),
    ratio=st.floats(1.5, 30.0),
)
@settings(max_examples=25, deadline=None)
def test_splitting_a_group_into_nearly_equal_classes(sizes, name, tau, ratio):
    """Groups are a shortcut: moving their members apart by 1e-9 makes C groups of one, and the same optimum."""
    tau = max(tau, 1.0) if name == "quadratic" else tau
    counts = np.repeat(ratio ** np.arange(len(sizes)), sizes)
    if len(counts) < 3:
        counts = np.append(counts, ratio**3)
    split = counts * (1 + 1e-9 * np.arange(len(counts)))
    groups = [group_program(Program(class_proportions(c), LogMeanExp(), 1.0)).num_groups for c in (counts, split)]
    assert groups[1] == len(counts) >= groups[0]
    whole, apart = (solve(c, loss=name, tau=tau) for c in (counts, split))
    assert apart.value == pytest.approx(whole.value, rel=1e-7, abs=1e-12)
    np.testing.assert_allclose(apart.gram, whole.gram, atol=1e-4)


@given(
    weights=weights_of, name=st.sampled_from(["infonce", "exp"]), tau=st.floats(0.2, 1.5), factor=st.floats(1.1, 3.0)
)
@settings(max_examples=20, deadline=None)
def test_temperature_and_weight_raise_the_loss(weights, name, tau, factor):
    """t = (G - 1)/tau is at most 0 and grows with tau, and psi grows with t and Q."""
    assert solve(weights, loss=name, tau=tau * factor).value >= solve(weights, loss=name, tau=tau).value
    assert solve(weights, tau=tau, q=factor).value > solve(weights, tau=tau).value


@given(weights=weights_of, tau=st.floats(0.2, 1.5), name=st.sampled_from(["infonce", "lme"]))
@settings(max_examples=15, deadline=None)
def test_more_negatives_raise_the_loss(weights, tau, name):
    """Jensen: log is concave, and the mean over k negatives varies less for larger k (Q fixed)."""
    values = [solve(weights, loss=name, tau=tau, negatives=k).value for k in (1, 2, 8, 64, None)]
    assert all(later >= earlier - 1e-9 * abs(earlier) for earlier, later in itertools.pairwise(values))


@given(weights=weights_of, tau=st.floats(0.2, 1.5))
@settings(max_examples=15, deadline=None)
def test_equal_classes_share_their_angles(weights, tau):
    gram = solve([*weights, weights[0], weights[0]], tau=tau).gram
    others = np.arange(1, len(weights))
    for twin in (-1, -2):
        np.testing.assert_allclose(gram[twin, others], gram[0, others], atol=1e-7)
    assert gram[0, -1] == pytest.approx(gram[-1, -2], abs=1e-7)
