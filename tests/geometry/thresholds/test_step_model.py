import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.optimum import Exponential, InfoNCE, LogMeanExp, Program
from geometry.thresholds.step_model import StepModel, compared

LOSSES = [InfoNCE(), InfoNCE(3.0, negatives=4), LogMeanExp(negatives=7), Exponential()]


@settings(max_examples=40, deadline=None)
@given(
    majority=st.integers(1, 4),
    minority=st.integers(2, 5),
    loss=st.sampled_from(LOSSES),
    collisions=st.booleans(),
    ratio=st.floats(1.0, 1e4),
    cosines=st.tuples(*[st.floats(-0.9, 0.9)] * 3),
)
def test_forces_are_those_of_the_full_program(majority, minority, loss, collisions, ratio, cosines):
    alpha, beta, gamma = cosines
    group = np.repeat([0, 1], [majority, minority])
    gram = np.array([[alpha, gamma], [gamma, beta]])[np.ix_(group, group)]
    np.fill_diagonal(gram, 1.0)
    weights = np.where(group == 0, ratio, 1.0)
    full = Program(weights / weights.sum(), loss, 0.7, collisions).forces(gram)
    unit = 0.7 / (1.0 / weights.sum())
    found = StepModel(majority, minority, loss, 0.7, collisions).forces(ratio, alpha, beta, gamma)
    expected = [full[0, 1] * unit if majority > 1 else 0.0, full[0, -1] * unit, full[-1, -2] * unit]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_comparison_of_tiny_forces():
    assert compared(3e-300, 1e-300) == pytest.approx(0.5)
    assert compared(0.0, 0.0) == 0.0
