"""Phase diagrams: the cosine between minority classes and the rank, with the threshold of collapse over them."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import QuadMesh
from matplotlib.colors import BoundaryNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from figures import style

Array = NDArray[np.float64]

LABELS = {
    "ratio": "imbalance ratio R",
    "tau": "temperature τ",
    "negatives": "number of negatives k",
    "majority": "number of majority classes",
}
_CURVE = style.VERMILLION
_HALO = [Stroke(linewidth=3.0, foreground="white"), Normal()]
_COLLAPSED = "...."
_MOST_RANKS = 8  # told apart by colour alone
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@style.styled
def figure(diagram: Mapping[str, Any]) -> Figure:
    """Draw the minority cosine | the rank over the two settings of a phase diagram, one threshold curve over both.

    Args:
        diagram: ``against`` (``tau``, ``negatives`` or ``majority``, along the columns; R, or tau against ``majority``,
            along the rows), ``columns`` and ``rows`` (ascending; ``"inf"`` for a limit), the matrices
            ``minority_cosine``, ``rank`` and ``collapsed`` ``(rows, columns)`` with None for a cell that is not
            certified, and ``curve``: ``{"column": index, "value": R* or critical tau or None}``. Further entries
            (``majority``, ``minority``, ``loss``, ``tau``, ``negatives``, ``ratio``) go into the title.

    Raises:
        ValueError: a matrix is not ``(rows, columns)``.
    """
    rows, columns = list(diagram["rows"]), list(diagram["columns"])
    cosines, ranks = (_matrix(diagram, name, len(rows), len(columns)) for name in ("minority_cosine", "rank"))
    collapsed = _matrix(diagram, "collapsed", len(rows), len(columns)) == 1.0
    result = style.new_figure(style.DOUBLE, 3.05)
    panels = result.subplots(1, 2, sharex=True, sharey=True)
    row_edges = _edges([float(row) for row in rows])
    numeric = diagram["against"] == "tau"
    column_edges = _edges([float(c) for c in columns]) if numeric else np.arange(len(columns) + 1) - 0.5
    centres = np.array([float(c) for c in columns]) if numeric else np.arange(len(columns), dtype=np.float64)
    known = cosines[np.isfinite(cosines)]
    norm = Normalize(float(known.min(initial=1.0)) if known.size else 0.0, 1.0)
    for axes, values, title in zip(
        panels, (cosines, ranks), ("cosine between minority classes", "rank of the class vectors"), strict=True
    ):
        mesh = _heatmap(axes, column_edges, row_edges, values, norm if values is cosines else _rank_norm(ranks))
        _hatch(axes, column_edges, row_edges, collapsed, np.isnan(values))
        _curve(axes, diagram, centres, column_edges, numeric)
        axes.set_title(title)
        bar = result.colorbar(mesh, ax=axes, pad=0.02, aspect=22)
        bar.outline.set_visible(False)
        if values is ranks:
            _rank_ticks(bar, ranks)
        axes.set_xlim(column_edges[0], column_edges[-1])
        axes.set_ylim(row_edges[0], row_edges[-1])
        axes.set_xlabel(LABELS[diagram["against"]])
        if numeric:
            axes.set_xscale("log")
            _log_ticks(axes.xaxis, column_edges)
        else:
            _column_ticks(axes.xaxis, columns)
        axes.set_yscale("log")
        _log_ticks(axes.yaxis, row_edges)
    panels[0].set_ylabel(LABELS["tau" if diagram["against"] == "majority" else "ratio"])
    result.suptitle(_title(diagram))
    _legend(result, diagram, collapsed, np.isnan(cosines), numeric)
    return result


def _matrix(diagram: Mapping[str, Any], name: str, rows: int, columns: int) -> Array:
    matrix = np.array(diagram[name], dtype=np.float64)
    if matrix.shape != (rows, columns):
        raise ValueError(f"Expected a {name} matrix of shape {(rows, columns)}, got {matrix.shape}.")
    return matrix


def _edges(centres: Sequence[float]) -> Array:
    """Edges halfway between the centres in the logarithm."""
    logs = np.log(centres)
    if logs.size == 1:
        return np.exp(logs[0] + np.array([-0.5, 0.5]))
    middles = (logs[1:] + logs[:-1]) / 2.0
    return np.exp(np.concatenate([[2 * logs[0] - middles[0]], middles, [2 * logs[-1] - middles[-1]]]))


def _heatmap(axes: Axes, x: Array, y: Array, values: Array, norm: Normalize) -> QuadMesh:
    masked = np.ma.masked_invalid(values)
    return axes.pcolormesh(x, y, masked, norm=norm, cmap=style.SEQUENTIAL)


def _hatch(axes: Axes, x: Array, y: Array, collapsed: NDArray[np.bool_], absent: NDArray[np.bool_]) -> None:
    """Dot the collapsed cells, hatch those without a certificate: one patch for each run of cells in a column."""
    for column in range(collapsed.shape[1]):
        left, width = x[column], x[column + 1] - x[column]
        for first, last in _runs(collapsed[:, column]):
            box = (left, y[first]), width, y[last] - y[first]
            axes.add_patch(Rectangle(*box, fill=False, hatch=_COLLAPSED, linewidth=0, edgecolor=style.GREY, gid="dots"))
        for first, last in _runs(absent[:, column]):
            centre, height = (y[first] + y[last]) / 2.0, y[last] - y[first]
            style.absent_cell(axes, left + width / 2.0, centre, width=width, height=height)


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one past the last position of each run of true flags."""
    steps = np.diff(np.concatenate([[False], flags, [False]]).astype(int))
    return list(zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True))


