"""The terms of the bound as dots with intervals, models side by side, the numbers printed beside them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.numbers import interval, number


@style.styled
def figure(
    models: Mapping[str, Mapping[str, Any]],
    *,
    labels: Mapping[str, str] | None = None,
    axis_label: str = "value of the term",
) -> Figure:
    """Draw one row a term and one mark a model; a tick marks the mean under a permutation null where given.

    Args:
        models: model -> term -> interval (number, ``None`` or ``{"estimate", "low", "high"}``); a dict may also hold
            ``"null"``, the value expected without structure.
        labels: the terms' names, by key.
        axis_label: what the axis measures.

    Raises:
        ValueError: there is no term at all.
    """
    labels = labels or {}
    terms = list(dict.fromkeys(term for data in models.values() for term in data))
    if not terms:
        raise ValueError("Expected at least one term of the bound, got none.")
    marks = style.model_marks(models)
    row_height = 0.12 + 0.11 * len(models)
    result = style.new_figure(style.DOUBLE, row_height * len(terms) + 0.75)
    axes, printed = result.subplots(1, 2, sharey=True, width_ratios=[1.0, 0.58 * max(1, len(models))])
    spread = 0.55 / max(1, len(models))
    nulls = False
    for position, (name, data) in enumerate(models.items()):
        mark = marks[name]
        x = (position + 0.5) / len(models)
        printed.text(x, 1.0, name, transform=printed.transAxes, ha="center", va="bottom", fontsize=7, fontweight="bold")
        for row, term in enumerate(terms):
            value = data.get(term)
            estimate, low, high = interval(value)
            y = row + spread * (position - (len(models) - 1) / 2)
            printed.text(x, row, number(estimate, low, high), ha="center", va="center", fontsize=6.5)
            if not np.isfinite(estimate):
                continue
            if np.isfinite(low) and np.isfinite(high):
                axes.plot([low, high], [y, y], color=mark.colour, linewidth=1.2, gid="interval")
            axes.plot(estimate, y, mark.marker, color=mark.colour, markersize=4, gid="estimate")
            null = value.get("null") if isinstance(value, Mapping) else None
            if null is not None and np.isfinite(null):
                axes.plot(null, y, "|", color=mark.colour, markersize=6, markeredgewidth=1.2, gid="null")
                nulls = True
    axes.set_yticks(range(len(terms)), [labels.get(term, term) for term in terms])
    axes.set_ylim(len(terms) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.axvline(0, color=style.GREY, linewidth=0.7, zorder=0.5)
    axes.grid(axis="x")
    axes.set_xlabel(axis_label)
    for row in range(1, len(terms)):
        for panel in (axes, printed):
            panel.axhline(row - 0.5, color="#EEEEEE", linewidth=0.5, zorder=0)
    printed.set(xlim=(0, 1), xticks=[])
    printed.tick_params(axis="y", labelleft=False, length=0)
    printed.spines[:].set_visible(False)
    handles = [Line2D([], [], color=m.colour, marker=m.marker, linewidth=1.2, label=n) for n, m in marks.items()]
    if nulls:
        handles.append(
            Line2D([], [], color=style.GREY, marker="|", linestyle="", markersize=6, label="mean under the null")
        )
    result.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return result
