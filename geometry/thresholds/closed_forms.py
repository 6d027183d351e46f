"""R* for one majority class, written down (ours).

The collapsed geometry has the minorities opposite to the majority class, all exponents are s = -2/tau or 0, and
``Gamma_AB >= C2 Gamma_BB`` is an equation in R alone. For any symmetric psi of k negatives, with
``w = R / (R + C2 - 1)``, ``N ~ Binomial(k, w)``, ``a = d_i psi(s..s)`` and u_j, v_j the slope in an entry s, 0 among j
entries s and k - j entries 0::

    collapse  <=>  R k a + C2 E[N u_N] >= 2 C2^2 / (C2 - 1) E[(k - N) v_N]

which :mod:`geometry.thresholds.smooth` solves; for separable psi and for many negatives it is a quadratic equation.
"""

import numpy as np

from geometry.errors import UsageError
from geometry.optimum.loss_family import LogLoss
from geometry.optimum.mean_loss import Loss, MeanLoss

TINY = float(np.finfo(np.float64).tiny)


def closed_form(minority: int, loss: Loss, tau: float, *, collisions: bool) -> float | None:
    """R* for one majority class; infinity for never; None where there is no closed form (k >= 2 of a log loss).

    With s = -2/tau, separable losses ``mean_i kappa(t_i)`` have
    ``R* = (-(2 C2 - 1) + sqrt((2 C2 - 1)^2 + 8 C2^2 rho)) / 2``, ``rho = kappa'(0) / kappa'(s)``. Log losses
    ``log(a + Q E e^t)`` have the positive root of ``R^2 + b R - 2 C2^2 e^(2/tau)``,
    ``b = C2 + (C2 - 1)(a + Q) / (a + Q e^s)``, or with collisions of
    ``A R^2 + (A C2 - 2 C2 (a + Q)) R - 2 C2^2 (a + Q e^s)``, ``A = e^s (2 a + Q (1 + e^s))``.

    Raises:
        UsageError: a temperature so low that R* is no floating point number.

    >>> from geometry.optimum import Exponential, InfoNCE
    >>> closed_form(9, InfoNCE(), 0.5, collisions=False)
    82.499...
    >>> closed_form(3, Exponential(), 1.0, collisions=False)
    9.3005...
    """
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        ratio = _closed_form(float(minority), loss, tau, collisions)
    if ratio is not None and not np.isfinite(ratio) and not loss.attains_floor:
        raise UsageError(
            f"At temperature tau={tau} the threshold, or a force, leaves the range of numbers; take a larger one."
        )
    return ratio


def _closed_form(count: float, loss: Loss, tau: float, collisions: bool) -> float | None:
    low, root = float(np.exp(-2.0 / tau)), float(np.exp(-1.0 / tau))
    if isinstance(loss, LogLoss):
        if loss.negatives is not None:
            return None
        a, q = loss.anchor, loss.weight
        if not collisions:  # in units of e^(1/tau), so that nothing overflows
            b = root * (count + (count - 1.0) * (a + q) / (a + q * low)) if a else root * count + (count - 1.0) / root
            return positive_root(1.0, b, -2.0 * count**2) / root
        lead = 2.0 * a + q * (1.0 + low)  # in units of e^(2/tau)
        return float(
            np.divide(positive_root(lead, low * lead * count - 2.0 * count * (a + q), _tail(count, a, q, low)), low)
        )
    if collisions or not (isinstance(loss, MeanLoss) and loss.separable):
        return None
    _, slopes, _ = loss.inner(np.array([0.0, -2.0 / tau]))
    if slopes[1] < TINY:
        return np.inf
    root = float(np.sqrt(slopes[1] / slopes[0]))
    return positive_root(1.0, (2.0 * count - 1.0) * root, -2.0 * count**2) / root


def _tail(count: float, a: float, q: float, low: float) -> float:
    return float(-2.0 * count**2 * low * (a + q * low))


def positive_root(a: float, b: float, c: float) -> float:
    """Of ``a x^2 + b x + c`` with ``a > 0 >= c``, without cancellation."""
    half = (abs(b) + np.sqrt(b * b - 4.0 * a * c)) / 2.0
    return float(-c / half if b > 0.0 else half / a)
