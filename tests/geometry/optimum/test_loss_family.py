"""The losses of the program against written sums, finite differences and the conic solver."""

import itertools
import math
import warnings

import numpy as np
import pytest

from geometry.errors import UsageError
from geometry.optimum import (
    Exponential,
    Hinge,
    InfoNCE,
    Linear,
    LogMeanExp,
    LossWarning,
    MeanLoss,
    Program,
    Quadratic,
    check_loss,
    named_loss,
)
from geometry.optimum.negatives import LogMoments, enumerate_draws
from geometry.optimum.program import unit_gram, unit_rows
from tests.geometry.optimum.smooth_losses import SMOOTH


def written_out(psi, t, masses, k):
    """E psi over all A^k ordered draws, by loops."""
    total = 0.0
    for draw in itertools.product(range(len(t)), repeat=k):
        total += math.prod(masses[a] for a in draw) * psi([t[a] for a in draw])
    return total


WRITTEN = {
    "infonce": (InfoNCE(2.0, negatives=4), lambda t: math.log1p(2.0 / 4 * sum(map(math.exp, t)))),
    "plain": (InfoNCE("plain", negatives=4), lambda t: math.log1p(sum(map(math.exp, t)))),
    "lme": (LogMeanExp(negatives=4), lambda t: math.log(sum(map(math.exp, t)) / 4)),
    "exp": (Exponential(negatives=4), lambda t: sum(map(math.exp, t)) / 4),
    "hinge": (Hinge(1.3, negatives=4), lambda t: sum(max(0.0, 1.3 + x) for x in t) / 4),
    "quadratic": (Quadratic(negatives=4), lambda t: sum(max(0.0, 1 + x / 2) ** 2 for x in t) / 4),
    "linear": (Linear(negatives=4), lambda t: sum(1 + x / 2 for x in t) / 4),
}


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("tau", [0.1, 0.5, 2.0])
def test_expectation_over_four_negatives_equals_the_written_sum(name, tau):
    loss, psi = WRITTEN[name]
    rng = np.random.default_rng(0)
    t, masses = -2 / tau * rng.random((2, 3)), rng.dirichlet(np.ones(3), size=2)
    expected = [written_out(psi, row, mass, 4) for row, mass in zip(t, masses, strict=True)]
    np.testing.assert_allclose(loss.expectation(t, masses), expected, rtol=1e-13)


@pytest.mark.parametrize("tau", [0.05, 0.1, 0.5, 1.0, 20.0])
@pytest.mark.parametrize(("q", "k"), [(1.0, 1), (1.0, 2), (5.0, 9), ("plain", 30), (0.01, 40)])
@pytest.mark.parametrize("anchor", [1.0, 0.0])
def test_integral_equals_enumeration_to_1e_14(tau, q, k, anchor):
    rng = np.random.default_rng(1)
    t, masses = -2 / tau * rng.random((4, 3)), rng.dirichlet(np.ones(3), size=4)
    t[0, 0], masses[1] = 0.0, [1.0, 0.0, 0.0]
    q = float(k if q == "plain" else q)
    values, slopes = [], []
    for row, mass in zip(t, masses, strict=True):
        counts, chances = enumerate_draws(mass[mass > 0], k)
        x = q / k * (counts @ np.exp(row[mass > 0]))
        values.append((chances * (np.log1p(x) if anchor else np.log(x))).sum())
        slopes.append(np.zeros(3))
        slopes[-1][mass > 0] = q / k * ((chances / (anchor + x)) @ counts) * np.exp(row[mass > 0])
    moments = LogMoments(anchor, q, k)
    if anchor:
        np.testing.assert_allclose(moments.expectation(t, masses), values, rtol=1e-14)
    else:
        np.testing.assert_allclose(moments.expectation(t, masses), values, rtol=1e-14, atol=1e-14 * max(1, 2 / tau))
    np.testing.assert_allclose(moments.slopes(t, masses), slopes, rtol=1e-12, atol=1e-15 * np.max(slopes))
    assert len(moments._nodes(t)[0]) < 80 + (12 / tau if not anchor else 0)


