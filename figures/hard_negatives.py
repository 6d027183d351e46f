"""Where synthesised hard negatives lie: distances, who is nearer, what the coefficient decides, and a picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from figures import style
from figures.numbers import interval

KINDS = ("synthesised", "random", "plain", "real")  # codes of the picture's samples
NAMES = {
    "synthesised": "synthesised",
    "random": "random mixups",
    "plain": "plain hard negatives",
    "real": "real samples",
}
_MARKS = {
    "synthesised": style.Mark(style.VERMILLION, "^", "-"),
    "random": style.Mark(style.ORANGE, "v", (0, (4, 1.2))),
    "plain": style.Mark(style.BLUE, "s", (0, (1.2, 1))),
    "real": style.Mark(style.GREY, "o", (0, (4, 1, 1, 1))),
}


@style.styled
def figure(
    nearer: Mapping[str, Mapping[str, Any]],
    negative: Mapping[str, Any],
    kinds: Mapping[str, Mapping[str, Any]],
    *,
    picture: Mapping[str, Any] | None = None,
    embedding: Sequence[Sequence[float]] | None = None,
    embedding_name: str = "UMAP",
) -> Figure:
    """Draw distances, comparisons and coefficients above, principal components and another embedding below.

    Args:
        nearer: ``random``, ``real``, ``plain`` -> shot group (``all`` among them) -> interval of the probability that a
            synthesised negative is nearer to the boundary.
        negative: ``edges`` (11,), ``share`` 10 intervals on the other side of the boundary, ``negatives`` 10 counts,
            by mixing coefficient.
        kinds: kind -> ``{"quantiles": 101 percentiles of the signed distance, ...}``.
        picture: ``components`` (F, >= 2), ``variance``, ``kind`` codes into :data:`KINDS`, ``coefficient``.
        embedding: ``(F, 2)`` coordinates of the same samples, for example UMAP of the components.
        embedding_name: what to call it.
    """
    result = style.new_figure(style.DOUBLE, 2.25 if picture is None else 4.95)
    above = result
    if picture is not None:
        above, below = result.subfigures(2, 1, height_ratios=[1, 1.2])
        _picture(below, picture, embedding, embedding_name)
    distances, compared, coefficients = above.subplots(1, 3, width_ratios=[1.25, 1, 1])
    _distances(distances, kinds)
    _compared(compared, nearer)
    _coefficients(coefficients, negative)
    handles = [
        Line2D([], [], color=mark.colour, marker=mark.marker, linestyle=mark.line, markersize=3.5, label=NAMES[kind])
        for kind, mark in _MARKS.items()
    ]
    above.legend(handles=handles, loc="outside upper center", ncols=4)
    return result


def _distances(axes: Axes, kinds: Mapping[str, Mapping[str, Any]]) -> None:
    """Distribution functions, without the outer twentieths, which would squeeze the rest."""
    percent = np.arange(101)
    inner = (percent >= 5) & (percent <= 95)
    for kind, summary in kinds.items():
        values = np.array([np.nan if v is None else v for v in summary["quantiles"]], dtype=np.float64)
        shown = inner & np.isfinite(values)
        mark = _MARKS[kind]
        axes.plot(values[shown], percent[shown], color=mark.colour, linestyle=mark.line, gid=kind)
    axes.axvline(0, color=style.GREY, linewidth=0.7, zorder=0.5)
    axes.set_ylim(0, 100)
    axes.set_xlabel("signed distance to the boundary\n(feature units; right: inside the class)")
    axes.set_ylabel("samples below (%)")
    axes.grid(axis="both")


def _compared(axes: Axes, nearer: Mapping[str, Mapping[str, Any]]) -> None:
    kinds = [kind for kind in KINDS if kind in nearer]
    groups = style.ordered_groups(group for values in nearer.values() for group in values)
    spread = 0.7 / max(1, len(groups))
    for row, kind in enumerate(kinds):
        for position, group in enumerate(groups):
            estimate, low, high = interval(nearer[kind].get(group))
            if not np.isfinite(estimate):
                continue
            mark, y = style.group_mark(group), row + spread * (position - (len(groups) - 1) / 2)
            if np.isfinite(low) and np.isfinite(high):
                axes.plot([low, high], [y, y], color=mark.colour, linewidth=1.1)
            axes.plot(estimate, y, mark.marker, color=mark.colour, markersize=3.5, gid="nearer")
    axes.axvline(0.5, color=style.GREY, linewidth=0.7, zorder=0.5)
    axes.set_yticks(range(len(kinds)), ["than " + NAMES[kind].replace(" ", "\n", 1) for kind in kinds])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(kinds) - 0.45, -0.55)
    axes.set_xlim(0, 1)
    axes.set_xlabel("probability that a synthesised\nnegative is nearer")
    axes.grid(axis="x")
    handles = [
        Line2D([], [], color=mark.colour, marker=mark.marker, linestyle="", markersize=3.5, label=group)
        for group, mark in ((group, style.group_mark(group)) for group in groups)
    ]
    axes.legend(handles=handles, loc="lower left", handletextpad=0.1, borderaxespad=0.1, labelspacing=0.2, fontsize=6)


def _coefficients(axes: Axes, negative: Mapping[str, Any]) -> None:
    edges = np.asarray(negative["edges"], dtype=np.float64)
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    made = np.asarray(negative["negatives"], dtype=np.float64)
    if made.sum() > 0:
        axes.bar(middle, made / made.sum(), width * 0.92, color="#DDDDDD", gid="negatives")
    values = np.array([interval(value) for value in negative["share"]], dtype=np.float64)
    mark = _MARKS["synthesised"]
    for x, (estimate, low, high) in zip(middle, values, strict=True):
        if np.isfinite(low) and np.isfinite(high):
            axes.plot([x, x], [low, high], color=mark.colour, linewidth=1.1)
        if np.isfinite(estimate):
            axes.plot(x, estimate, mark.marker, color=mark.colour, markersize=3.8, gid="outside")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}"))
    axes.set_xlabel("share of the positive in the mix")
    axes.set_ylabel("on the other side (%)\ngrey: share of the negatives")


def _picture(
    below: Any, picture: Mapping[str, Any], embedding: Sequence[Sequence[float]] | None, embedding_name: str
) -> None:
    components = np.asarray(picture["components"], dtype=np.float64)
    first = np.zeros((len(components), 2))
    first[:, : min(2, components.shape[1])] = components[:, :2]
    kept = np.asarray(picture["variance"], dtype=np.float64)[:2].sum()
    panels = [(first, f"principal components ({100 * kept:.0f} % of variance)")]
    if embedding is not None:
        panels.append((np.asarray(embedding, dtype=np.float64), embedding_name))
    kind, share = np.asarray(picture["kind"]), np.asarray(picture["coefficient"], dtype=np.float64)
    for axes, (points, title) in zip(below.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name in ("real", "plain", "random", "synthesised"):
            mark = _MARKS[name]
            mine = kind == KINDS.index(name)
            for nearly in (False, True):
                these = mine & ((share > 0.9) == nearly) if name in ("synthesised", "random") else mine
                hollow = nearly and name in ("synthesised", "random")
                if name in ("synthesised", "random") or not nearly:
                    _points(axes, points[these], mark, hollow=hollow)
        axes.set(xticks=[], yticks=[])
        axes.set_title(title)
        axes.spines[:].set_visible(True)
        axes.spines[:].set_color(style.FAINT)
    below.supxlabel("hollow: mixed with more than 0.9 of the positive", fontsize=6.5)


def _points(axes: Axes, points: Any, mark: style.Mark, *, hollow: bool) -> None:
    face = {"facecolors": "none", "edgecolors": mark.colour, "linewidths": 0.6}
    filled = {"color": mark.colour, "linewidths": 0, "alpha": 0.7}
    axes.scatter(*points.T, s=11, marker=mark.marker, rasterized=True, gid="sample", **(face if hollow else filled))
