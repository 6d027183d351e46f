"""What each loss wants of free vectors: the cosines' spread around the simplex's, a dot an experiment."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from figures import style
from figures.anchors import AVERAGES, check_anchors

FLOOR = 1e-4  # spreads below are drawn at this place, which the axis calls 0
MARKS = {"sample": style.Mark(style.VERMILLION, "s", "-"), "class": style.Mark(style.BLUE, "o", "-")}
APART = {"sample": -0.2, "class": 0.2}  # of a line's height
_LINE = 0.17  # inches
_LONGEST = 52  # characters of a name


@style.styled
def figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the spread of the cosines of class means for every loss, a panel an imbalance, on one logarithmic axis.

    Args:
        rows: with ``loss``, ``variant``, ``anchors`` (``sample`` or ``class``), ``imbalance``, ``cosine_std`` (``None``
            if undefined: left out) and ``verdict``. A filled mark is the simplex, an open one another geometry;
            a tie is a cross.

    Raises:
        ValueError: no row, or one with unknown anchors.
    """
    check_anchors(rows)
    kinds = list(dict.fromkeys((row["loss"], row["variant"]) for row in rows))
    panels = list(dict.fromkeys(row["imbalance"] for row in rows))
    result = style.new_figure(style.DOUBLE, _LINE * len(kinds) + 1.05)
    grid = result.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    for axes, panel in zip(grid, panels, strict=True):
        _panel(axes, [row for row in rows if row["imbalance"] == panel], kinds)
        axes.set_title(panel)
    names = [style.shorten(", ".join(part for part in kind if part), _LONGEST) for kind in kinds]
    grid[0].set_yticks(range(len(kinds)), names, fontsize=6)
    grid[0].set_ylim(len(kinds) - 0.4, -0.6)
    grid[0].set_xscale("log")
    grid[0].set_xlim(FLOOR / 1.8, 2.0)
    grid[0].xaxis.set_major_formatter(FuncFormatter(lambda x, _: "0" if x <= FLOOR else f"{x:g}"))
    result.supxlabel(
        "standard deviation of the cosines between class means (simplex: 0); a mark a temperature", fontsize=7
    )
    handles = [
        Line2D(
            [], [], color=mark.colour, marker=mark.marker, linestyle="", label=f"anchors averaged over {AVERAGES[word]}"
        )
        for word, mark in MARKS.items()
    ]
    handles += [
        Line2D([], [], color=style.GREY, marker="o", linestyle="", label="the simplex"),
        Line2D([], [], color=style.GREY, marker="o", linestyle="", markerfacecolor="white", label="another geometry"),
        Line2D([], [], color=style.GREY, marker="x", linestyle="", label="one of many with the same loss"),
    ]
    result.legend(handles=handles, loc="outside upper center", ncols=3, handletextpad=0.3)
    return result


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], kinds: Sequence[tuple[str, str]]) -> None:
    axes.grid(axis="x")
    for line in range(0, len(kinds), 2):
        axes.axhspan(line - 0.5, line + 0.5, color="#F6F6F6", linewidth=0, zorder=0)
    for row in rows:
        spread = row["cosine_std"]
        if spread is None or not np.isfinite(spread):
            continue
        mark = MARKS[row["anchors"]]
        tie = row["verdict"] == "tie"
        axes.plot(
            max(spread, FLOOR),
            kinds.index((row["loss"], row["variant"])) + APART[row["anchors"]],
            marker="x" if tie else mark.marker,
            markersize=3.2,
            color=mark.colour,
            markerfacecolor=mark.colour if row["verdict"] == "simplex" else "white",
            markeredgewidth=0.8,
            linestyle="",
            clip_on=False,
            gid="experiment",
        )
    axes.tick_params(axis="y", length=0)
