"""Invariances, order and limits of every loss of the program, over random settings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.optimum import Exponential, Hinge, InfoNCE, LogMeanExp, Program, Quadratic
from geometry.optimum.hardest_negative import HardestNegative
from geometry.optimum.program import unit_gram, unit_rows
from tests.geometry.optimum.smooth_losses import SMOOTH

FAMILY = [*SMOOTH, Hinge(0.7), HardestNegative(1.1, 3), HardestNegative(1.1)]


@given(seed=st.integers(0, 10**6), tau=st.floats(0.1, 20.0), where=st.floats(0.0, 1.0))
@settings(max_examples=25, deadline=None)
def test_every_loss_is_monotone_convex_and_blind_to_names(seed, tau, where):
    rng = np.random.default_rng(seed)
    first, second = -2 / tau * rng.random((2, 3, 4))
    masses, order = rng.dirichlet(np.ones(4), size=3), rng.permutation(4)
    split_t = np.column_stack([first, first[:, 1]])
    split_masses = np.column_stack([masses, (1 - where) * masses[:, 1]])
    split_masses[:, 1] *= where
    for loss in FAMILY:
        value, slopes = loss.expectation(first, masses), loss.slopes(first, masses)
        near = {"rtol": 1e-12, "atol": 1e-13 * (1 + 2 / tau)}
        assert (slopes >= 0).all()
        assert (loss.expectation(np.maximum(first, second), masses) >= value - 1e-13 * (1 + np.abs(value))).all()
        chord = where * value + (1 - where) * loss.expectation(second, masses)
        between = loss.expectation(where * first + (1 - where) * second, masses)
        assert (between <= chord + 1e-13 * (1 + np.abs(chord))).all()
        np.testing.assert_allclose(loss.expectation(first[:, order], masses[:, order]), value, **near)
        np.testing.assert_allclose(loss.slopes(first[:, order], masses[:, order]), slopes[:, order], **near)
        np.testing.assert_allclose(loss.expectation(split_t, split_masses), value, **near)
        parts = loss.slopes(split_t, split_masses)
        np.testing.assert_allclose(parts[:, 1] + parts[:, 4], slopes[:, 1], **near)
        np.testing.assert_allclose(parts[:, [0, 2, 3]], slopes[:, [0, 2, 3]], **near)


@given(seed=st.integers(0, 10**6), tau=st.floats(0.1, 20.0), k=st.integers(1, 10**4), q=st.floats(0.1, 10.0))
@settings(max_examples=25, deadline=None)
def test_more_negatives_never_lower_the_loss(seed, tau, k, q):
    """Jensen for a fixed Q, as log is concave; the hardest of more is harder."""
    rng = np.random.default_rng(seed)
    t, masses = -2 / tau * rng.random((3, 4)), rng.dirichlet(np.ones(4), size=3)
    for make in (
        lambda n: InfoNCE(q, negatives=n),
        lambda n: LogMeanExp(negatives=n),
        lambda n: HardestNegative(0.7, n),
        lambda n: Exponential(negatives=n),
    ):
        fewer, more, limit = (make(n).expectation(t, masses) for n in (k, k + 1, None))
        noise = 1e-14 * (1 + 2 / tau) * (1 + np.abs(limit))
        assert (more >= fewer - noise).all()
        assert (limit >= more - noise).all()


@pytest.mark.parametrize("q", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("tau", [0.05, 1.0, 20.0])
def test_one_negative_and_a_million_equal_closed_forms(q, tau):
    rng = np.random.default_rng(8)
    t, masses = -2 / tau * rng.random((4, 30)), rng.dirichlet(np.full(30, 0.3), size=4)
    x = q * np.exp(t)
    one = InfoNCE(q, negatives=1)
    np.testing.assert_allclose(one.expectation(t, masses), (masses * np.log1p(x)).sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(one.slopes(t, masses), masses * x / (1 + x), rtol=1e-12, atol=1e-17)
    mean = (masses * x).sum(axis=1)
    variance = (masses * (x - mean[:, None]) ** 2).sum(axis=1) / 10**6
    expected = np.log1p(mean) - variance / (2 * (1 + mean) ** 2)  # the next term is of order k^-2
    np.testing.assert_allclose(InfoNCE(q, negatives=10**6).expectation(t, masses), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("loss", [InfoNCE(negatives=3), InfoNCE(), LogMeanExp(negatives=50), Exponential(), Hinge()])
@pytest.mark.parametrize("most", [10, 10**8])
def test_the_operator_is_the_change_of_slopes(loss, most, monkeypatch):
    import geometry.optimum.negatives as negatives

    rng = np.random.default_rng(9)
    program = Program(rng.dirichlet(np.ones(6)), loss, 0.4)
    gram = unit_gram(unit_rows(rng.normal(size=(6, 6))))
    expected = program.force_changes(gram, gram)
    monkeypatch.setattr(negatives, "BLOCK", 700)  # several blocks of rows
    monkeypatch.setattr(negatives, "MOST_ENTRIES", most)
    np.testing.assert_allclose(program.force_operator(gram)(gram), expected, rtol=1e-12, atol=1e-18)


@given(tau=st.floats(0.01, 20.0), k=st.sampled_from([None, 1, 16, 10**6]), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_no_setting_gives_nan(tau, k, seed):
    rng = np.random.default_rng(seed)
    for loss in (
        InfoNCE(negatives=k),
        LogMeanExp(negatives=k),
        Exponential(),
        Quadratic(),
        Hinge(),
        HardestNegative(1, k),
    ):
        program = Program(rng.dirichlet(np.full(4, 0.3)) + 1e-12, loss, tau)
        gram = unit_gram(unit_rows(rng.normal(size=(4, 4))))
        assert np.isfinite(program.value(gram))
        assert np.isfinite(program.forces(gram)).all()
        assert np.isfinite(program.force_changes(gram, gram)).all()
        assert program.unit > 0