def _curve(axes: Axes, diagram: Mapping[str, Any], centres: Array, edges: Array, numeric: bool) -> None:
    """A line through the thresholds of neighbouring columns; against majority classes a step in each column."""
    points = [(p["column"], np.nan if p["value"] is None else float(p["value"])) for p in diagram["curve"]]
    if diagram["against"] == "majority":
        for column, value in points:
            if np.isfinite(value):
                ends = edges[[column, column + 1]]
                axes.plot(ends, [value, value], color=_CURVE, linewidth=1.6, path_effects=_HALO, gid="threshold")
        return
    ends: dict[int, list[float]] = {}  # of a window of collapse there are two in a column: a line through each
    for column, value in points:
        ends.setdefault(column, []).append(value)
    look = {"color": _CURVE, "linewidth": 1.6, "markersize": 3, "path_effects": _HALO, "gid": "threshold"}
    for place in range(max(map(len, ends.values()), default=0)):
        values = [ends[c][place] if place < len(ends.get(c, ())) else np.nan for c in range(len(centres))]
        axes.plot(centres, values, marker="" if numeric else "o", **look)


def _rank_norm(ranks: Array) -> Normalize:
    levels = np.unique(ranks[np.isfinite(ranks)])
    if levels.size == 0 or levels.size > _MOST_RANKS:
        return Normalize(0.0, float(levels.max(initial=1.0)))
    edges = np.concatenate([[levels[0] - 0.5], (levels[1:] + levels[:-1]) / 2.0, [levels[-1] + 0.5]])
    return BoundaryNorm(edges, matplotlib.colormaps[style.SEQUENTIAL].N) if levels.size > 1 else Normalize(*edges)


def _rank_ticks(bar: Any, ranks: Array) -> None:
    levels = np.unique(ranks[np.isfinite(ranks)])
    if 0 < levels.size <= _MOST_RANKS:
        bar.set_ticks((bar.norm.boundaries[1:] + bar.norm.boundaries[:-1]) / 2.0 if levels.size > 1 else levels)
        bar.set_ticklabels([f"{int(level)}" for level in levels])
        bar.ax.tick_params(length=0)
        bar.ax.minorticks_off()
    else:
        bar.locator = MaxNLocator(integer=True)
        bar.update_ticks()


def _log_ticks(axis: Axis, edges: Array) -> None:
    """Powers of ten as such over more than three decades, else 1, 2, 5."""
    low, high = np.log10(edges[0]), np.log10(edges[-1])
    powers = np.arange(np.floor(low), np.ceil(high) + 1)
    wide = high - low > 3.2
    steps = max(1, int(np.ceil((high - low) / 8))) if wide else 1
    ticks = [10.0**p * m for p in powers[::steps] for m in ((1,) if wide else (1, 2, 5))]
    axis.set_major_locator(FixedLocator([t for t in ticks if edges[0] <= t <= edges[-1]]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value) if wide else f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _power(value: float) -> str:
    return "10" + f"{round(np.log10(value)):d}".translate(_SUPERSCRIPTS)


def _column_ticks(axis: Axis, columns: Sequence[Any]) -> None:
    every = max(1, int(np.ceil(len(columns) / 14)))
    shown = list(range(0, len(columns), every))
    if columns[-1] == "inf" and shown[-1] != len(columns) - 1:
        shown.append(len(columns) - 1)
    axis.set_ticks(shown, ["∞" if columns[i] == "inf" else f"{columns[i]:g}" for i in shown])
    axis.set_tick_params(length=0, labelsize=6.5 if len(shown) <= 10 else 6.0)


def _title(diagram: Mapping[str, Any]) -> str:
    def limit(value: Any) -> str:
        return "∞" if value in ("inf", None) else f"{value}"

    parts = []
    if diagram.get("loss"):
        parts.append(str(diagram["loss"]))
    if diagram["against"] == "majority":
        if diagram.get("minority"):
            parts.append(f"{diagram['minority']} minority classes")
        if "ratio" in diagram:
            parts.append(f"R {'→' if limit(diagram['ratio']) == '∞' else '='} {limit(diagram['ratio'])}")
    elif diagram.get("majority") and diagram.get("minority"):
        plural = "" if diagram["majority"] == 1 else "es"
        parts.append(f"{diagram['majority']} majority class{plural} and {diagram['minority']} minority classes")
    if diagram["against"] == "negatives" and "tau" in diagram:
        parts.append(f"τ = {diagram['tau']:g}")
    if diagram["against"] != "negatives" and "negatives" in diagram:
        parts.append(f"k {'→' if limit(diagram['negatives']) == '∞' else '='} {limit(diagram['negatives'])}")
    return ", ".join(parts)


def _legend(
    result: Figure, diagram: Mapping[str, Any], collapsed: NDArray[np.bool_], absent: NDArray[np.bool_], numeric: bool
) -> None:
    handles: list[Any] = []
    if any(point["value"] is not None for point in diagram["curve"]):
        label = "critical temperature" if diagram["against"] == "majority" else "collapse threshold R*"
        marker = "o" if diagram["against"] == "negatives" else ""
        handles.append(Line2D([], [], color=_CURVE, linewidth=1.6, marker=marker, markersize=3, label=label))
    if collapsed.any():
        most = matplotlib.colormaps[style.SEQUENTIAL](1.0)
        swatch = Patch(facecolor=most, edgecolor=style.GREY, hatch=_COLLAPSED, linewidth=0)
        swatch.set_label("minority classes on one vector")
        handles.append(swatch)
    if absent.any():
        swatch = Patch(facecolor="#F0F0F0", edgecolor=style.FAINT, hatch="/////", linewidth=0)
        swatch.set_label("no certificate")
        handles.append(swatch)
    if handles:
        result.legend(handles=handles, loc="outside lower center", ncols=len(handles), handleheight=1.2)
