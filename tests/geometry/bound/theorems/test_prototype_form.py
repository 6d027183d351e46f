import numpy as np
import pytest

from geometry.bound.theorems import prototype_form
from geometry.errors import DataError


def finite_problem(rng):
    """Prototypes, shares and balanced errors of random joints on a finite X x Y under a random soft classifier."""
    sources, points, classes = int(rng.integers(1, 5)), int(rng.integers(2, 9)), int(rng.integers(2, 6))
    sharp = rng.choice([0.05, 0.3, 3.0])
    joints = rng.dirichlet(np.full(points * classes, sharp), size=sources + 1).reshape(-1, points, classes)
    gone = rng.random((sources, classes)) < 0.2
    gone[0] = gone[:, 0] = False
    joints += 1e-9
    joints[:-1] *= ~gone[:, None, :]
    joints /= joints.sum(axis=(1, 2), keepdims=True)
    scores = rng.dirichlet(np.full(classes, rng.choice([0.1, 1.0])), size=points)
    if rng.random() < 0.2:
        scores = np.round(scores * 2) / 2 + 1e-9
        scores /= scores.sum(axis=1, keepdims=True)  # ties
    mass = joints.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        table = np.einsum("mxk,xj->mkj", joints, scores) / mass[:, :, None]
    weights = rng.dirichlet(np.ones(sources))
    weights[0] += 0.1
    weights /= weights.sum()
    shares = weights[:, None] * mass[:-1]
    tied = scores >= scores.max(axis=1, keepdims=True)
    wrong = np.where(tied & (tied.sum(axis=1, keepdims=True) == 1), 0.0, 1.0)  # P(margin <= 0): ties are errors
    errors = (joints[-1] * wrong).sum(axis=0) / mass[-1]
    return table[:-1], shares / shares.sum(axis=0), table[-1], errors


def test_never_violated_on_random_finite_problems():
    rng, slacks, hull_slacks = np.random.default_rng(0), [], []
    for trial in range(3000):
        sources, shares, target, errors = finite_problem(rng)
        hull = trial % 30 == 0
        found = prototype_form(sources, shares, target, hull=hull)
        assert errors.mean() <= found.bound + 1e-9
        slacks.append(found.bound - errors.mean())
        if hull:
            assert found.hull_bound >= found.bound - 1e-9
            assert np.all(found.target_gap <= found.diameter + found.outside + 1e-9)
            hull_slacks.append(found.hull_bound - errors.mean())
    assert min(slacks) < 0.1
    assert min(hull_slacks) >= -1e-9


def test_right_side_is_reached():
    """Half confidence in the true class everywhere: the error is 1 and so is twice the soft error."""
    table = np.full((1, 2, 2), 0.5)
    assert prototype_form(table, [[1.0, 1.0]], table[0]).bound == pytest.approx(1.0)


def test_a_target_between_the_sources_is_at_no_distance():
    rng = np.random.default_rng(1)
    sources = rng.dirichlet(np.ones(4), size=(3, 4))
    inside = np.tensordot([0.2, 0.5, 0.3], sources, 1)
    found = prototype_form(sources, np.full((3, 4), 1 / 3), inside)
    np.testing.assert_allclose(found.outside, 0.0, atol=1e-9)
    widest = [max(np.abs(sources[i, k] - sources[j, k]).max() for i in range(3) for j in range(3)) for k in range(4)]
    np.testing.assert_allclose(found.diameter, widest)


def test_impossible_quantities_are_refused():
    table = np.full((2, 2, 2), 0.5)
    with pytest.raises(DataError, match="sum to 1"):
        prototype_form(table, [[0.5, 0.5], [0.5, 0.6]], table[0])
    with pytest.raises(DataError, match=r"\(M, K, K\)"):
        prototype_form(table, [[1.0, 1.0]], table[0])
    table[1, 0] = np.nan
    with pytest.raises(DataError, match="prototype wherever"):
        prototype_form(table, [[0.5, 0.5], [0.5, 0.5]], table[0])