@pytest.mark.parametrize("rare", [1e-3, 1e-9, 1e-12, 1e-15])
@pytest.mark.parametrize("k", [2, 3, 5])
def test_slopes_of_a_rare_far_kind_lose_no_digits(rare, k):
    """All that remains of phi at large s is the rare kind, of mass 1e-15; sums over draws have no differences."""
    masses, t = np.array([0.3, 0.7 - rare, rare]), np.array([-6.0, -14.0, -79.0])
    counts, chances = enumerate_draws(masses, k)
    parts = counts * np.exp(t) / (counts @ np.exp(t))[:, None]  # d log X / d t
    moments = LogMoments(0.0, 1.0, k)
    np.testing.assert_allclose(moments.slopes(t[None], masses[None])[0], chances @ parts, rtol=1e-13)
    bends = np.vstack([moments.slope_changes(t[None], masses[None], row[None]) for row in np.eye(3)])
    apart = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(bends[apart], (-(parts.T * chances) @ parts)[apart], rtol=1e-13)
    assert moments.expectation(t[None], masses[None])[0] == pytest.approx(
        (chances * np.log(counts @ np.exp(t) / k)).sum(), rel=1e-14
    )


def test_enumerated_draws_are_a_distribution():
    masses = np.array([0.2, 0.5, 0.3])
    counts, chances = enumerate_draws(masses, 6)
    assert counts.shape == (math.comb(8, 2), 3)
    assert (counts.sum(axis=1) == 6).all()
    assert len(np.unique(counts, axis=0)) == len(counts)
    assert chances.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(chances @ counts, 6 * masses, rtol=1e-13)
    assert enumerate_draws(np.ones(1), 5)[0].tolist() == [[5.0]]
    with pytest.raises(UsageError, match="too many to enumerate"):
        enumerate_draws(np.full(8, 1 / 8), 32)


def test_many_negatives_tend_to_the_limit_from_below():
    rng = np.random.default_rng(2)
    t, masses = -2 * rng.random((3, 5)), rng.dirichlet(np.ones(5), size=3)
    for loss in (InfoNCE, LogMeanExp):
        values = np.array([loss(negatives=k).expectation(t, masses) for k in (1, 10, 1000, 10**6)])
        limit = loss().expectation(t, masses)
        assert (np.diff(values, axis=0) > 0).all()
        assert (values < limit).all()
        np.testing.assert_allclose(values[-1], limit, atol=1e-6)


@pytest.mark.parametrize("loss", SMOOTH, ids=str)
@pytest.mark.parametrize("collisions", [False, True])
@pytest.mark.parametrize("tau", [0.3, 1.5])
def test_forces_and_their_change_equal_finite_differences(loss, collisions, tau):
    rng = np.random.default_rng(3)
    program = Program(rng.dirichlet(np.ones(4)), loss, tau, collisions)
    gram = unit_gram(unit_rows(rng.normal(size=(4, 4))))
    change = rng.normal(size=(4, 4))
    change = change + change.T
    np.fill_diagonal(change, 0.0)
    step = 1e-5 * tau
    ahead, behind = gram + step * change, gram - step * change
    forces = program.forces(gram)
    slope = (program.value(ahead) - program.value(behind)) / (2 * step)
    assert (forces * change).sum() == pytest.approx(slope, abs=1e-7 * np.abs(forces * change).sum())
    np.testing.assert_allclose(
        program.force_changes(gram, change),
        (program.forces(ahead) - program.forces(behind)) / (2 * step),
        atol=1e-6 * np.abs(forces).max() / tau,
    )
    np.testing.assert_array_equal(forces, forces.T)
    assert not np.diag(forces).any()


@pytest.mark.parametrize("loss", [*SMOOTH, Hinge(0.7)], ids=str)
def test_named_losses_are_convex_and_non_decreasing(loss):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tau in (0.2, 1.0, 5.0):
            check = check_loss(loss, tau)
            assert (check.convex, check.non_decreasing, check.consistent) == (True, True, True)


@pytest.mark.parametrize("loss", [InfoNCE(), InfoNCE(2.0, negatives=2), LogMeanExp(negatives=2), Exponential(),
                                  Quadratic(), Linear(), Hinge(1.0), LogMeanExp()], ids=str)  # fmt: skip
