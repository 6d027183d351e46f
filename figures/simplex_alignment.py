"""Cosines of centred class vectors by shot group, against the simplex."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style
from figures.numbers import interval, number

KINDS = ("many-many", "many-medium", "many-few", "medium-medium", "medium-few", "few-few", "all-all")


@style.styled
def figure(models: Mapping[str, Mapping[str, Mapping[str, Any]]], *, most_points: int = 400, seed: int = 0) -> Figure:
    """Draw the cosine of every pair of classes, a row a model, a column a kind of vectors.

    The line is the simplex's ``-1/(K-1)``, the grey band the tolerance about it; a bar is the mean of a block of pairs
    with its bootstrap interval.

    Args:
        models: model -> kind of vectors -> ``details`` of the verdict (``cosines``, ``groups``, ``blocks``, ``target``,
            ``tolerance``, ``deviation``, ``decides``).
        most_points: a block draws at most this many of its pairs, chosen at random.
        seed: of that choice.

    Raises:
        ValueError: nothing to draw.
    """
    subjects = list(dict.fromkeys(subject for data in models.values() for subject in data))
    if not subjects:
        raise ValueError("Expected details of at least one kind of class vectors, got none.")
    kinds = [k for k in KINDS if any(k in entry["blocks"] for data in models.values() for entry in data.values())]
    width = style.SINGLE if len(subjects) == 1 else style.DOUBLE
    result = style.new_figure(width, 1.75 * len(models) + 0.75)
    grid = result.subplots(len(models), len(subjects), squeeze=False, sharex=True, sharey=True)
    for row, (name, data) in enumerate(models.items()):
        for column, subject in enumerate(subjects):
            axes = grid[row, column]
            axes.set_title(f"{name}, {subject}")
            if subject not in data:
                style.empty(axes)
                continue
            _panel(axes, data[subject], kinds, most_points, np.random.default_rng([seed, row, column]))
        grid[row, 0].set_ylabel("cosine (centred)")
    for axes in grid[-1]:
        axes.set_xticks(
            range(len(kinds)), [kind.replace("medium", "med.").replace("-", "–\n") for kind in kinds], fontsize=6
        )
        axes.set_xlim(-0.6, len(kinds) - 0.4)
    grid[0, 0].set_ylim(-1.05, 1.05)
    return result


def _panel(axes: Axes, data: Mapping[str, Any], kinds: list[str], most: int, rng: np.random.Generator) -> None:
    cosine = np.array(data["cosines"], dtype=np.float64)
    groups = np.asarray(data["groups"])
    target, tolerance = float(data["target"]), float(data["tolerance"])
    axes.axhspan(target - tolerance, target + tolerance, color="#EDEDED", zorder=0.3, linewidth=0)
    axes.axhline(target, color=style.GREY, linewidth=0.8, zorder=0.5)
    first, second = np.triu_indices(len(groups), 1)
    for x, kind in enumerate(kinds):
        if kind not in data["blocks"]:
            continue
        a, b = kind.split("-")
        mine = ((groups[first] == a) & (groups[second] == b)) | ((groups[first] == b) & (groups[second] == a))
        points = cosine[first, second][mine]
        points = points[np.isfinite(points)]
        if points.size > most:
            points = rng.choice(points, most, replace=False)
        mark = style.group_mark(b)
        spread = 0.2 * rng.uniform(-1, 1, points.size) if points.size > 1 else np.zeros(points.size)
        axes.scatter(
            x + spread,
            points,
            s=8,
            marker=mark.marker,
            color=mark.colour,
            alpha=0.7,
            linewidths=0,
            zorder=3,
            gid="pairs",
        )
        mean, low, high = interval(data["blocks"][kind]["cosine"])
        if np.isfinite(mean):
            axes.plot([x - 0.32, x + 0.32], [mean, mean], color=style.BLACK, linewidth=1.3, gid="mean")
        if np.isfinite(low) and np.isfinite(high) and high > low:
            axes.plot([x, x], [low, high], color=style.BLACK, linewidth=0.9, gid="interval")
    deviation = interval(data["deviation"][data["decides"]])
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
    text = (
        f"mean deviation {number(*deviation)}"
        if deviation[1] < deviation[2]
        else f"mean deviation {number(deviation[0])}"
    )
    axes.text(0.98, 0.97, text, transform=axes.transAxes, ha="right", va="top", fontsize=6.5, bbox=box)
