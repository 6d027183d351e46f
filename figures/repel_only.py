"""Where repelling alone leads: angles and collapse of every form, and its gradient beside that of other losses."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory

from figures import style

IMBALANCES = {
    "1": style.Mark(style.GREY, "o", ""),
    "10": style.Mark(style.ORANGE, "s", ""),
    "30": style.Mark(style.VERMILLION, "D", ""),
}
LOSSES = {
    "repel-only": style.Mark(style.BLACK, "o", "-"),
    "InfoNCE": style.Mark(style.BLUE, "s", "-"),
    "SupCon": style.Mark(style.SKY, "^", (0, (5, 1.2))),
    "NDCL": style.Mark(style.VERMILLION, "D", "-"),
    "NDCL, negatives alone": style.Mark(style.ORANGE, "v", (0, (1.2, 1))),
}
LINE = 0.155  # inches a row
SHIFT = 0.17  # of a row, between imbalances

Row = Mapping[str, Any]


@style.styled
def figure(rows: Sequence[Row], relation: Sequence[Row]) -> Figure:
    """Draw forms as rows (spread of cosines; distance of samples from their means) above gradients against closeness.

    Args:
        rows: with ``variant`` (the group of forms), ``loss``, ``anchors``, ``imbalance`` (``1``, ``10`` or ``30``),
            ``cosine_std`` (None: the class means vanish) and ``spread``.
        relation: with ``tau``, ``closeness`` of the batch to the simplex, ``loss`` (see :data:`LOSSES`), ``cosine`` of
            its gradient with repel-only's, ``own_class`` of its descent with attraction to the own class, and the
            ``_low`` and ``_high`` of both over batches.

    Raises:
        ValueError: no form, no relation, or an imbalance or a loss without a mark.
    """
    unknown = {row["imbalance"] for row in rows} - set(IMBALANCES) | {row["loss"] for row in relation} - set(LOSSES)
    if not rows or not relation or unknown:
        raise ValueError(f"Expected forms and gradients with known marks; got {sorted(unknown) or 'none'}.")
    groups: dict[str, dict[tuple[str, str], list[Row]]] = {}
    for row in rows:
        groups.setdefault(row["variant"], {}).setdefault((row["loss"], row["anchors"]), []).append(row)
    lines = sum(len(forms) + 1 for forms in groups.values())
    height = LINE * lines + 0.75
    result = style.new_figure(style.DOUBLE, height + 3.05)
    above, below = result.subfigures(2, 1, height_ratios=[height, 3.05])
    _forms(above, groups, lines)
    _relation(below, relation)
    return result


def _forms(part: Any, groups: Mapping[str, Mapping[tuple[str, str], Sequence[Row]]], lines: int) -> None:
    panels = part.subplots(1, 2, sharey=True)
    places, names = [], []
    line = 0
    for group, forms in groups.items():
        across = blended_transform_factory(panels[0].transAxes, panels[0].transData)
        panels[0].text(
            -0.02, line, group, transform=across, ha="right", va="center", fontweight="bold", fontsize=6.5, gid="group"
        )
        for axes in panels:
            axes.axhline(line - 0.55, color=style.FAINT, linewidth=0.4, zorder=0)
        for (loss, anchors), mine in forms.items():
            line += 1
            places.append(line)
            alike = sum(name == loss for name, _ in forms) == 1
            names.append(loss if alike else f"{loss}, anchors by {anchors}")
            for axes, value in zip(panels, ("cosine_std", "spread"), strict=True):
                _marks(axes, line, mine, value)
        line += 1
    for axes, label in zip(
        panels,
        ("std of cosines between class means", "distance of farthest sample from class mean"),
        strict=True,
    ):
        axes.set_xlabel(label)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(left=-0.03)
    panels[0].set_yticks(places, names)
    panels[0].set_ylim(lines - 0.4, -0.7)
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=mark.marker,
            color=mark.colour,
            markersize=3.6,
            label=f"imbalance factor {name}",
        )
        for name, mark in IMBALANCES.items()
    ]
    part.legend(handles=handles, loc="outside upper right", ncols=len(handles), handletextpad=0.1)


def _marks(axes: Axes, line: int, rows: Sequence[Row], value: str) -> None:
    for row in rows:
        mark = IMBALANCES[row["imbalance"]]
        up = line + SHIFT * (list(IMBALANCES).index(row["imbalance"]) - 1)
        if row[value] is None or not np.isfinite(row[value]):
            axes.text(
                0.0,
                up,
                "class means vanish",
                color=mark.colour,
                fontsize=5.8,
                fontstyle="italic",
                va="center",
                gid="gone",
            )
            continue
        axes.plot(
            row[value],
            up,
            marker=mark.marker,
            color=mark.colour,
            markersize=3.6,
            markeredgewidth=0,
            clip_on=False,
            gid="experiment",
        )


def _relation(part: Any, relation: Sequence[Row]) -> None:
    taus = list(dict.fromkeys(row["tau"] for row in relation))
    grid = part.subplots(2, len(taus), squeeze=False, sharex=True, sharey="row")
    for i, value in enumerate(("cosine", "own_class")):
        for j, tau in enumerate(taus):
            axes = grid[i, j]
            axes.grid(axis="y")
            axes.axhline(0, color=style.FAINT, linewidth=0.6, zorder=0)
            for name, mark in LOSSES.items():
                mine = [row for row in relation if (row["tau"], row["loss"]) == (tau, name)]
                if mine and not (value == "cosine" and name == "repel-only"):
                    _curve(axes, sorted(mine, key=lambda row: row["closeness"]), value, name, mark)
            axes.set_ylim(-1.05 if i == 0 else -0.4, 1.05)
            axes.set_yticks([-1, 0, 1] if i == 0 else [0, 0.5, 1])
            if i == 0:
                axes.set_title(f"τ = {float(tau):g}")
    grid[0, 0].set_ylabel("cosine of the gradient\nwith repel-only's")
    grid[1, 0].set_ylabel("cosine of the descent\nwith attraction")
    part.supxlabel("unit vectors, from random (0) to the simplex (1)", fontsize=7)
    handles, labels = grid[1, 0].get_legend_handles_labels()
    part.legend(handles, labels, loc="outside upper center", ncols=len(handles), handletextpad=0.4)


def _curve(axes: Axes, rows: Sequence[Row], value: str, name: str, mark: style.Mark) -> None:
    x = [row["closeness"] for row in rows]
    low, high = ([row[f"{value}_{end}"] for row in rows] for end in ("low", "high"))
    axes.fill_between(x, low, high, color=mark.colour, alpha=0.18, linewidth=0)
    axes.plot(
        x,
        [row[value] for row in rows],
        color=mark.colour,
        marker=mark.marker,
        linestyle=mark.line,
        linewidth=1.0,
        markersize=2.8,
        label=name,
        gid="gradient",
    )
