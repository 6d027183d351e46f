"""Collapse along training: scatter within classes, distance to the optimal geometries, angles of minority classes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from figures import style

TARGETS = {
    "optimum": ("optimum", style.Mark(style.BLACK, "o", "-")),
    "batch optimum": ("optimum, mean batch", style.Mark(style.GREY, "", (0, (1.2, 1)))),
    "etf": ("simplex", style.Mark(style.VERMILLION, "s", (0, (5, 1.2)))),
    "seli embeddings": ("SELI", style.Mark(style.GREEN, "^", (0, (1.2, 1)))),
    "lpm embeddings": ("layer-peeled", style.Mark(style.SKY, "D", (0, (4, 1, 1, 1)))),
}
SPACES = {
    "features": style.Mark(style.BLUE, "o", "-"),
    "predictions": style.Mark(style.ORANGE, "s", (0, (5, 1.2))),
    "head": style.Mark(style.PURPLE, "D", (0, (1.2, 1))),
}
GROUPS = {"minority": style.Mark(style.PURPLE, "D", "-"), "majority": style.Mark(style.BLUE, "s", "-")}
FORETOLD = ("optimum", "etf", "lpm embeddings")


@style.styled
def figure(models: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw a row a model: scatter, Gram error to each target, mean angles with what three targets foretell.

    Args:
        models: model -> the check's ``details``: ``step``, ``judged``, ``features`` and ``predictions`` (each with
            ``scatter_ratio``, ``distance`` by target and ``angle`` by group), ``foretold`` by target.

    Raises:
        ValueError: no model, or curves of another length than the steps.
    """
    if not models:
        raise ValueError("Expected the details of at least one model, got none.")
    result = style.new_figure(style.DOUBLE, 1.75 * len(models) + 1.0)
    key, grid = np.split(result.subplots(len(models) + 1, 3, height_ratios=[0.4] + [1.75] * len(models)), [1])
    for (scatter, distance, angle), (name, details) in zip(grid, models.items(), strict=True):
        steps, judged = np.asarray(details["step"], dtype=np.float64), details["judged"]
        for space in ("features", "predictions"):
            _curve(scatter, steps, details[space]["scatter_ratio"], SPACES[space], space)
        for target, values in details[judged]["distance"].items():
            _curve(distance, steps, values, TARGETS[target][1], target)
        for group, mark in GROUPS.items():
            _curve(angle, steps, details[judged]["angle"][group], mark, group)
        for target in FORETOLD:
            if target in details["foretold"] and details["foretold"][target]["angle"] is not None:
                mark = TARGETS[target][1]
                level = details["foretold"][target]["angle"]
                angle.axhline(level, color=mark.colour, linestyle=mark.line, linewidth=0.8, gid=f"foretold {target}")
        scatter.set_title("scatter within / between classes")
        distance.set_title(f"Gram error, {judged}")
        angle.set_title(f"class means, {judged}")
        _logarithmic(scatter)
        scatter.set_ylabel(f"{name}\nratio of traces" if len(models) > 1 else "ratio of traces")
        distance.set_ylabel("distance to the target")
        distance.set_ylim(0, 2**0.5)
        angle.set_ylabel("mean angle (degrees)")
        angle.set_ylim(0, 180)
        angle.yaxis.set_major_locator(MaxNLocator(6, steps=(1, 3, 6, 10)))
        for axes in (scatter, distance, angle):
            axes.grid(axis="y")
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=style.STEPS))
    result.supxlabel("training step", fontsize=7)
    _legends(key[0], models)
    return result


def _curve(axes: Axes, steps: NDArray[np.float64], values: Any, mark: style.Mark, gid: str) -> None:
    curve = np.array(values, dtype=np.float64)
    if curve.shape != steps.shape:
        raise ValueError(f"Expected {steps.size} values of {gid}, one a step, got {curve.size}.")
    axes.plot(steps, curve, color=mark.colour, linestyle=mark.line, marker=mark.marker, markersize=3, gid=gid)


def _logarithmic(axes: Axes) -> None:
    if not any(np.isfinite(np.asarray(line.get_ydata(), dtype=np.float64)).any() for line in axes.lines):
        style.empty(axes)
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1,) if high / low > 100 else (1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _legends(row: Any, models: Mapping[str, Mapping[str, Any]]) -> None:
    """One legend above each column."""
    scatter, distance, angle = row
    present = {target for details in models.values() for target in details[details["judged"]]["distance"]}
    entries = {
        scatter: {space: SPACES[space] for space in ("features", "predictions")},
        distance: {label: mark for target, (label, mark) in TARGETS.items() if target in present},
        angle: GROUPS | {f"minority, {TARGETS[t][0]}": TARGETS[t][1] for t in FORETOLD},
    }
    for axes, marks in entries.items():
        bare = axes is angle
        handles = [
            Line2D(
                [],
                [],
                color=mark.colour,
                linestyle=mark.line,
                marker="" if bare and label.startswith("minority, ") else mark.marker,
                markersize=3,
                label=label,
            )
            for label, mark in marks.items()
        ]
        axes.set_axis_off()
        axes.legend(handles=handles, loc="center", ncols=2, fontsize=6, handlelength=2.2, columnspacing=1, borderpad=0)
