"""At which temperatures extreme imbalance makes minorities collapse (ours).

With one majority class it does wherever opposite vectors are still pulled apart. With more, as R grows all forces keep
their proportions, and collapse is a matter of the temperature (:func:`geometry.thresholds.smooth.limit_excess`).
For log losses with many negatives the condition is, with ``t_a = -C1/((C1-1) tau)``, ``t_g = -1/tau``,

    supervised:  (x + 1)^2 / (4 x) >= e^{(C1-2)/((C1-1) tau)},   x = C1 (a + Q e^{t_g}) / ((C1 - 1)(a + Q e^{t_a}))
    collisions:  the same with  x = Z_A / Z_B,   Z_A = a + Q (1 + (C1 - 1) e^{t_a}) / C1,   Z_B = a + Q e^{t_g}
"""

from dataclasses import dataclass

import numpy as np

from geometry.optimum.loss_family import LogLoss
from geometry.optimum.mean_loss import Loss
from geometry.thresholds.piecewise import free_cosine, is_piecewise
from geometry.thresholds.roots import Interval, collapse_intervals
from geometry.thresholds.smooth import excess, limit_excess
from geometry.thresholds.step_model import StepModel, step_model

COLDEST, COLDEST_LOG_LOSS = 0.01, 1e-4  # temperatures looked at; the condition in logarithms needs no forces
HOTTEST = 100.0  # times C1^2, by which critical temperatures grow
VERY_LARGE = 1e30  # a ratio, where gamma is still found by its root
SMALL_MINORITY = 2  # the condition at R = infinity does not depend on C2


@dataclass(frozen=True)
class CriticalTemperature:
    """The temperatures at which there is minority collapse for all large enough R.

    Outside, minorities can still coincide on a bounded interval of R (``windows`` of :class:`Threshold`): supervised
    log-mean-exp with three or more majority classes does that at low temperature.

    Attributes:
        tau_c: the critical temperature, where there is exactly one; None else.
        side: ``always``, ``never``, ``above`` (collapse at tau >= tau_c), ``below`` (tau <= tau_c) or ``windows``.
        windows: the intervals of tau; from 0 and to infinity where open ended.
        reason: in words; it completes "as R grows without bound, minorities collapse ...".
        majority: C1.
        loss: name of the loss.
    """

    tau_c: float | None
    side: str
    windows: tuple[Interval, ...]
    reason: str
    majority: int
    loss: str


def critical_temperature(
    majority: int,
    *,
    loss: str | Loss = "infonce",
    q: float | str = 1.0,
    negatives: int | None = None,
    collisions: bool = False,
    margin: float = 1.0,
) -> CriticalTemperature:
    """At which tau the minorities collapse when R is large enough; the number of minority classes does not matter.

    Temperatures from 0.01 (log losses with many negatives: 1e-4) to 100 C1^2 are searched; what holds at the ends is
    taken to hold beyond.

    Args:
        majority: C1 >= 1.
        loss: as for :func:`threshold`.
        q: weight of the negatives in infonce, or ``"plain"``.
        negatives: k; None is the limit of many.
        collisions: negatives may be of the anchor's own class.
        margin: of the hinge and the hardest-negative hinge.

    Raises:
        UsageError: as for :func:`threshold`.

    >>> critical_temperature(3).tau_c
    11.06...
    >>> critical_temperature(3, loss="supcon").side
    'below'
    >>> critical_temperature(2).side
    'always'
    """
    model = step_model(
        majority, SMALL_MINORITY, loss=loss, tau=1.0, q=q, negatives=negatives, collisions=collisions, margin=margin
    )
    name = loss if isinstance(loss, str) else loss.name
    windows = _windows(model)
    side, tau_c, reason = _told(windows)
    return CriticalTemperature(tau_c, side, windows, reason, majority, name)


def _windows(model: StepModel) -> tuple[Interval, ...]:
    everywhere = (Interval(0.0, np.inf),)
    psi, a = model.loss, model.majority
    if is_piecewise(psi):
        margin = getattr(psi, "margin", np.inf)  # collapse exactly when m tau >= 1 + 1/C1
        return (Interval((1.0 + 1.0 / a) / margin if np.isfinite(margin) else 0.0, np.inf),)
    if a == 1 and not psi.attains_floor:
        return everywhere
    many = isinstance(psi, LogLoss) and psi.negatives is None
    if many and a == 2:
        return everywhere  # the right-hand side is 1, and (x + 1)^2 >= 4 x
    coldest, hottest = (COLDEST_LOG_LOSS if many else COLDEST), HOTTEST * a * a

    def sign(tau: float) -> float:
        if many:
            return _log_loss_excess(model, tau)
        at = StepModel(a, model.minority, psi, tau, model.collisions)
        if not psi.attains_floor:
            return limit_excess(at)
        # Below the kink nothing holds the minorities; above it gamma need not tend to 0, so R is only very large.
        return excess(at, VERY_LARGE) if free_cosine(psi, tau) < -1.0 / a else -1.0

    found = collapse_intervals(sign, float(np.log10(coldest)), float(np.log10(hottest)))
    return tuple(Interval(0.0 if window.low <= coldest * (1.0 + 1e-9) else window.low, window.high) for window in found)


def _log_loss_excess(model: StepModel, tau: float) -> float:
    """Left side over right side of the condition of log losses with many negatives, as a logarithm."""
    assert isinstance(model.loss, LogLoss)
    a, anchor, log_q = float(model.majority), model.loss.anchor, np.log(model.loss.weight)
    log_anchor = 0.0 if anchor else -np.inf
    near, far = -1.0 / tau, -a / ((a - 1.0) * tau)
    across = np.logaddexp(log_anchor, log_q + near)
    if model.collisions:
        within = np.logaddexp(0.0, np.log(a - 1.0) + far) - np.log(a)
        log_x = np.logaddexp(log_anchor, log_q + within) - across
    else:
        log_x = np.log(a / (a - 1.0)) + across - np.logaddexp(log_anchor, log_q + far)
    # log((x + 1)^2 / (4 x)) = 2 log cosh(log(x) / 2), by the form that loses no digits near x = 1
    half = abs(float(log_x)) / 2.0
    return 2.0 * (half + float(np.log1p(np.expm1(-2.0 * half) / 2.0))) - (a - 2.0) / ((a - 1.0) * tau)


def _told(windows: tuple[Interval, ...]) -> tuple[str, float | None, str]:
    """Side, critical temperature and reason."""
    if not windows:
        return "never", None, "at no temperature"
    first = windows[0]
    if len(windows) == 1 and first.low == 0.0 and first.high == np.inf:
        return "always", None, "at every temperature"
    if len(windows) == 1 and first.high == np.inf:
        return "above", first.low, f"only at temperatures from {first.low:.4g} on"
    if len(windows) == 1 and first.low == 0.0:
        return "below", first.high, f"only at temperatures up to {first.high:.4g}"
    text = " and ".join(
        f"from {window.low:.4g} on" if window.high == np.inf else f"from {window.low:.4g} to {window.high:.4g}"
        for window in windows
    )
    return "windows", None, f"only at temperatures {text}"
