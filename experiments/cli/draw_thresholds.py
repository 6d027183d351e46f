"""``tailgeom draw thresholds``."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.cli.drawing import DRAWINGS, LABELS, finish, numbers
from geometry.errors import UsageError

Place = tuple[str, float, int | None]  # loss, tau, k

KNOWN = ("infonce", "plain", "supcon", "lme", "exp")
MOST_NEGATIVES = 4096
LOW = 1.0  # the largest temperature at which the limit of low ones is drawn


@dataclass(frozen=True)
class Thresholds:
    """Draw the imbalance ratio R* of minority collapse against temperature and against the number of negatives.

    Four panels: against tau for several k and for several losses, against k for several tau and for several losses.
    Where minorities never collapse there is no line but a mark in a band on top.

    Example::

        tailgeom draw thresholds --asymptotes
        tailgeom draw thresholds --majority 3 --minority 3 --points 13 --losses infonce,lme,exp --highest-tau 30

    Attributes:
        majority: number of majority classes, at least 1.
        minority: number of minority classes, at least 2.
        negatives: numbers k of negatives in the first panel, comma-separated; inf is the limit of many.
        taus: temperatures in the third panel, comma-separated.
        losses: infonce, plain (infonce with Q = k), supcon, lme, exp, comma-separated.
        at_negatives: k of the second panel, or inf.
        at_tau: temperature of the fourth panel.
        lowest_tau: least temperature on the axis.
        highest_tau: largest temperature on the axis.
        points: temperatures on the axis, and numbers of negatives, at most.
        asymptotes: also draw the closed form for small tau where there is one majority class and one is known.
        json: print what was drawn as JSON and nothing else.
        out: directory for thresholds.pdf, thresholds.png, and what was drawn as JSON, CSV and LaTeX.
    """

    majority: int = 1
    minority: int = 9
    negatives: str = "1,4,16,inf"
    taus: str = "0.1,0.5,1,2"
    losses: str = "infonce,plain,supcon,lme,exp"
    at_negatives: str = "256"
    at_tau: float = 0.5
    lowest_tau: float = 0.1
    highest_tau: float = 10.0
    points: int = 25
    asymptotes: bool = False
    json: bool = False
    out: Path = DRAWINGS

    def run(self) -> int:
        """Compute every threshold, draw, save."""
        from experiments.cli.output import progress_bar
        from figures import threshold_curves
        from figures.style import save

        numbers(f"{self.at_tau},{self.lowest_tau},{self.highest_tau}", "--at-tau, --lowest-tau and --highest-tau")
        if not self.lowest_tau < self.highest_tau:
            raise UsageError(
                f"Expected --lowest-tau below --highest-tau, got {self.lowest_tau} and {self.highest_tau}."
            )
        if not 2 <= self.points <= 500:
            raise UsageError(f"Expected --points from 2 to 500, got {self.points}.")
        curves = self.curves()
        places = list(dict.fromkeys(place for curve in curves for place in curve.places))
        found: dict[Place, Any] = {}
        with progress_bar("thresholds") as update:
            for done, place in enumerate(places, start=1):
                found[place] = self.threshold(*place)
                update(done, len(places))
        failed = [value for value in found.values() if isinstance(value, UsageError)]
        if len(failed) == len(found):
            raise failed[0]
        panels = [
            self.panel([curve for curve in curves if curve.panel == name], found)
            for name in dict.fromkeys(curve.panel for curve in curves)
        ]
        caption = f"{_classes(self.majority, 'majority')} and {_classes(self.minority, 'minority')}"
        caption += "; dotted: limit of low temperature" if any(panel.asymptotes for panel in panels) else ""
        files = save(threshold_curves.figure(panels, caption=caption), self.out / "thresholds")
        header = ("panel", "curve", "loss", "tau", "negatives", "r_star", "limit_cosine")
        rows = [
            (curve.panel, curve.name, loss, tau, "inf" if k is None else k, *_told(found[loss, tau, k]))
            for curve in curves
            for loss, tau, k in curve.places
        ]
        payload = {"majority": self.majority, "minority": self.minority, "out_of_range": len(failed)}
        payload |= {"points": [dict(zip(header, row, strict=True)) for row in rows]}
        finish(self, "thresholds", payload, header, rows, files)
        return 0

    def curves(self) -> list["Curve"]:
        """What is drawn, panel by panel.

        Raises:
            UsageError: an unknown loss, or no loss.
        """
        import numpy as np

        from experiments.cli.optimum import negatives_number

        losses = [name.strip() for name in self.losses.split(",") if name.strip()]
        for name in losses or [""]:
            if name not in KNOWN:
                raise UsageError(f"Unknown loss {name!r} in --losses; known: {', '.join(KNOWN)}.")
        tau_axis = np.geomspace(self.lowest_tau, self.highest_tau, self.points).tolist()
        some = [negatives_number(text) for text in self.negatives.split(",")]
        counts = {round(k) for k in np.geomspace(1, MOST_NEGATIVES, self.points).tolist()}
        k_axis: list[int | None] = [*sorted(counts), None]
        first, at = losses[0], negatives_number(self.at_negatives)
        title, many = LABELS.get(first, first), "many negatives" if at is None else f"k = {at} negatives"
        return [
            *(Curve(f"{title}, against τ", _k(k), [(first, tau, k) for tau in tau_axis]) for k in some),
            *(
                Curve(f"Losses with {many}, against τ", LABELS.get(loss, loss), [(loss, tau, at) for tau in tau_axis])
                for loss in losses
            ),
            *(
                Curve(f"{title}, against k", f"τ = {tau:g}", [(first, tau, k) for k in k_axis])
                for tau in numbers(self.taus, "--taus")
            ),
            *(
                Curve(
                    f"Losses at τ = {self.at_tau:g}, against k",
                    LABELS.get(loss, loss),
                    [(loss, self.at_tau, k) for k in k_axis],
                )
                for loss in losses
            ),
        ]

    def panel(self, curves: Sequence["Curve"], found: Mapping[Place, Any]) -> Any:
        """One panel of the figure."""
        from figures.threshold_curves import Panel

        against_k = curves[0].panel.endswith("against k")
        places = [k if against_k else tau for _, tau, k in curves[0].places]
        dotted = {} if against_k or not self.asymptotes else {curve.name: self.asymptote(curve) for curve in curves}
        return Panel(
            [math.inf if place is None else float(place) for place in places],
            {curve.name: [_drawn(found[place]) for place in curve.places] for curve in curves},
            "number of negatives k" if against_k else "temperature τ",
            curves[0].panel,
            {name: line for name, line in dotted.items() if line},
        )

    def threshold(self, loss: str, tau: float, negatives: int | None) -> Any:
        """One threshold; the error where it leaves the range of floating point numbers."""
        from geometry.thresholds import threshold

        q: float | str = "plain" if loss == "plain" and negatives is not None else 1.0
        name = loss if loss != "plain" else "lme" if negatives is None else "infonce"  # many plain negatives: Q to inf
        if self.majority < 1 or self.minority < 2:
            return threshold(self.majority, self.minority)  # which says what is wrong
        try:
            return threshold(self.majority, self.minority, loss=name, tau=tau, q=q, negatives=negatives)
        except UsageError as error:
            return error

    def asymptote(self, curve: "Curve") -> list[float]:
        """R* at low temperature where it is known (ours); empty where it is not.

        One majority class and C2 minorities: ``C2 e^(1/tau)`` for one negative in infonce, ``sqrt(2) C2 e^(1/tau)``
        for many and for exp, ``2 C2^2 / (C2 - 1)`` for many in lme, ``2 C2 e^(2/tau)`` for many in supcon.
        """
        count = float(self.minority)
        loss, _, negatives = curve.places[0]
        known = {
            ("infonce", 1): (count, 1.0),
            ("plain", 1): (count, 1.0),
            ("infonce", None): (math.sqrt(2.0) * count, 1.0),
            ("lme", None): (2.0 * count**2 / (count - 1.0), 0.0),
            ("plain", None): (2.0 * count**2 / (count - 1.0), 0.0),
            ("supcon", None): (2.0 * count, 2.0),
        }
        factor, power = known.get((loss, negatives), (math.nan, 0.0))
        if loss == "exp":
            factor, power = math.sqrt(2.0) * count, 1.0
        if self.majority != 1 or math.isnan(factor):
            return []
        return [
            factor * math.exp(power / tau) if power / tau < 600 and tau <= LOW else math.nan
            for _, tau, _ in curve.places
        ]


@dataclass(frozen=True)
class Curve:
    """One curve: the panel it belongs to, its name there, and where it is evaluated."""

    panel: str
    name: str
    places: Sequence[Place]


def _k(negatives: int | None) -> str:
    return "k = ∞" if negatives is None else f"k = {negatives}"


def _classes(number: int, kind: str) -> str:
    return f"{number} {kind} {'class' if number == 1 else 'classes'}"


def _drawn(threshold: Any) -> float | None:
    """R*, None for never, NaN where it could not be found."""
    return math.nan if isinstance(threshold, UsageError) else threshold.r_star


def _told(threshold: Any) -> tuple[Any, Any]:
    """R* and the limit cosine for a table."""
    if isinstance(threshold, UsageError):
        return None, None
    return "never" if threshold.r_star is None else threshold.r_star, threshold.limit_cosine
