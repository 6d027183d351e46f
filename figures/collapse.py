"""Collapse metrics as a forest of dots with intervals: a panel a metric, a row a shot group, a mark a model."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from figures import style
from figures.numbers import interval

_COLUMNS = 3


@style.styled
def figure(
    models: Mapping[str, Mapping[str, Any]],
    *,
    labels: Mapping[str, str] | None = None,
    log: Collection[str] = (),
    references: Mapping[str, float] | None = None,
) -> Figure:
    """Draw every metric that some model has; an undefined value is a cross at the panel's edge.

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
    table = {name: {metric: _by_group(data.get(metric)) for metric in metrics} for name, data in models.items()}
    groups = style.ordered_groups(g for data in table.values() for by_group in data.values() for g in by_group)
    columns = min(_COLUMNS, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    marks = style.model_marks(models)
    row_height = 0.05 + 0.095 * len(models)
    result = style.new_figure(
        style.SINGLE if columns == 1 else style.DOUBLE, rows * (0.5 + row_height * len(groups)) + 0.35
    )
    grid = result.subplots(rows, columns, squeeze=False)
    for index, axes in enumerate(grid.flat):
        if index >= len(metrics):
            axes.set_visible(False)
            continue
        metric = metrics[index]
        mine = {name: data[metric] for name, data in table.items()}
        _panel(axes, mine, groups, marks, metric in log)
        axes.set_title(labels.get(metric, metric), fontsize=7)
        if metric in references:
            axes.axvline(
                references[metric], color=style.GREY, linewidth=0.8, linestyle=":", zorder=0.5, gid="reference"
            )
        names = [group if group == "all" or group not in style.GROUP_ORDER else f"{group}-shot" for group in groups]
        axes.set_yticks(range(len(groups)), names if index % columns == 0 else [""] * len(groups))
    handles = [Line2D([], [], color=m.colour, marker=m.marker, linewidth=1, label=name) for name, m in marks.items()]
    if references:
        handles.append(Line2D([], [], color=style.GREY, linestyle=":", linewidth=0.8, label="full collapse"))
    result.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return result


def _by_group(value: Any) -> dict[str, tuple[float, float, float]]:
    if isinstance(value, Mapping) and "estimate" not in value:
        return {group: interval(item) for group, item in value.items()}
    return {} if value is None else {"all": interval(value)}


def _panel(
    axes: Axes,
    data: Mapping[str, Mapping[str, tuple[float, float, float]]],
    groups: list[str],
    marks: Mapping[str, style.Mark],
    logarithmic: bool,
) -> None:
    if logarithmic:
        axes.set_xscale("log")
    spread = 0.6 / max(1, len(data))
    lacking = []
    for position, (name, values) in enumerate(data.items()):
        mark = marks[name]
        shift = spread * (position - (len(data) - 1) / 2)
        for row, group in enumerate(groups):
            if group not in values:
                continue
            estimate, low, high = values[group]
            if not np.isfinite(estimate) or (logarithmic and estimate <= 0):
                lacking.append((row + shift, mark.colour))
                continue
            if np.isfinite(low) and np.isfinite(high):
                low = max(low, estimate * 1e-3) if logarithmic else low
                axes.plot([low, high], [row + shift] * 2, color=mark.colour, linewidth=1.1, gid="interval")
            axes.plot(estimate, row + shift, mark.marker, color=mark.colour, markersize=3.8, gid="estimate")
    for height, colour in lacking:
        transform = axes.get_yaxis_transform()
        axes.plot(0.02, height, "x", color=colour, markersize=3.5, transform=transform, clip_on=False, gid="undefined")
    for row in range(1, len(groups)):
        axes.axhline(row - 0.5, color="#EEEEEE", linewidth=0.5, zorder=0)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.margins(x=0.1)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    if logarithmic:
        axes.xaxis.set_major_locator(LogLocator(numticks=5))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
