"""Margin curves: the share of samples whose margin is at most delta, per shot group."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style

SCALES = {
    "probability": "margin δ (probability)",
    "logit": "margin δ (logits)",
    "geometric": "margin δ (distance in feature space)",
}


@style.styled
def figure(models: Mapping[str, Mapping[str, Any]], *, scale: str = "probability") -> Figure:
    """Draw δ -> Pr[margin ≤ δ], a panel a model, a line a shot group; the height at δ = 0 is the error.

    Args:
        models: model -> ``{"delta": (D,), "groups": {group: curve}}`` with ``delta`` increasing and each curve either
            ``(D,)`` probabilities in [0, 1] or a dict ``{"estimate": (D,), "low": (D,), "high": (D,)}``; ``None`` marks
            an absent group, ``None``/NaN an undefined point.
        scale: ``probability``, ``logit``, ``geometric``, or any other axis label.

    Raises:
        ValueError: a curve's length differs from ``delta``'s.
    """
    width = style.SINGLE if len(models) == 1 else style.DOUBLE
    result = style.new_figure(width, 2.35)
    panels = result.subplots(1, len(models), squeeze=False, sharex=True, sharey=True)[0]
    groups = style.ordered_groups(group for data in models.values() for group in data["groups"])
    for axes, (name, data) in zip(panels, models.items(), strict=True):
        delta = np.asarray(data["delta"], dtype=np.float64)
        for group in groups:
            curve = data["groups"].get(group)
            if curve is not None:
                _curve(axes, delta, curve, group)
        axes.axvline(0, color=style.GREY, linewidth=0.7, zorder=0.5)
        axes.set(title=name, xlabel=SCALES.get(scale, scale), ylim=(0, 1.01))
        axes.margins(x=0)
        axes.grid(axis="y")
    panels[0].set_ylabel("Pr[margin ≤ δ]")
    handles = [
        Line2D([], [], color=m.colour, linestyle=m.line, marker=m.marker, markersize=3.5, label=_label(group))
        for group, m in ((group, style.group_mark(group)) for group in groups)
    ]
    result.legend(handles=handles, loc="outside lower center", ncols=len(handles) if len(models) > 1 else 2)
    return result


def _label(group: str) -> str:
    return "all classes" if group == "all" else f"{group}-shot" if group in style.GROUP_ORDER else group


def _curve(axes: Axes, delta: np.ndarray, curve: Any, group: str) -> None:
    parts = curve if isinstance(curve, Mapping) else {"estimate": curve}
    arrays = {name: np.array(parts[name], dtype=np.float64) for name in ("estimate", "low", "high") if name in parts}
    for array in arrays.values():
        if array.shape != delta.shape:
            raise ValueError(f"Expected {delta.size} points for group {group}, got {array.size}.")
    mark = style.group_mark(group)
    estimate = arrays["estimate"]
    axes.plot(delta, estimate, color=mark.colour, linestyle=mark.line, label=group)
    if {"low", "high"} <= arrays.keys():
        axes.fill_between(delta, arrays["low"], arrays["high"], color=mark.colour, alpha=0.15, linewidth=0)
    if delta.size and delta[0] <= 0 <= delta[-1] and np.isfinite(estimate).any():
        at_zero = float(estimate[np.searchsorted(delta, 0.0, side="right") - 1])
        axes.plot(0, at_zero, mark.marker, color=mark.colour, markersize=3.5, gid="error")
