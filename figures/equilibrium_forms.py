"""How far each form of ECL's loss strays from the simplex as classes become imbalanced."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from figures import style
from figures.anchors import AVERAGES, check_anchors

APART = 0.036  # of the decade, between neighbouring forms: many coincide
_COLOURS = (style.BLACK, style.VERMILLION, style.BLUE, style.GREEN, style.PURPLE, style.ORANGE, style.SKY)
_MARKERS = "osD^vPX*<>hd"


@style.styled
def figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the spread of cosines between class vectors against imbalance: a row an anchor average, a column a tau.

    Args:
        rows: with ``loss`` (the form), ``anchors`` (``sample`` or ``class``), ``tau``, ``imbalance`` (a number),
            ``cosine_std`` of the least loss found, ``least_start_std`` and ``most_start_std`` over random starts (the
            bar, which reaches to the former; None where no start defines it), and ``verdict``; a filled mark is the
            simplex. Forms stand side by side, for many coincide.

    Raises:
        ValueError: no row, or one with unknown anchors.
    """
    check_anchors(rows)
    forms = list(dict.fromkeys(row["loss"] for row in rows))
    averages = [name for name in AVERAGES if any(row["anchors"] == name for row in rows)]
    taus = list(dict.fromkeys(row["tau"] for row in rows))
    result = style.new_figure(style.DOUBLE, 1.8 * len(averages) + 0.35 + 0.14 * -(-len(forms) // 3))
    grid = result.subplots(len(averages), len(taus), squeeze=False, sharex=True, sharey=True)
    for i, average in enumerate(averages):
        for j, tau in enumerate(taus):
            axes = grid[i, j]
            _panel(axes, [row for row in rows if (row["anchors"], row["tau"]) == (average, tau)], forms)
            if i == 0:
                axes.set_title(f"τ = {float(tau):g}")
        grid[i, 0].set_ylabel(f"anchors averaged over {AVERAGES[average]}\nstd of cosines")
    factors = sorted({float(row["imbalance"]) for row in rows})
    axes = grid[0, 0]
    axes.set_xscale("log")
    axes.set_ylim(bottom=-0.03)
    axes.xaxis.set_major_locator(FixedLocator(factors))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    result.supxlabel(
        "imbalance factor (largest over smallest class); filled: the simplex; bars: random starts", fontsize=7
    )
    handles, labels = grid[0, 0].get_legend_handles_labels()
    result.legend(handles, labels, loc="outside upper center", ncols=3, handletextpad=0.4)
    return result


def _panel(axes: Axes, rows: Sequence[Mapping[str, Any]], forms: Sequence[str]) -> None:
    axes.grid(axis="y")
    for n, form in enumerate(forms):
        mine = sorted((row for row in rows if row["loss"] == form), key=lambda row: float(row["imbalance"]))
        mine = [row for row in mine if row["cosine_std"] is not None and np.isfinite(row["cosine_std"])]
        place = 10 ** (APART * (n - (len(forms) - 1) / 2))
        x = [float(row["imbalance"]) * place for row in mine]
        colour, marker = _COLOURS[n % len(_COLOURS)], _MARKERS[n % len(_MARKERS)]
        y = _shown(mine, "cosine_std")
        axes.plot(x, y, color=colour, linewidth=0.7, marker="", zorder=2)
        axes.plot([], [], color=colour, linewidth=0.7, marker=marker, markersize=3.4, label=form)
        low, high = _shown(mine, "least_start_std"), _shown(mine, "most_start_std")
        axes.vlines(x, np.fmin(low, y), np.fmax(high, y), color=colour, linewidth=2.4, alpha=0.35)
        for across, up, row in zip(x, y, mine, strict=True):
            axes.plot(
                across,
                up,
                marker=marker,
                markersize=3.4,
                color=colour,
                markerfacecolor=colour if row["verdict"] == "simplex" else "white",
                markeredgewidth=0.7,
                clip_on=False,
                zorder=3,
                gid="experiment",
            )


def _shown(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [float("nan") if row[name] is None else float(row[name]) for row in rows]
