"""Prediction prototypes along training: how far domains lie apart against how well their prototypes are known."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from figures import style
from figures.numbers import interval, number

LINES = {
    "distance": ("distance between domains", style.Mark(style.BLACK, "o", "-")),
    "batch_error": ("its error, one batch", style.Mark(style.VERMILLION, "s", (0, (5, 1.2)))),
    "moving_error": ("its error, moving average", style.Mark(style.BLUE, "^", (0, (1.2, 1)))),
    "drift": ("movement since the moment before", style.Mark(style.FAINT, "", "-")),
}

SUBJECTS = {"batch": "in a batch", "moving": "moving"}


@style.styled
def figure(models: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw a row a model, a column a shot group; where the black line is above the others prototypes are stable.

    Args:
        models: model -> the check's ``details``: ``step`` and ``groups``, each with ``distance``, ``batch_error``,
            ``moving_error`` and ``drift`` over the steps and ``reliability`` by subject.

    Raises:
        ValueError: no model, or curves of another length than the steps.
    """
    groups = style.ordered_groups(group for details in models.values() for group in details["groups"])
    if not groups:
        raise ValueError("Expected the details of at least one model, got none.")
    result = style.new_figure(style.DOUBLE if len(groups) > 1 else style.SINGLE, 1.85 * len(models) + 0.55)
    grid = result.subplots(len(models), len(groups), squeeze=False, sharex="row", sharey="row")
    for row, (name, details) in zip(grid, models.items(), strict=True):
        for axes, group in zip(row, groups, strict=True):
            if group not in details["groups"]:
                style.empty(axes)
                continue
            found = details["groups"][group]
            _panel(axes, np.asarray(details["step"], dtype=np.float64), found)
            title = f"{group}-shot, {found['pairs']} pairs of cells"
            axes.set_title(f"{name}: {title}" if len(models) > 1 else title, pad=13)
            shares = [f"{number(interval(found['reliability'][s])[0])} {words}" for s, words in SUBJECTS.items()]
            line = f"reliability {', '.join(shares)}"
            axes.text(0.5, 1.02, line, transform=axes.transAxes, ha="center", va="bottom", fontsize=6)
        row[0].set_ylabel("length in prediction space")
    result.supxlabel("training step", fontsize=7)
    handles = [
        Line2D([], [], color=mark.colour, marker=mark.marker, linestyle=mark.line, markersize=3, label=label)
        for label, mark in LINES.values()
    ]
    result.legend(handles=handles, loc="outside upper center", ncols=len(handles), columnspacing=1.2)
    return result


def _panel(axes: Axes, steps: np.ndarray[Any, np.dtype[np.float64]], group: Mapping[str, Any]) -> None:
    drawn = False
    for key, (_, mark) in LINES.items():
        values = np.array(group[key], dtype=np.float64)
        if values.shape != steps.shape:
            raise ValueError(f"Expected {steps.size} values of {key}, one a step, got {values.size}.")
        values = np.where(values > 0, values, np.nan)
        drawn |= bool(np.isfinite(values).any())
        axes.plot(steps, values, color=mark.colour, linestyle=mark.line, marker=mark.marker, markersize=3, gid=key)
    if not drawn:
        style.empty(axes)
        return
    axes.set_yscale("log")
    axes.grid(axis="y")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1,) if high / low > 100 else (1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=style.STEPS))
