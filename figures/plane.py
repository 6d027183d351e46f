"""Class means in the plane: where training put them, where the optimum has them, and the way between."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import NDArray

from figures import style

_MOST_NAMED = 24  # classes whose names still fit beside the circle


@style.styled
def figure(
    models: Mapping[str, Mapping[str, Any]],
    *,
    class_names: Sequence[str],
    shots: Sequence[str] | None = None,
) -> Figure:
    """Draw learned class means (filled) joined to the optimal ones (hollow), a panel a model, all on one scale.

    Args:
        models: model -> ``{"learned": (K, 2), "optimal": (K, 2), "share": s}``, coordinates in the same plane with the
            unit circle as scale; ``share`` in [0, 1] is the variance of the learned means that the plane shows. An
            undefined class (``None``/NaN) is left out and counted in the title.
        class_names: K names.
        shots: K shot groups, for colour and marker.

    Raises:
        ValueError: coordinates are not ``(K, 2)``.
    """
    groups = list(shots) if shots is not None else [""] * len(class_names)
    points = {
        name: [_points(name, part, data, len(class_names)) for part in ("learned", "optimal")]
        for name, data in models.items()
    }
    everything = np.concatenate([part for pair in points.values() for part in pair])
    norms = np.linalg.norm(everything[np.isfinite(everything).all(axis=1)], axis=1)
    radius = 1.12 * max(1.0, float(norms.max(initial=0.0)))
    width = style.SINGLE if len(models) == 1 else style.DOUBLE
    panel = width / len(models)
    named = len(class_names) <= _MOST_NAMED
    label = 0.052 * max(len(style.shorten(name, 12)) for name in class_names) + 0.12 if named else 0.0
    half = radius * panel / max(0.3 * panel, panel - 2 * label)  # half the panel's width, in units of the plane

    result = style.new_figure(width, panel)
    panels = result.subplots(1, len(models), squeeze=False, sharey=True)[0]
    for axes, (name, data) in zip(panels, models.items(), strict=True):
        learned, optimal = points[name]
        title = _title(name, data.get("share"), int(np.isnan(learned).any(axis=1).sum()))
        axes.set_title(title, fontsize=6 if len(models) > 2 else None)
        _draw(axes, learned, optimal, groups)
        if named:
            shown = np.where(np.isfinite(learned), learned, optimal)
            _name(axes, shown, class_names, radius, gap=2 * half * 0.11 / panel)
    heights = [text.get_position()[1] for axes in panels for text in axes.texts]
    heights += everything[np.isfinite(everything[:, 1]), 1].tolist()
    bottom, top = min([-1.0, *heights]) - 0.12, max([1.0, *heights]) + 0.12
    for axes in panels:
        axes.set(xlim=(-half, half), ylim=(bottom, top), aspect="equal", xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    rows = _legend(result, groups, columns=5 if len(models) > 1 else 3)
    result.set_size_inches(width, (top - bottom) / (2 * half) * panel + 0.3 + 0.15 * rows)
    return result


def _points(name: str, part: str, data: Mapping[str, Any], k: int) -> NDArray[np.float64]:
    points = np.array(data[part], dtype=np.float64)
    if points.shape != (k, 2):
        raise ValueError(f"Expected {part} coordinates of shape {(k, 2)} for {name}, got {points.shape}.")
    return points


def _title(name: str, share: float | None, missing: int) -> str:
    parts = [name]
    if share is not None and np.isfinite(share):
        parts.append(f"{100 * share:.0f} % of variance")
    if missing:
        parts.append(f"{missing} {'class' if missing == 1 else 'classes'} absent")
    return ", ".join(parts)


def _draw(axes: Axes, learned: NDArray[np.float64], optimal: NDArray[np.float64], groups: Sequence[str]) -> None:
    axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor=style.FAINT, linewidth=0.8, linestyle="--"))
    axes.plot(0, 0, "+", color=style.FAINT, markersize=5)
    for k, group in enumerate(groups):
        mark = style.group_mark(group)
        ends = np.stack([learned[k], optimal[k]])
        if np.isfinite(ends).all():
            axes.plot(*ends.T, color=mark.colour, linewidth=0.8, alpha=0.7, gid="joint")
        axes.plot(*optimal[k], mark.marker, color=mark.colour, markerfacecolor="white", gid="optimal")
        axes.plot(*learned[k], mark.marker, color=mark.colour, gid="learned")


def _name(axes: Axes, points: NDArray[np.float64], names: Sequence[str], radius: float, gap: float) -> None:
    """Write the names in two columns beside the circle, no closer than ``gap``, joined to their points.

    The heights nearest to the points' own in least squares are an isotonic regression.
    """
    from scipy.optimize import isotonic_regression

    for side in (-1, 1):
        mine = [k for k, (x, _) in enumerate(points) if np.isfinite(x) and (x >= 0) == (side > 0)]
        if not mine:
            continue
        mine.sort(key=lambda k: points[k, 1])
        steps = gap * np.arange(len(mine))
        heights = isotonic_regression(points[mine, 1] - steps).x + steps
        for k, height in zip(mine, heights, strict=True):
            axes.plot([side * radius, points[k, 0]], [height, points[k, 1]], color=style.FAINT, linewidth=0.4, zorder=0)
            axes.text(
                side * radius * 1.02,
                height,
                style.shorten(names[k], 12),
                ha="left" if side > 0 else "right",
                va="center_baseline",
                fontsize=6,
            )


def _legend(result: Figure, groups: Sequence[str], columns: int) -> int:
    """Draw the legend and say how many rows it has."""
    kinds = style.ordered_groups(group for group in groups if group)
    handles = [
        Line2D([], [], color=m.colour, marker=m.marker, linestyle="", label=f"{group}-shot")
        for group, m in ((group, style.group_mark(group)) for group in kinds)
    ]
    handles += [
        Line2D([], [], color=style.GREY, marker="o", linestyle="", label="learned"),
        Line2D([], [], color=style.GREY, marker="o", markerfacecolor="white", linestyle="", label="optimal"),
    ]
    result.legend(handles=handles, loc="outside lower center", ncols=columns, columnspacing=1.2)
    return -(-len(handles) // columns)
