"""How many images every class has in every domain: pooled bars above, a table of cells below."""

from collections.abc import Sequence
from itertools import groupby

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import ArrayLike, NDArray

from figures import style

_MOST_PRINTED = 80  # classes; beyond, the printed numbers would run into each other


@style.styled
def figure(
    counts: ArrayLike,
    *,
    class_names: Sequence[str],
    domain_names: Sequence[str],
    shots: Sequence[str] | None = None,
    held_out: str | None = None,
    unit: str = "training images",
    width: float = style.DOUBLE,
) -> Figure:
    """Draw counts with classes ordered from most to fewest pooled images; an absent cell is hatched.

    Args:
        counts: ``(M, K)`` images per domain and class.
        class_names: K names.
        domain_names: M names.
        shots: K shot groups (``many``, ``medium``, ``few``), or None when unknown.
        held_out: the domain of which nothing was trained on; its row says so and is not pooled.
        unit: what is counted.
        width: inches.

    Raises:
        ValueError: shapes and names disagree.
    """
    table = np.asarray(counts, dtype=np.int64)
    if table.shape != (len(domain_names), len(class_names)):
        raise ValueError(
            f"Expected counts of shape {(len(domain_names), len(class_names))} (domains, classes), got {table.shape}."
        )
    if shots is not None and len(shots) != len(class_names):
        raise ValueError(f"Expected a shot group for each of {len(class_names)} classes, got {len(shots)}.")
    source = np.array([name != held_out for name in domain_names])
    pooled = table[source].sum(axis=0)
    order = np.argsort(-pooled, kind="stable")
    names = [class_names[k] for k in order]
    groups = [shots[k] for k in order] if shots is not None else [""] * len(order)

    result = style.new_figure(width, 1.75 + 0.24 * len(domain_names))
    bars, cells = result.subplots(2, 1, sharex=True, height_ratios=[4.2, max(1.2, len(domain_names))])
    _pooled(bars, pooled[order], groups, unit)
    norm = LogNorm(1, max(2, int(table.max(initial=1))))
    _cells(cells, table[:, order], domain_names, held_out, norm)
    every = style.class_ticks(cells.xaxis, names, width - 1.4, rotate=len(names) > 10)
    cells.set_xlabel("class, most to fewest images" + (f" (one in {every} named)" if every > 1 else ""))
    colours = ScalarMappable(norm, cmap=_colours())
    bar = result.colorbar(colours, ax=[bars, cells], label=f"{unit} per cell", aspect=30, pad=0.01, shrink=0.9)
    for axis in (bars.yaxis, bar.ax.yaxis):  # matplotlib writes powers as mathematics, which is off (style.RC)
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    return result


def _colours() -> matplotlib.colors.Colormap:
    return matplotlib.colormaps[style.SEQUENTIAL].reversed()


def _pooled(axes: Axes, pooled: NDArray[np.int64], groups: list[str], unit: str) -> None:
    colours = [style.group_mark(group).colour for group in groups]
    bars = axes.bar(np.arange(len(pooled)), pooled, width=0.8, color=colours, log=True, bottom=0)
    top = max(10, int(pooled.max(initial=1)))
    axes.set(ylabel=f"{unit},\nsources pooled", ylim=(0.6, top * (12 if groups[0] else 3)))
    if len(pooled) <= _MOST_PRINTED:
        _print(
            axes,
            [(bar.get_x() + 0.4, max(0.6, n) * 1.15, f"{n}", "black") for bar, n in zip(bars, pooled, strict=True)],
            len(pooled),
        )
    start = 0
    for group, members in groupby(groups):
        size = len(list(members))
        if group:
            colour = style.group_mark(group).colour
            axes.plot([start - 0.4, start + size - 0.6], [top * 7] * 2, color=colour, linewidth=2, gid=f"group-{group}")
            axes.text(start - 0.5 + size / 2, top * 8, group, ha="center", va="bottom", fontsize=6.5, clip_on=False)
        if start:
            axes.axvline(start - 0.5, color=style.FAINT, linewidth=0.6, linestyle=":")
        start += size
    axes.tick_params(axis="x", length=0, labelbottom=False)


def _cells(axes: Axes, table: NDArray[np.int64], domains: Sequence[str], held_out: str | None, norm: LogNorm) -> None:
    colours = _colours()
    axes.imshow(np.ma.masked_less(table, 1), norm=norm, cmap=colours, aspect="auto")
    printed = []
    for row, domain in enumerate(domains):
        for column in np.flatnonzero(table[row] == 0):
            style.absent_cell(axes, column, row)
        if domain == held_out and not table[row].any():
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            axes.text(
                (table.shape[1] - 1) / 2,
                row,
                "held out: not trained on",
                ha="center",
                va="center",
                fontsize=6.5,
                bbox=box,
            )
            continue
        for column, n in enumerate(table[row]):
            colour = style.shade_text(*colours(norm(n))[:3]) if n else style.GREY
            printed.append((column, row, f"{n}", colour))
    if table.shape[1] <= _MOST_PRINTED:
        _print(axes, printed, table.shape[1])
    labels = [f"{style.shorten(name)} (held out)" if name == held_out else style.shorten(name) for name in domains]
    axes.set_yticks(range(len(domains)), labels)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(-0.5, table.shape[1] - 0.5)
    axes.spines[:].set_visible(False)


def _print(axes: Axes, numbers: list[tuple[float, float, str, str]], k: int) -> None:
    upright = k > 20
    in_bars = axes.get_yscale() == "log"
    for x, y, text, colour in numbers:
        axes.text(
            x,
            y,
            text,
            color=colour,
            ha="center",
            va="bottom" if in_bars else "center",
            fontsize=4.6 if upright else 6.0,
            rotation=90 if upright else 0,
        )
