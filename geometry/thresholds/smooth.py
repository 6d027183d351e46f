"""When minority collapse is optimal under a smooth loss, and from which ratio R on (ours).

Let Gamma_AA, Gamma_AB, Gamma_BB be the forces on pairs of classes at the best geometry whose minorities coincide. It is
optimal among all geometries exactly when

* C1 = 1 (minorities opposite to the majority class): ``Gamma_AB >= C2 Gamma_BB``;
* C1 >= 2, where ``alpha = (C1 gamma^2 - 1)/(C1 - 1)`` and ``C1 gamma Gamma_AA + C2 Gamma_AB = 0``:
  ``Gamma_AB^2 >= Gamma_AA Gamma_BB``;
* C1 >= 2 and that equation has no root above gamma = -1 (two opposite clusters):
  ``Gamma_AB >= max(C1 Gamma_AA / C2, C2 Gamma_BB / C1)``.

As R grows with C1 >= 2, gamma -> 0 and alpha -> -1/(C1 - 1), while Gamma_AB^2 and Gamma_AA Gamma_BB keep their
proportion: whether there is a threshold is a question of the temperature.
"""

import numpy as np

from geometry.thresholds.step_model import StepModel, compared

INFINITE = 1e100  # a ratio that stands for infinity: what is left is of order 1/R, and no force underflows
LOWEST_LOG = -500.0  # log |gamma| is sought above


def excess(model: StepModel, ratio: float) -> float:
    """In [-1, 1]: positive where minority collapse is optimal at R = ``ratio``."""
    a, b = float(model.majority), float(model.minority)
    if model.majority == 1:
        _, ab, bb = model.forces(ratio, 1.0, 1.0, -1.0)
        return compared(ab, b * bb)
    gamma = collapsed_cosine(model, ratio)
    if gamma == -1.0:
        aa, ab, bb = model.forces(ratio, 1.0, 1.0, -1.0)
        return compared(ab, max(a * aa / b, b * bb / a))
    aa, ab, bb = model.forces(ratio, (a * gamma**2 - 1.0) / (a - 1.0), 1.0, gamma)
    return compared(ab, float(np.sqrt(aa) * np.sqrt(bb)))


def collapsed_cosine(model: StepModel, ratio: float) -> float:
    """The gamma in [-1, 0) of the best geometry whose minorities coincide, C1 >= 2."""
    from scipy.optimize import brentq

    a, b = float(model.majority), float(model.minority)

    def stationarity(log_gamma: float) -> float:
        gamma = -float(np.exp(log_gamma))
        aa, ab, _ = model.forces(ratio, (a * gamma**2 - 1.0) / (a - 1.0), 1.0, gamma)
        return compared(b * ab, -a * gamma * aa)

    if stationarity(0.0) >= 0.0:
        return -1.0
    return -float(np.exp(brentq(stationarity, LOWEST_LOG, 0.0, xtol=1e-14)))


def limit_excess(model: StepModel, beta: float = 1.0) -> float:
    """:func:`excess` as R grows without bound, C1 >= 2; with ``beta`` < 1, of minorities at that cosine.

    With t_a = -C1/((C1 - 1) tau), t_g = -1/tau and d_1 psi the slope in the first of k supervised negatives::

        [C1 a1 + (C1 - 1) a2]^2 >= 4 C1 (C1 - 1) a3 a4
        a1 = d_1 psi(t_g; t_a..t_a),  a2 = d_1 psi(t_g..t_g)
        a3 = d_1 psi(t_a..t_a),       a4 = d_1 psi((beta - 1)/tau; t_g..t_g)
    """
    aa, ab, bb = model.forces(INFINITE, -1.0 / (model.majority - 1.0), beta, 0.0)
    return compared(ab, float(np.sqrt(aa) * np.sqrt(bb)))
