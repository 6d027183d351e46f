"""Class margins against the number of training samples, beside the n^(-1/4) rule."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from figures import style
from figures.numbers import interval, number

Array = NDArray[np.float64]


@style.styled
def figure(models: Mapping[str, Mapping[str, Any]], *, part: str | None = None) -> Figure:
    """Draw the margin of each class against its training count, a row a model.

    On the left the mean margin with its bootstrap interval over samples, the fitted line and its slope, and the low
    quantile beside it (open); on the right the same means on two logarithmic axes beside lines of slope -1/4, crosses
    at the foot marking classes whose margin is zero or less and has no logarithm.

    Args:
        models: name -> ``details`` of one scale (``parts``, ``decides``, ``counts``, ``scale``, ``shots``).
        part: which samples; the part that decides by default.

    Raises:
        ValueError: no models, or different scales.
    """
    scales = {str(details["scale"]) for details in models.values()}
    if len(scales) != 1:
        raise ValueError(f"Expected details of one scale, got {', '.join(sorted(scales)) or 'none'}.")
    result = style.new_figure(style.DOUBLE, 1.75 * len(models) + 0.6)
    grid = result.subplots(len(models), 2, squeeze=False, sharex=True)
    groups: set[str] = set()
    scale = scales.pop()
    unit = {"probability": "probability", "logit": "logits", "geometric": "feature units"}.get(scale, scale)
    for row, (name, details) in enumerate(models.items()):
        chosen = part or details["decides"]
        statistics = details["parts"].get(chosen)
        left, right = grid[row]
        for axes in (left, right):
            axes.set_xscale("log")
            _plain_ticks(axes.xaxis, (1.0,))
            axes.set_title(f"{name}, {chosen} samples")
        if statistics is None:
            style.empty(left)
            style.empty(right)
            continue
        counts, shots = _array(details["counts"]), details.get("shots") or [""] * len(details["counts"])
        groups |= set(shots) - {""}
        _linear(left, statistics, counts, shots)
        _logarithmic(right, statistics["mean"], counts, shots)
        left.set_ylabel(f"margin ({unit})")
        right.set_ylabel(f"mean margin ({unit})")
    for axes in grid[-1]:
        axes.set_xlabel("training samples of the class")
    _legend(result, groups)
    return result


def _linear(axes: Axes, statistics: Mapping[str, Any], counts: Array, shots: Sequence[str]) -> None:
    mean, quantile = statistics["mean"], _array(statistics["low"]["value"])
    value, low, high = (_array(mean[name]) for name in ("value", "low", "high"))
    axes.axhline(0, color=style.GREY, linewidth=0.7, zorder=0.5)
    for k in np.flatnonzero((counts > 0) & np.isfinite(value)):
        mark = style.group_mark(shots[k])
        axes.plot([counts[k]] * 2, [low[k], high[k]], color=mark.colour, linewidth=1.0, gid="interval")
        axes.plot(counts[k], value[k], mark.marker, color=mark.colour, markersize=4, gid="class")
        axes.plot(
            counts[k], quantile[k], mark.marker, color=mark.colour, markersize=3, fillstyle="none", alpha=0.7, gid="low"
        )
    slope = interval(mean["slope"])
    if np.isfinite(slope[0]):
        _line(axes, counts, value, slope[0])
        axes.text(0.02, 0.97, f"slope {number(*slope)}", transform=axes.transAxes, va="top", fontsize=6.5, bbox=_box())
        axes.margins(y=0.15)


def _logarithmic(axes: Axes, mean: Mapping[str, Any], counts: Array, shots: Sequence[str]) -> None:
    value = _array(mean["value"])
    known = (counts > 0) & np.isfinite(value)
    positive = np.flatnonzero(known & (value > 0))
    if not positive.size:
        style.empty(axes, "no positive class margin" if known.any() else "no data")
        return
    axes.set_yscale("log")
    _plain_ticks(axes.yaxis, (1.0, 2.0, 5.0))
    middle = float(np.exp(np.log(value[positive]).mean()))
    reach = np.array([counts[known].min() / 1.3, counts[known].max() * 1.3])
    centre = float(np.exp(np.log(counts[positive]).mean()))
    bottom, top = value[positive].min() / 1.6, value[positive].max() * 1.6
    for shift in (1 / 3, 1.0, 3.0):
        axes.plot(reach, shift * middle * (reach / centre) ** -0.25, color=style.FAINT, linewidth=0.8, zorder=0.5)
    for k in positive:
        mark = style.group_mark(shots[k])
        axes.plot(counts[k], value[k], mark.marker, color=mark.colour, markersize=4, gid="class")
    for k in np.flatnonzero(known & (value <= 0)):
        axes.text(
            counts[k],
            0.01,
            "×",
            transform=axes.get_xaxis_transform(),
            ha="center",
            color=style.group_mark(shots[k]).colour,
            gid="not positive",
        )
    axes.set_ylim(min(bottom, middle / 3) / 1.4, max(top, middle * 2) * 1.3)
    exponent = interval(mean["log_slope"])
    lost = int(np.sum(known & (value <= 0)))
    none = f"{lost} of {int(known.sum())} not positive" if lost else "no exponent"
    text = f"exponent {number(*exponent)}" if np.isfinite(exponent[0]) else none
    axes.text(0.02, 0.97, text, transform=axes.transAxes, va="top", fontsize=6.5, bbox=_box())


def _plain_ticks(axis: Axis, multiples: tuple[float, ...]) -> None:
    """Ticks of a logarithmic axis in plain numbers: names must stay unparsed, and so must powers of ten."""
    axis.set_major_locator(LogLocator(subs=multiples))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _line(axes: Axes, counts: Array, value: Array, slope: float) -> None:
    """The least-squares line of this slope."""
    usable = (counts > 0) & np.isfinite(value)
    logs = np.log(counts[usable])
    ends = np.array([logs.min(), logs.max()])
    axes.plot(
        np.exp(ends), value[usable].mean() + slope * (ends - logs.mean()), color=style.BLACK, linewidth=1.0, gid="fit"
    )


def _box() -> dict[str, Any]:
    return {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}


def _array(values: Any) -> Array:
    return np.array(values, dtype=np.float64)


def _legend(result: Figure, groups: set[str]) -> None:
    handles = [
        Line2D([], [], color=m.colour, marker=m.marker, linestyle="", label=f"{group}-shot, mean")
        for group, m in ((group, style.group_mark(group)) for group in style.ordered_groups(groups))
    ]
    handles += [
        Line2D([], [], color=style.GREY, marker="o", fillstyle="none", linestyle="", markersize=3, label="5% quantile"),
        Line2D([], [], color=style.BLACK, linewidth=1.0, label="fit"),
        Line2D([], [], color=style.FAINT, linewidth=0.8, label="slope −1/4"),
    ]
    result.legend(handles=handles, loc="outside upper center", ncols=len(handles), columnspacing=1.0)
