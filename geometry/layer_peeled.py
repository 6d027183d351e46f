r"""Cross-entropy on free features: the layer-peeled model's optimum for any class counts, with a proof (solver ours).

One classifier row w_j and one feature h_k a class (samples of a class share theirs, by Jensen), logits ``Z = W H``:

    layer-peeled (Fang et al. 2021):  min sum_k (n_k/N) CE_k(Z e_k)  s.t.  ||W||_F^2 <= K E_W,  ||H||_F^2 <= K E_H
    ridge:                            min sum_k (n_k/N) CE_k(Z e_k) + lam_W/2 ||W||_F^2 + lam_H/2 sum_k n_k ||h_k||^2

With ``Y = Z S`` (S = I, or diag(sqrt n_k) for the ridge) both are convex: the bound is ``||Y||_* <= nu`` with
``nu = K sqrt(E_W E_H)``, the ridge ``lam ||Y||_*`` with ``lam = sqrt(lam_W lam_H)``.

The proof is the dual's. For any V with ``||V||_op <= t``, with ``p_k = S_kk V e_k / c_k + e_k`` in the simplex and
``c_k = n_k/N``, no Y has a loss below ``sum_k c_k H(p_k) - nu t`` (bound), or ``sum_k c_k H(p_k)`` when ``t <= lam``
(ridge); H is the entropy. V is the gradient, its singular values on the range of Y set to their mean, the others cut.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geometry.alignment import cosines
from geometry.errors import UsageError
from geometry.optimum.certificate import UncertifiedError
from geometry.optimum.proportions import class_proportions
from geometry.peeled_factor import EPS, PeeledProblem, minimise

Array = NDArray[np.float64]
FEATURE_ENERGY, CLASSIFIER_ENERGY = 5.0, 1.0  # E_H and E_W of the authors' own experiment
NEGLIGIBLE = 1e-6  # a singular value over the largest, or a cosine's distance from 1, that counts as none


@dataclass(frozen=True, eq=False)
class PeeledOptimum:
    """The optimal classifiers and class features of cross-entropy on free features.

    Attributes:
        classifiers: ``(K, K)`` Gram W W^T of the classifier rows.
        embeddings: ``(K, K)`` Gram H^T H of the class features.
        logits: ``(K, K)`` Z = W H, one column a class.
        value: the least objective when ``certified``, in nats: the mean cross-entropy over samples, with the ridge
            where there is one.
        relative_gap: rigorous bound on (objective - least) / least, rounding included; infinite if nothing is proved.
        certified: ``relative_gap <= tolerance``.
        tolerance: relative gap asked for.
        rank: singular values of Y above 1e-6 of the largest: the least feature dimension that reaches the optimum.
        distinct: distinct classifier directions; two with a cosine above 1 - 1e-6 count as one. Below K, classes have
            collapsed.
        nuclear_norm: ``||Y||_*``; nu for the layer-peeled model.
        multiplier: what a unit of it is worth, in nats; lam for the ridge.
        proportions: ``(K,)`` n_k/N.
        status: what the solver did, in words.
        seconds: wall time.
    """

    classifiers: Array
    embeddings: Array
    logits: Array
    value: float
    relative_gap: float
    certified: bool
    tolerance: float
    rank: int
    distinct: int
    nuclear_norm: float
    multiplier: float
    proportions: Array
    status: str
    seconds: float


def layer_peeled(
    counts: ArrayLike,
    *,
    feature_energy: float = FEATURE_ENERGY,
    classifier_energy: float = CLASSIFIER_ENERGY,
    tolerance: float = 1e-8,
    require_certificate: bool = True,
) -> PeeledOptimum:
    """The optimum of the layer-peeled model (Fang et al. 2021) for any class counts.

    The feature dimension must reach ``rank``, else the model has other optima.

    Args:
        counts: ``(K,)`` positive class counts or proportions.
        feature_energy: E_H, the bound on the mean over classes of the mean squared feature length.
        classifier_energy: E_W, the bound on the mean squared length of the classifier rows.
        tolerance: relative gap at which the answer is certified.
        require_certificate: raise rather than return an answer that is not certified.

    Raises:
        UsageError: bad counts, or an energy that is not positive and finite.
        UncertifiedError: no answer within ``tolerance``, and ``require_certificate``.

    >>> optimum = layer_peeled([50, 50, 50])
    >>> optimum.certified, bool(np.allclose(cosines(optimum.classifiers)[0, 1:], -0.5))
    (True, True)
    """
    _check_positive(feature_energy=feature_energy, classifier_energy=classifier_energy)
    shares = class_proportions(counts)
    radius = len(shares) * float(np.sqrt(feature_energy * classifier_energy))
    balance = float(np.sqrt(classifier_energy / feature_energy))
    problem = PeeledProblem(shares, np.ones(len(shares)), radius=radius, penalty=0.0)
    return _solved(problem, balance, tolerance, require_certificate)


def ridge_cross_entropy(
    counts: ArrayLike,
    *,
    classifier_decay: float = 5e-4,
    feature_decay: float = 1e-5,
    tolerance: float = 1e-8,
    require_certificate: bool = True,
) -> PeeledOptimum:
    """The optimum of cross-entropy with a ridge on classifiers and on every sample's free feature, without bias.

    Minority classifiers coincide exactly when ``sqrt(n_B) <= N sqrt(lam_W lam_H)`` (ours), for step imbalance.

    Args:
        counts: ``(K,)`` positive class counts (not proportions: the ridge acts on every sample).
        classifier_decay: lam_W.
        feature_decay: lam_H.
        tolerance: relative gap at which the answer is certified.
        require_certificate: raise rather than return an answer that is not certified.

    Raises:
        UsageError: bad counts, or a decay that is not positive and finite.
        UncertifiedError: no answer within ``tolerance``, and ``require_certificate``.
    """
    _check_positive(classifier_decay=classifier_decay, feature_decay=feature_decay)
    shares = class_proportions(counts)
    penalty, balance = (
        float(np.sqrt(classifier_decay * feature_decay)),
        float(np.sqrt(feature_decay / classifier_decay)),
    )
    lengths = np.sqrt(np.asarray(counts, dtype=np.float64))
    return _solved(
        PeeledProblem(shares, lengths, radius=np.inf, penalty=penalty), balance, tolerance, require_certificate
    )


def _solved(problem: PeeledProblem, balance: float, tolerance: float, require_certificate: bool) -> PeeledOptimum:
    started = time.perf_counter()
    point = minimise(problem)
    matrix = point.matrix
    left, values, right = np.linalg.svd(matrix)
    value, gap = _certified_gap(problem, matrix, values)
    if require_certificate and not gap <= tolerance:
        raise UncertifiedError(
            f"The best answer has a certified relative gap of {gap:.1e}, above the tolerance {tolerance:.1e}; raise "
            "the tolerance, lower the energies or ask for it uncertified."
        )
    embeddings = (right.T * values) @ right / np.outer(problem.lengths, problem.lengths)
    classifiers = (left * values) @ left.T
    merged = np.tril(cosines(classifiers) > 1.0 - NEGLIGIBLE, -1).any(axis=1)
    return PeeledOptimum(
        classifiers=np.asarray(balance * classifiers, dtype=np.float64),
        embeddings=np.asarray(embeddings / balance, dtype=np.float64),
        logits=np.asarray(matrix / problem.lengths, dtype=np.float64),
        value=value,
        relative_gap=gap,
        certified=gap <= tolerance,
        tolerance=tolerance,
        rank=int((values > NEGLIGIBLE * values[0]).sum()),
        distinct=int((~merged).sum()),
        nuclear_norm=float(values.sum()),
        multiplier=point.multiplier,
        proportions=problem.shares,
        status=f"{point.steps} Newton steps on {len(problem.sizes)} groups, residual {point.residual:.1e}",
        seconds=time.perf_counter() - started,
    )


def _certified_gap(problem: PeeledProblem, matrix: Array, values: Array) -> tuple[float, float]:
    """The objective at Y (with singular values ``values``), and a rigorous bound on its relative excess."""
    shares, lengths, size = problem.shares, problem.lengths, len(matrix)
    differences = (matrix - np.diag(matrix)) / lengths
    np.fill_diagonal(differences, -np.inf)
    top = np.maximum(differences.max(axis=0), 0.0)
    masses = np.exp(differences - top)
    rest = masses.sum(axis=0) + np.expm1(-top)
    wrong = masses / (1.0 + rest)  # probabilities of the other classes
    value = float(shares @ (top + np.log1p(rest))) + problem.penalty * float(values.sum())
    gradient = (wrong - np.diag(wrong.sum(axis=0))) * (shares / lengths)
    left, slopes, right = np.linalg.svd(gradient)
    bounded = np.isfinite(problem.radius)
    level = -float((gradient * matrix).sum()) / problem.radius if bounded else problem.penalty
    cut = np.where(values > NEGLIGIBLE * values[0], level, np.minimum(slopes, level))
    clipped = (left * cut) @ right * (lengths / shares)
    np.fill_diagonal(clipped, 0.0)
    # As much of the gradient, whose probabilities are positive, as leaves none below zero.
    shortfall = clipped < 0.0
    share = float((clipped[shortfall] / (clipped[shortfall] - wrong[shortfall])).max(initial=0.0))
    bounds = [-np.inf]
    for guess in (wrong, np.maximum(share * wrong + (1.0 - share) * clipped, 0.0)):
        lost = guess.sum(axis=0)
        if not (lost <= 1.0).all():
            continue
        steepness = float(np.linalg.norm((guess - np.diag(lost)) * (shares / lengths), 2))
        if not bounded:  # towards no slope at all, until none is above the penalty
            shrink = min(1.0, problem.penalty / steepness)
            guess, lost = shrink * guess, shrink * lost
        certain = -(1.0 - lost) * np.log1p(-np.minimum(lost, 1.0 - EPS))
        surprise = -guess * np.log(guess, out=np.zeros_like(guess), where=guess > 0.0)
        entropy = float(shares @ (surprise.sum(axis=0) + certain))
        price = problem.radius * steepness if bounded else 0.0
        bounds.append(entropy - price - 4.0 * EPS * (size + 16) * (entropy + price))
    bound = max(bounds)
    return value, max(value - bound, 0.0) / bound if bound > 0.0 else float("inf")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise UsageError(f"Expected a positive, finite {name.replace('_', ' ')}, got {value}.")
