"""Collapse metrics of many runs by shot group: a panel a metric, a line an algorithm, a mark a group."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from figures import style
from figures.numbers import interval

ROW = 0.2  # inches
COLUMNS = 4
SPREAD = 0.5  # of a line's height, over which the marks of its groups stand apart


@style.styled
def figure(rows: Sequence[Mapping[str, Any]], *, metrics: Mapping[str, str], title: str = "") -> Figure:
    """Draw the mean of every metric over runs by shot group, with a bar of one standard error to either side.

    Args:
        rows: plain values: ``algorithm``, ``metric``, ``group``, ``mean``, ``standard_error``.
        metrics: those to draw, with the panels' titles.
        title: of the figure.

    Raises:
        ValueError: no defined value of any of the metrics.
    """
    known = [row for row in rows if row["metric"] in metrics and np.isfinite(interval(row["mean"])[0])]
    if not known:
        raise ValueError("Expected a defined value of one of the metrics, got none.")
    drawn = [name for name in metrics if any(row["metric"] == name for row in known)]
    algorithms = list(dict.fromkeys(row["algorithm"] for row in known))
    groups = [group for group in style.ordered_groups(row["group"] for row in known) if group in style.GROUP_ORDER]
    columns = min(COLUMNS, len(drawn))
    lines = -(-len(drawn) // columns)
    result = style.new_figure(style.DOUBLE, lines * (ROW * len(algorithms) + 0.55) + 0.35)
    grid = result.subplots(lines, columns, squeeze=False, sharey=True)
    for axes, metric in zip(grid.flat, drawn, strict=False):
        _panel(axes, [row for row in known if row["metric"] == metric], algorithms, groups)
        axes.set_title(metrics[metric])
    for axes in grid.flat[len(drawn) :]:
        axes.set_visible(False)
    grid[0, 0].set_yticks(range(len(algorithms)), [style.shorten(name, 30) for name in algorithms])
    grid[0, 0].set_ylim(len(algorithms) - 0.5, -0.5)
    handles = [
        Line2D(
            [], [], color=mark.colour, marker=mark.marker, linestyle="", label=f"{group}{'-shot' * (group != 'all')}"
        )
        for group, mark in ((group, style.group_mark(group)) for group in groups)
    ]
    result.legend(handles=handles, loc="outside lower center", ncols=len(handles), handletextpad=0.2)
    if title:
        result.suptitle(title)
    return result


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], algorithms: Sequence[str], groups: Sequence[str]) -> None:
    shift = dict(
        zip(groups, np.linspace(-SPREAD / 2, SPREAD / 2, len(groups)) if len(groups) > 1 else [0.0], strict=True)
    )
    for row in rows:
        if row["group"] not in shift:
            continue
        mark, y = style.group_mark(row["group"]), algorithms.index(row["algorithm"]) + shift[row["group"]]
        mean, spread = interval(row["mean"])[0], interval(row["standard_error"])[0]
        if np.isfinite(spread):
            axes.plot([mean - spread, mean + spread], [y, y], color=mark.colour, linewidth=0.9, solid_capstyle="butt")
        axes.plot(mean, y, mark.marker, color=mark.colour, markersize=3.2, gid=row["group"])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=style.STEPS))
    for y in range(1, len(algorithms)):
        axes.axhline(y - 0.5, color=style.FAINT, linewidth=0.3)
