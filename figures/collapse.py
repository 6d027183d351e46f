"""Collapse metrics as a forest of dots with intervals: a panel a metric, a row a shot group, a mark a model."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from figures import style
from figures.numbers import interval

_COLUMNS = 3

Values = dict[str, tuple[float, float, float]]


@style.styled
def figure(
    models: Mapping[str, Mapping[str, Any]],
    *,
    labels: Mapping[str, str] | None = None,
    log: Collection[str] = (),
    references: Mapping[str, float] | None = None,
) -> Figure:
    """Draw every metric that some model has; an undefined value is a cross at the panel's edge.

    Metrics given per shot group come first, those given for all classes alone after them.

    Args:
        models: model -> metric -> interval, or a dict group -> interval (``all``, ``many``, ``medium``, ``few``);
            an interval is a number, ``None``, or ``{"estimate", "low", "high"}``.
        labels: panel titles by metric.
        log: metrics on a logarithmic axis (values of zero or less are then undefined).
        references: metric -> the value under full collapse, drawn as a dotted line.

    Raises:
        ValueError: there is no metric at all.
    """
    labels, references = labels or {}, references or {}
    metrics = list(dict.fromkeys(metric for data in models.values() for metric in data))
    if not metrics:
        raise ValueError("Expected at least one collapse metric, got none.")
    table = {metric: {name: _by_group(data.get(metric)) for name, data in models.items()} for metric in metrics}
    grouped = [metric for metric in metrics if len(_groups([table[metric]])) > 1]
    pooled = [metric for metric in metrics if metric not in grouped]
    columns = min(_COLUMNS, max(len(grouped), len(pooled)))
    bands = [kind[i : i + columns] for kind in (grouped, pooled) for i in range(0, len(kind), columns)]
    groups = [_groups([table[metric] for metric in band]) for band in bands]
    marks = style.model_marks(models)
    heights = [(0.05 + 0.095 * len(models)) * len(names) for names in groups]
    width = style.SINGLE if columns == 1 else style.DOUBLE
    result = style.new_figure(width, sum(heights) + 0.5 * len(bands) + 0.35)
    grid = result.subplots(len(bands), columns, squeeze=False, height_ratios=heights)
    for band, names, row in zip(bands, groups, grid, strict=True):
        for metric, axes in zip(band, row, strict=False):
            _panel(axes, table[metric], names, marks, metric in log)
            axes.set_title(labels.get(metric, metric), fontsize=7)
            if metric in references:
                axes.axvline(
                    references[metric], color=style.GREY, linewidth=0.8, linestyle=":", zorder=0.5, gid="reference"
                )
            _ticks(axes, logarithmic=metric in log)
            written = [_label(group) for group in names] if axes is row[0] else [""] * len(names)
            axes.set_yticks(range(len(names)), written)
        for axes in row[len(band) :]:
            axes.set_visible(False)
    handles = [Line2D([], [], color=m.colour, marker=m.marker, linewidth=1, label=name) for name, m in marks.items()]
    if references:
        handles.append(Line2D([], [], color=style.GREY, linestyle=":", linewidth=0.8, label="full collapse"))
    result.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return result


def _by_group(value: Any) -> Values:
    if isinstance(value, Mapping) and "estimate" not in value:
        return {group: interval(item) for group, item in value.items()}
    return {"all": interval(value)}


def _groups(tables: Sequence[Mapping[str, Values]]) -> list[str]:
    return style.ordered_groups(group for table in tables for values in table.values() for group in values)


def _label(group: str) -> str:
    return f"{group}-shot" if group in style.GROUP_ORDER[1:] else group


def _panel(
    axes: Axes, data: Mapping[str, Values], groups: list[str], marks: Mapping[str, style.Mark], logarithmic: bool
) -> None:
    if logarithmic:
        axes.set_xscale("log")
    spread = 0.6 / max(1, len(data))
    for position, (name, values) in enumerate(data.items()):
        mark = marks[name]
        shift = spread * (position - (len(data) - 1) / 2)
        for row, group in enumerate(groups):
            if group not in values:
                continue
            estimate, low, high = values[group]
            if not np.isfinite(estimate) or (logarithmic and estimate <= 0):
                place = {"transform": axes.get_yaxis_transform(), "clip_on": False}
                axes.plot(0.03, row + shift, "x", color=mark.colour, markersize=3.5, gid="undefined", **place)
                continue
            if np.isfinite(low) and np.isfinite(high):
                low = max(low, estimate * 1e-3) if logarithmic else low
                axes.plot([low, high], [row + shift] * 2, color=mark.colour, linewidth=1.1, gid="interval")
            axes.plot(estimate, row + shift, mark.marker, color=mark.colour, markersize=3.8, gid="estimate")
    for row in range(1, len(groups)):
        axes.axhline(row - 0.5, color="#EEEEEE", linewidth=0.5, zorder=0)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.margins(x=0.12)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)


def _ticks(axes: Axes, *, logarithmic: bool) -> None:
    if not logarithmic:
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=style.STEPS))
        return
    low, high = axes.get_xlim()
    if math.log10(high / low) < 2:  # too narrow for powers of ten alone
        if high / low < 5:  # perhaps too narrow for two of 1, 2, 5; the locator's own way out is a crowd
            axes.xaxis.set_major_locator(MaxNLocator(3, steps=style.STEPS))
            axes.xaxis.set_minor_locator(NullLocator())
        else:
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 20 else (1, 3)))
    else:
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))  # the locator's own is mathematics
    axes.xaxis.set_minor_formatter(NullFormatter())