@pytest.mark.parametrize("collisions", [False, True])
def test_conic_expression_has_the_same_value(loss, collisions):
    import cvxpy

    rng = np.random.default_rng(4)
    program = Program(rng.dirichlet(np.ones(3)), loss, 0.7, collisions)
    exponents = program.exponents(unit_gram(unit_rows(rng.normal(size=(3, 3)))))
    expression = loss.expression(cvxpy.Constant(exponents), program.masses)
    np.testing.assert_allclose(expression.value, loss.expectation(exponents, program.masses), rtol=1e-12)
    assert loss.expression(cvxpy.Variable((3, 3)), program.masses).is_convex()


def test_full_batch_supcon_is_lme_with_collisions():
    """Theory 1: sum_y pi_y log(pi_y + sum_{c != y} pi_c exp((G_yc - 1)/tau))."""
    rng = np.random.default_rng(5)
    pi, gram = rng.dirichlet(np.ones(4)), unit_gram(unit_rows(rng.normal(size=(4, 4))))
    expected = sum(pi[y] * math.log(sum(pi[c] * math.exp((gram[y, c] - 1) / 0.4) for c in range(4))) for y in range(4))
    assert Program(pi, named_loss("supcon"), 0.4, collisions=True).value(gram) == pytest.approx(expected, rel=1e-13)


class Logistic(MeanLoss):
    name = "logistic"

    def inner(self, t):
        s = 1.0 / (1.0 + np.exp(-t))
        return np.logaddexp(0.0, t), s, s * (1.0 - s)


class PowerMean(MeanLoss):
    """(mean e^{2t})^{1/2}: a psi that is not separable, so that the number of negatives matters."""

    name = "power-mean"
    separable = False

    def inner(self, t):
        return np.exp(2 * t), 2 * np.exp(2 * t), 4 * np.exp(2 * t)

    def outer(self, u):
        return np.sqrt(u), 0.5 / np.sqrt(u), -0.25 * u**-1.5


class Wave(MeanLoss):
    name = "wave"

    def inner(self, t):
        return np.sin(3 * t), 3 * np.cos(3 * t), -9 * np.sin(3 * t)


class Wrong(MeanLoss):
    name = "wrong"

    def inner(self, t):
        return t**2, t, np.ones_like(t)


def test_a_loss_of_ones_own():
    assert check_loss(Logistic(), 0.5).convex
    rng = np.random.default_rng(6)
    t, masses = -2 * rng.random((2, 3)), rng.dirichlet(np.ones(3), size=2)
    loss = PowerMean(negatives=3)
    expected = [
        written_out(lambda x: math.sqrt(np.mean(np.exp(2 * np.array(x)))), *row, 3)
        for row in zip(t, masses, strict=True)
    ]
    np.testing.assert_allclose(loss.expectation(t, masses), expected, rtol=1e-13)
    assert check_loss(loss, 1.0).consistent
    assert check_loss(PowerMean(), 1.0).consistent
    with pytest.raises(UsageError, match="no conic form"):
        loss.expression(None, masses)
    with pytest.raises(UsageError, match="no force factorisation"):
        loss.inverse_slope(t)


def test_a_loss_that_the_theory_does_not_cover_is_told_so():
    with pytest.warns(LossWarning) as record:
        check = check_loss(Wave(), 1.0)
    assert not check.convex
    assert not check.non_decreasing
    assert "the certificate proves nothing" in str(record[0].message)
    assert "not non-decreasing" in str(record[1].message)
    with pytest.raises(UsageError, match="derivatives"):
        check_loss(Wrong(), 1.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: InfoNCE(negatives=0), "at least one negative"),
        (lambda: Exponential(negatives=2.5), "whole number"),
        (lambda: InfoNCE("plain"), "needs a number of negatives"),
        (lambda: InfoNCE("other"), "positive weight"),
        (lambda: Hinge(0.0), "positive margin"),
        (lambda: Program(np.full(3, 1 / 3), LogMeanExp(), 1e-3), "underflows"),
        (lambda: Program(np.full(3, 1 / 3), Exponential(), 1e-3), "underflows"),
        (lambda: named_loss("mse"), "known: infonce, lme, supcon, exp, hinge, quadratic, linear, hardest"),
    ],
)
def test_bad_losses_are_refused(build, message):
    with pytest.raises(UsageError, match=message):
        build()
