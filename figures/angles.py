"""Learned against optimal angles between class means: a point a pair, on the diagonal where the theory holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from figures import style

MIXED = "mixed with medium"
_MARKS = {
    "many-many": style.Mark(style.BLUE, "s", ""),
    "many-few": style.Mark(style.ORANGE, "^", ""),
    "few-few": style.Mark(style.PURPLE, "D", ""),
    MIXED: style.Mark(style.GREY, "o", ""),
    "": style.Mark(style.BLACK, "o", ""),
}
_COLUMNS = 4
_FEW_PAIRS = 300  # that are still drawn large


@style.styled
def figure(panels: Mapping[str, Mapping[str, Any]], *, reference: str = "target") -> Figure:
    """Draw learned angles over optimal ones with the diagonal, a panel a target or a model, all on one scale.

    Args:
        panels: title -> ``{"learned": (P, P), "optimal": (P, P)}`` cosines; perhaps ``"groups"``, P names out of many,
            medium and few, and ``"rms"``, the root mean square angle residual in degrees to print. Undefined
            cosines (``None``/NaN) are left out and counted in the title.
        reference: what the horizontal axis is an angle in.

    Raises:
        ValueError: no panel, or two matrices of different shapes.
    """
    if not panels:
        raise ValueError("Expected at least one panel, got none.")
    points = {title: _points(title, data) for title, data in panels.items()}
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width = style.SINGLE if columns == 1 else style.DOUBLE
    side = min((width - 0.5) / columns, 2.4)
    result = style.new_figure(width, (side + 0.28) * rows + 0.6)
    grid = result.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    low, high = _limits([pair for learned, optimal, _ in points.values() for pair in (learned, optimal)])
    for axes, (title, data) in zip(grid.flat, panels.items(), strict=False):
        learned, optimal, kinds = points[title]
        _draw(axes, learned, optimal, kinds, low, high)
        missing = int((~np.isfinite(learned + optimal)).sum())
        axes.set_title(title + (f", {missing} pairs undefined" if missing else ""))
        if data.get("rms") is not None:
            axes.text(
                0.96, 0.04, f"rms {data['rms']:.1f}°", transform=axes.transAxes, ha="right", va="bottom", fontsize=6.5
            )
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for column in range(columns):
        last = max(row for row in range(rows) if row * columns + column < len(panels))
        grid[last, column].tick_params(labelbottom=True)
        grid[last, column].set_xlabel(f"angle in the {reference} (degrees)")
    for row in grid:
        row[0].set_ylabel("learned angle (degrees)")
    shown = [kind for kind in _MARKS if kind and any((kinds == kind).any() for _, _, kinds in points.values())]
    if shown:
        handles = [
            Line2D([], [], color=_MARKS[kind].colour, marker=_MARKS[kind].marker, linestyle="", label=kind)
            for kind in shown
        ]
        result.legend(
            handles=handles,
            loc="outside lower center",
            ncols=min(len(shown), 3 if columns == 1 else 4),
            columnspacing=1.2,
        )
    return result


def _points(title: str, data: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.str_]]:
    """Learned and optimal angles in degrees and the kind of each pair."""
    learned, optimal = (np.array(data[part], dtype=np.float64) for part in ("learned", "optimal"))
    if learned.shape != optimal.shape or learned.ndim != 2 or learned.shape[0] != learned.shape[1]:
        raise ValueError(
            f"Expected two square matrices of one shape for {title}, got {learned.shape}, {optimal.shape}."
        )
    first, second = np.triu_indices(len(learned), 1)
    angles = [np.degrees(np.arccos(np.clip(matrix[first, second], -1.0, 1.0))) for matrix in (learned, optimal)]
    groups = data.get("groups")
    if groups is None:
        return angles[0], angles[1], np.full(len(first), "")
    pairs = [{groups[i], groups[j]} for i, j in zip(first.tolist(), second.tolist(), strict=True)]
    kinds = [MIXED if "medium" in pair else "-".join(sorted(pair, reverse=True)) for pair in pairs]
    return angles[0], angles[1], np.array([_DOUBLED.get(kind, kind) for kind in kinds], dtype=str)


_DOUBLED = {"many": "many-many", "few": "few-few"}


def _limits(angles: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    values = np.concatenate(angles) if angles else np.zeros(0)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 180.0
    margin = max(2.0, 0.05 * float(np.ptp(values)))
    return max(-3.0, float(values.min()) - margin), min(183.0, float(values.max()) + margin)


def _draw(
    axes: Axes,
    learned: NDArray[np.float64],
    optimal: NDArray[np.float64],
    kinds: NDArray[np.str_],
    low: float,
    high: float,
) -> None:
    axes.plot([low, high], [low, high], color=style.FAINT, linewidth=0.8, zorder=0, gid="diagonal")
    few = len(learned) <= _FEW_PAIRS
    for kind, mark in _MARKS.items():
        on = kinds == kind
        if on.any():
            axes.plot(
                optimal[on],
                learned[on],
                mark.marker,
                color=mark.colour,
                markersize=3.2 if few else 1.6,
                markeredgewidth=0.0,
                alpha=0.75 if few else 0.35,
                rasterized=not few,
                gid=f"pairs {kind}".strip(),
            )
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    ticks = [
        tick for tick in range(0, 181, 30 if high - low > 60 else 15 if high - low > 25 else 5) if low <= tick <= high
    ]
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
