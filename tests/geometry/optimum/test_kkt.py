"""The optimality conditions from their definitions, on what every solver returns for every loss it covers."""

import numpy as np
import pytest

from geometry.optimum import Program, certify, named_loss, solve
from geometry.optimum.force_path import CollapseError
from geometry.optimum.loss_family import NAMES

SMOOTH = [name for name in NAMES if not named_loss(name).kinked]
KINKED = [name for name in NAMES if named_loss(name).kinked]
COUNTS = {
    "long tail": [100, 40, 15, 6, 2],
    "two groups": [9, 9, 9, 2, 2],
    "collapsed": [60, 3, 3, 3],
    "rank lost": [60, 20, 2, 1, 0.5],
    "singletons": [30, 10, 1, 1, 1],
}
COVERED = {
    "factor": [name for name in SMOOTH if name != "linear"],
    "reduced": SMOOTH,
    "burer-monteiro": SMOOTH,
    "conic": SMOOTH,
    "auto": SMOOTH,
}
# Clarabel leaves G at a distance of about the square root of its gap.
ACCURACY = {"conic": 2e-5}


def numeric_forces(program, gram):
    """Central differences of F along every pair of entries."""
    size, step = len(gram), 1e-6
    forces = np.zeros_like(gram)
    for i in range(size):
        for j in range(i):
            change = np.zeros_like(gram)
            change[i, j] = change[j, i] = step
            slope = (program.value(gram + change) - program.value(gram - change)) / (2 * step)
            forces[i, j] = forces[j, i] = slope / 2
    return forces


@pytest.mark.parametrize("negatives", [None, 3])
@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize(("method", "name"), [(m, n) for m, names in COVERED.items() for n in names])
def test_kkt(method, name, counts, negatives):
    if negatives is not None and (name not in ("infonce", "lme", "supcon") or method == "conic"):
        return  # k does not matter; the conic program enumerates k draws, tested on its own
    settings = {"loss": name, "negatives": negatives, "tau": 0.8}
    try:
        optimum = solve(counts, method=method, **settings)
    except CollapseError:  # raised by factor alone; the others must confirm that a rank is lost
        assert solve(counts, **settings).rank < len(counts) - 1
        return
    program = Program(optimum.proportions, named_loss(name, negatives=negatives), 0.8, optimum.collisions)
    gram, accuracy = optimum.gram, ACCURACY.get(method, 1e-7)
    # feasible
    np.testing.assert_array_equal(np.diag(gram), 1.0)
    np.testing.assert_array_equal(gram, gram.T)
    assert np.linalg.eigvalsh(gram)[0] > -1e-12
    # stationary, with forces from differences of F alone
    forces = program.forces(gram)
    scale = np.abs(forces).max()
    np.testing.assert_allclose(forces, numeric_forces(program, gram), atol=1e-6 * scale + 1e-9)
    multipliers = -(forces * gram).sum(axis=1)
    slack = forces + np.diag(multipliers)
    assert (multipliers >= -accuracy * scale).all()
    assert np.linalg.eigvalsh(slack)[0] > -accuracy * scale
    # complementary: every row of S G, and the ranks
    assert np.abs(slack @ gram).max() < accuracy * scale * len(gram)
    assert (np.linalg.eigvalsh(slack) > 1e-3 * scale).sum() + optimum.rank <= len(gram)
    # optimal
    assert optimum.certified
    assert optimum.lower_bound <= optimum.value
    assert certify(program, gram).certifies(1e-6)


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
@pytest.mark.parametrize("method", ["auto", "conic", "reduced"])
@pytest.mark.parametrize("name", KINKED)
def test_losses_with_kinks_have_a_dual_proof(name, method, counts):
    """S is not unique at a kink, so what is checked is feasibility and that random feasible G are above the bound."""
    if method == "reduced" and len(set(counts)) == len(counts):
        return
    optimum = solve(counts, loss=name, method=method, margin=1.6)
    program = Program(optimum.proportions, named_loss(name, margin=1.6), 1.0)
    assert optimum.certified
    assert np.linalg.eigvalsh(optimum.gram)[0] > -1e-12
    np.testing.assert_array_equal(np.diag(optimum.gram), 1.0)
    assert optimum.value == pytest.approx(program.value(optimum.gram), rel=1e-12)
    rng = np.random.default_rng(0)
    for noise in (1e-3, 1e-1, 10.0):
        values, vectors = np.linalg.eigh(optimum.gram)
        factor = vectors * np.sqrt(np.maximum(values, 0)) + noise * rng.normal(size=optimum.gram.shape)
        factor /= np.linalg.norm(factor, axis=1)[:, None]
        assert program.value(np.clip(factor @ factor.T, -1, 1)) >= optimum.lower_bound
