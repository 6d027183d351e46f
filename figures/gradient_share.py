"""Who gets the gradient: each class's share of the gradient norm beside its share of the anchors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from figures import style
from figures.numbers import interval


@style.styled
def figure(
    losses: Mapping[str, Mapping[str, Any]],
    *,
    class_names: Sequence[str],
    shots: Sequence[str] | None = None,
    order: Sequence[int] | None = None,
) -> Figure:
    """Draw shares above and their ratio below (1: as much gradient as anchors), a column a loss or model.

    Args:
        losses: name -> ``{"anchors": K shares, "gradient": K shares or intervals}`` in [0, 1]; ``None``/NaN for a class
            without anchors.
        class_names: K names.
        shots: K shot groups, for colour and marker.
        order: the classes from left to right; by default from the largest to the smallest share of anchors (the
            first entry's).

    Raises:
        ValueError: lengths differ from K.
    """
    k = len(class_names)
    groups = list(shots) if shots is not None else [""] * k
    data = {name: _shares(name, entry, k) for name, entry in losses.items()}
    if order is None:
        order = np.argsort(-np.nan_to_num(next(iter(data.values()))[0], nan=-1.0), kind="stable").tolist()
    width = style.SINGLE if len(losses) == 1 else style.DOUBLE
    result = style.new_figure(width, 3.1)
    grid = result.subplots(2, len(losses), squeeze=False, sharex=True, sharey="row", height_ratios=[3, 2])
    for column, (name, (anchors, gradient)) in enumerate(data.items()):
        upper, lower = grid[:, column]
        for x, index in enumerate(order):
            _class(upper, lower, x, anchors[index], gradient[index], style.group_mark(groups[index]))
        upper.set_title(name)
        upper.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}"))
        lower.axhline(1, color=style.GREY, linewidth=0.7, zorder=0.5)
        lower.set_xlim(-0.6, k - 0.4)
        for axes in (upper, lower):
            axes.set_ylim(bottom=0)
            axes.grid(axis="y")
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=style.STEPS))
        names = [class_names[i] for i in order]
        every = style.class_ticks(lower.xaxis, names, width / len(losses) - 0.6, rotate=True)
        lower.set_xlabel("class" if every == 1 else f"class (one in {every} named)")
    grid[0, 0].set_ylabel("share (%)")
    grid[1, 0].set_ylabel("gradient share /\nanchor share")
    handles = [
        Line2D([], [], color=m.colour, marker=m.marker, linestyle="", label=f"{group}-shot")
        for group, m in ((g, style.group_mark(g)) for g in style.ordered_groups(g for g in groups if g))
    ]
    handles += [
        Line2D([], [], color=style.GREY, marker="o", linestyle="", label="gradient"),
        Line2D([], [], color=style.GREY, marker="_", linestyle="", markersize=7, label="anchors"),
    ]
    columns = len(handles) if len(losses) > 1 else 3
    result.legend(handles=handles, loc="outside upper center", ncols=columns, columnspacing=1.0, handletextpad=0.3)
    return result


def _shares(name: str, entry: Mapping[str, Any], k: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    anchors = np.array([interval(value)[0] for value in entry["anchors"]], dtype=np.float64)
    gradient = np.array([interval(value) for value in entry["gradient"]], dtype=np.float64)
    if len(anchors) != k or len(gradient) != k:
        raise ValueError(f"Expected {k} shares for {name}, got {len(anchors)} of anchors, {len(gradient)} of gradient.")
    return anchors, gradient


def _class(upper: Axes, lower: Axes, x: int, anchors: float, gradient: NDArray[np.float64], mark: style.Mark) -> None:
    estimate, low, high = gradient
    if np.isfinite(anchors):
        upper.plot(x, anchors, "_", color=style.GREY, markersize=7, markeredgewidth=1.3, gid="anchors")
    if not np.isfinite(estimate):
        lower.text(x, 0.06, "×", ha="center", va="bottom", color=style.GREY, fontsize=6, gid="absent")
        return
    if np.isfinite(anchors):
        upper.plot([x, x], [anchors, estimate], color=mark.colour, linewidth=0.7, alpha=0.6, zorder=1)
    if np.isfinite(low) and np.isfinite(high):
        upper.plot([x, x], [low, high], color=mark.colour, linewidth=2.2, alpha=0.3, solid_capstyle="butt", zorder=1)
    upper.plot(x, estimate, mark.marker, color=mark.colour, markersize=3.8, gid="gradient")
    if np.isfinite(anchors) and anchors > 0:
        if np.isfinite(low) and np.isfinite(high):
            lower.plot([x, x], [low / anchors, high / anchors], color=mark.colour, linewidth=0.9)
        lower.plot(x, estimate / anchors, mark.marker, color=mark.colour, markersize=3.8, gid="ratio")
