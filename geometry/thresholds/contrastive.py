"""The imbalance ratio R at which minority classes collapse onto one vector, or the reason why none does (ours)."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from geometry.errors import UsageError
from geometry.optimum.mean_loss import Loss
from geometry.thresholds.closed_forms import closed_form
from geometry.thresholds.piecewise import (
    exact_ratio,
    free_cosine,
    free_limit_cosine,
    is_piecewise,
    needs_more_than_free,
    piecewise_excess,
    ratio_for_all,
)
from geometry.thresholds.roots import Interval, collapse_intervals
from geometry.thresholds.smooth import excess, limit_excess
from geometry.thresholds.step_model import StepModel, require_resolved, step_model

DECADES = 15.0  # of R in which a threshold is sought, beyond the powers of e^(1/tau) that it grows by
MOST_DECADES = 200.0


@dataclass(frozen=True)
class Threshold:
    """Where minority collapse begins.

    Attributes:
        r_star: the imbalance ratio from which on the minorities' vectors coincide; None for never.
        reason: why, in words.
        limit_cosine: cosine between minority vectors as R grows without bound; 1 after a collapse.
        majority: C1.
        minority: C2.
        loss: name of the loss.
        tau: temperature.
        all_from: the ratio from which on they coincide in *every* optimal geometry: ``r_star`` where the optimum is
            unique; linear, hinge and hardest have many optima, and ``r_star`` is where the first one collapses.
        windows: the intervals of R on which minorities coincide (in some optimum); the last reaches to infinity when
            ``r_star`` is given. With three or more majority classes they can coincide and part again.
    """

    r_star: float | None
    reason: str
    limit_cosine: float
    majority: int
    minority: int
    loss: str
    tau: float
    all_from: float | None = None
    windows: tuple[Interval, ...] = ()


def threshold(
    majority: int,
    minority: int,
    *,
    loss: str | Loss = "infonce",
    tau: float = 1.0,
    q: float | str = 1.0,
    negatives: int | None = None,
    collisions: bool = False,
    margin: float = 1.0,
) -> Threshold:
    """The minority-collapse imbalance ratio R* of C1 = ``majority`` and C2 = ``minority`` classes.

    Args:
        majority: C1 >= 1.
        minority: C2 >= 2.
        loss: as for :func:`geometry.optimum.solve`: a name, or a smooth loss of one's own.
        tau: temperature.
        q: weight of the negatives in infonce, or ``"plain"``.
        negatives: k; None is the limit of many.
        collisions: negatives may be of the anchor's own class.
        margin: of the hinge and the hardest-negative hinge.

    Raises:
        UsageError: numbers of classes out of range, a bad setting of the loss, or a temperature at which the forces or
            R* leave the range of floating point numbers.

    >>> threshold(1, 9).r_star
    24.927...
    >>> threshold(3, 3, tau=0.5).r_star is None
    True
    >>> threshold(3, 6, loss="hinge", margin=1.6).r_star
    3.08...
    """
    model = step_model(
        majority, minority, loss=loss, tau=tau, q=q, negatives=negatives, collisions=collisions, margin=margin
    )
    name = loss if isinstance(loss, str) else loss.name
    free = free_cosine(model.loss, tau)
    piecewise = is_piecewise(model.loss)
    # A smooth loss has no slope at its kink, so there it takes a force more than the kink.
    held = needs_more_than_free(free, majority) and (piecewise or not np.isclose(free, -1.0 / majority, atol=1e-9))
    found = partial(Threshold, majority=majority, minority=minority, loss=name, tau=tau)
    if not held:
        return found(None, _let_go(model, free), free_limit_cosine(free, majority, minority))
    windows, how = _collapse(model, free, piecewise)
    if not (windows and windows[-1].high == np.inf):
        return found(None, _balanced(model, windows), limit_cosine(model), windows=windows)
    ratio = windows[-1].low
    where = "opposite to the majority class" if majority == 1 else "onto one vector"
    reason = f"the minorities collapse {where} from R = {ratio:.6g} on ({how})"
    all_from: float | None = ratio
    if piecewise:
        all_from = ratio_for_all(model, free, ratio)
        reason += _how_many(ratio, all_from)
    return found(ratio, reason, 1.0, all_from=all_from, windows=windows)


def limit_cosine(model: StepModel) -> float:
    """Cosine between minorities as R grows, at the balance of :func:`limit_excess`, when they do not collapse.

    For exp it is ``1/(C1 - 1) + tau log(1 + 1/(4 C1 (C1 - 1)))``.
    """
    from scipy.optimize import brentq

    lowest = -1.0 / (model.minority - 1.0)
    return float(brentq(lambda beta: limit_excess(model, beta), lowest, 1.0, xtol=1e-14))


def _collapse(model: StepModel, free: float, piecewise: bool) -> tuple[tuple[Interval, ...], str]:
    """All intervals of R with collapse, and how they were found."""
    closed = None
    if piecewise:
        closed = exact_ratio(model, free)
    elif model.majority == 1:
        closed = closed_form(model.minority, model.loss, model.tau, collisions=model.collisions)
    if closed is not None:
        return (Interval(closed, np.inf),), "closed form"
    if piecewise:
        largest = DECADES + float(np.log10(getattr(model.loss, "negatives", None) or 1.0))
        windows = collapse_intervals(lambda ratio: piecewise_excess(model, free, ratio), 0.0, largest)
    else:
        require_resolved(model.tau)
        largest = min(DECADES + 4.0 / (model.tau * float(np.log(10.0))), MOST_DECADES)
        windows = collapse_intervals(lambda ratio: excess(model, ratio), 0.0, largest)
    if model.majority == 1 and not (windows and windows[-1].high == np.inf):
        raise UsageError(f"At temperature tau={model.tau} the threshold is above 1e{largest:.0f}; take a larger one.")
    return windows, "root of the optimality condition"


def _let_go(model: StepModel, free: float) -> str:
    """Why there is no collapse where pairs of cosine c or less cost nothing and c > -1/C1."""
    if free >= -1.0 / (model.majority + model.minority - 1.0):
        return (
            f"never: pairs of classes with a cosine of at most {free:.4g} cost nothing, and all pairs can have that at "
            "once, while minorities at one vector repel; every such geometry is optimal, at any R"
        )
    if model.majority == 1 and free == -1.0:
        return (
            "never: the loss has no slope at opposite vectors, so minorities at one vector, which repel, are not held "
            "there; their cosine only tends to 1"
        )
    return (
        f"never: pairs of classes with a cosine of at most {free:.4g} cost nothing, the majority classes and one "
        f"vector for all minorities can have that (it is above {-1.0 / model.majority:.4g}), and so nothing holds "
        "the minorities, which repel, at one vector"
    )


def _balanced(model: StepModel, windows: tuple[Interval, ...]) -> str:
    """Why there is no collapse with three or more majority classes."""
    if windows:
        text = ", ".join(f"from R = {window.low:.6g} to {window.high:.6g}" for window in windows)
        return f"never for good: the minorities share one vector {text} only, and part again as R grows"
    return (
        f"never at this temperature: with {model.majority} majority classes the forces on all pairs keep their "
        "proportions as R grows, and those between minorities stay strong enough"
    )


def _how_many(ratio: float, all_from: float | None) -> str:
    if all_from == ratio:
        return "; the optimum is not unique, and above this ratio all optima have that"
    if all_from is None:
        return "; the optimum is not unique: some optima have that, at no R all of them"
    return f"; the optimum is not unique: some optima have that, and all of them from R = {all_from:.6g} on"
