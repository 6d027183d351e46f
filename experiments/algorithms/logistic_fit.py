"""The optimum of L2-regularised multinomial logistic regression."""

import numpy as np
from numpy.typing import NDArray

from geometry.errors import DataError

Array = NDArray[np.float64]

TOLERANCE = 1e-6  # of every entry of the gradient, or 1e-3 of the strength where that is less
ABSENT_BIAS = -1e3  # of a class without samples, whose optimal bias is minus infinity


def fit_logistic(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    num_classes: int,
    strength: float,
    *,
    weights: Array | None = None,
    start: Array | None = None,
) -> tuple[Array, Array, float]:
    r"""Minimise a weighted mean cross-entropy with a penalty on the weights, by full-batch L-BFGS in float64.

    .. math:: \min_{W, b} \frac{\sum_i w_i\, \ell(W x_i + b, y_i)}{\sum_i w_i} + \frac\lambda2 \lVert W \rVert^2

    Strictly convex in W; the bias, which is not penalised, is made unique by a mean of 0 over the classes present.

    Args:
        features: ``(N, D)``.
        labels: ``(N,)`` classes.
        num_classes: K; a class without samples gets no weight and a bias of -1000.
        strength: lambda > 0.
        weights: ``(N,)`` > 0; all 1 without them.
        start: ``(K, D)`` weights to start from.

    Returns:
        Weights ``(K, D)``, biases ``(K,)`` and the objective.

    Raises:
        DataError: L-BFGS stopped before the gradient vanished.

    >>> weight, bias, _ = fit_logistic(np.array([[-1.0], [1.0]]), np.array([0, 1]), 2, 1.0)
    >>> bool(np.allclose(weight, [[-0.3374], [0.3374]], atol=1e-4)), bias.round(6).tolist()
    (True, [0.0, 0.0])
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    present, place = np.unique(labels, return_inverse=True)
    centre = features.mean(axis=0, dtype=np.float64)  # moves the bias alone, and makes the problem well conditioned
    x = features - centre
    share = np.full(len(x), 1 / len(x)) if weights is None else weights / weights.sum()
    rows, shape = np.arange(len(x)), (len(present), x.shape[1] + 1)

    def objective(flat: Array) -> tuple[float, Array]:
        table = flat.reshape(shape)
        log_probs = log_softmax(x @ table[:, :-1].T + table[:, -1], axis=1)
        error = np.exp(log_probs)
        error[rows, place] -= 1
        error *= share[:, None]
        gradient = np.column_stack([error.T @ x + strength * table[:, :-1], error.sum(axis=0)])
        value = -share @ log_probs[rows, place] + strength / 2 * np.sum(table[:, :-1] ** 2)
        return float(value), gradient.ravel()

    first = np.zeros(shape)
    if start is not None:
        first[:, :-1] = start[present]
    tolerance = min(TOLERANCE, 1e-3 * strength)  # by strong convexity W is off by at most |gradient| / strength
    settings = {"maxiter": 20_000, "maxfun": 40_000, "maxcor": 20, "gtol": tolerance, "ftol": 0.0}
    found = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=settings)
    if np.abs(found.jac).max() > tolerance:
        raise DataError(
            f"Logistic regression with strength {strength:g} did not converge ({found.message}); take a larger one."
        )
    table = found.x.reshape(shape)
    weight, bias = np.zeros((num_classes, x.shape[1])), np.full(num_classes, ABSENT_BIAS)
    weight[present] = table[:, :-1]
    free = table[:, -1] - table[:, :-1] @ centre
    bias[present] = free - free.mean()
    return weight, bias, float(found.fun)
