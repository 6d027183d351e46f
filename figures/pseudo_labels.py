"""Pseudo-labels of unlabelled training samples: how many are right and kept, and which classes they name."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from figures import style
from figures.numbers import interval

RATES = {
    "accuracy": "right (% of the class)",
    "kept": "kept (% of the class)",
    "kept_accuracy": "right (% of the kept)",
}
WIDE = 12  # classes from which one model wants a whole page's width
NAMED = {"marker": "o", "linestyle": "", "color": style.GREEN}
KEPT = {"marker": "^", "linestyle": "", "color": style.VERMILLION, "markerfacecolor": "none"}
_ABSENT = "×"


@style.styled
def figure(
    models: Mapping[str, Mapping[str, Any]],
    *,
    class_names: Sequence[str],
    counts: Sequence[int] | None = None,
    shots: Sequence[str] | None = None,
) -> Figure:
    """Draw the shares that are right, kept, and right of the kept for each class, and which classes are named.

    A column a model; classes from the most to the least training images, coloured by shot group, with the mean over
    each group's classes as a line. The lowest panel sets each class's share of the pseudo-labels, all and kept, beside
    its share of the samples; ``×`` marks a class of which nothing can be said.

    Args:
        models: name -> a report of :mod:`geometry.pseudo_labels` as plain values: ``threshold``, ``groups``,
            ``classes``.
        class_names: K names.
        counts: ``(K,)`` training images of each class, which order them; by default its share of the samples does.
        shots: K shot groups, or None.

    Raises:
        ValueError: no model, or lengths differ from K.
    """
    k = len(class_names)
    if not models or any(len(given) != k for given in (counts, shots) if given is not None):
        raise ValueError(f"Expected models, and counts and shot groups of {k} classes.")
    first = next(iter(models.values()))
    size = [first["classes"][name]["n"] for name in class_names] if counts is None else counts
    order = [class_names[i] for i in np.argsort(-np.asarray(size, dtype=np.float64), kind="stable")]
    group = dict(zip(class_names, shots if shots is not None else [""] * k, strict=True))
    shares = [interval(row["true_share"])[0] for report in models.values() for row in report["classes"].values()]
    smallest = min((share for share in shares if share > 0), default=0.01)
    width = style.SINGLE if len(models) == 1 and k < WIDE else style.DOUBLE
    result = style.new_figure(width, 5.6)
    grid = result.subplots(4, len(models), squeeze=False, sharex=True, sharey="row", height_ratios=[1, 1, 1, 1.5])
    for column, (name, report) in enumerate(models.items()):
        rows = [report["classes"][each] for each in order]
        for axes, rate in zip(grid[:3, column], RATES, strict=True):
            _rates(axes, [interval(row[rate])[0] for row in rows], [group[each] for each in order], report, rate)
        _shares(grid[3, column], rows)
        _share_axis(grid[3, column], smallest)
        grid[0, column].set_title(style.shorten(name, 40))
        every = style.class_ticks(grid[3, column].xaxis, order, width / len(models) - 0.6, rotate=True)
        named = "class, most training images first" if counts is not None else "class, most samples first"
        grid[3, column].set_xlabel(named if every == 1 else f"{named} (one in {every} named)")
        grid[3, column].set_xlim(-0.6, k - 0.4)
    for axes, label in zip(grid[:, 0], (*RATES.values(), "share of all (%, log)"), strict=True):
        axes.set_ylabel(label)
    _legend(result, [g for g in group.values() if g], few_columns=width == style.SINGLE)
    return result


def _rates(axes: Axes, values: Sequence[float], groups: Sequence[str], report: Mapping[str, Any], rate: str) -> None:
    for x, (value, group) in enumerate(zip(values, groups, strict=True)):
        mark = style.group_mark(group)
        if not np.isfinite(value):
            axes.text(x, 0.03, _ABSENT, ha="center", va="bottom", color=style.GREY, fontsize=6, gid="absent")
            continue
        axes.plot([x, x], [0, value], color=mark.colour, linewidth=0.7, alpha=0.6, zorder=1)
        axes.plot(x, value, mark.marker, color=mark.colour, markersize=3.8, gid=rate, clip_on=False)
    for group in style.ordered_groups(group for group in groups if group):
        mean = interval(report["groups"].get(group, {}).get(rate))[0]
        where = [x for x, each in enumerate(groups) if each == group]
        # A group is one stretch where shot groups follow the order of the classes, several where they do not.
        for start, end in _stretches(where):
            if np.isfinite(mean):
                mark = style.group_mark(group)
                axes.plot(
                    [start - 0.4, end + 0.4], [mean, mean], color=mark.colour, linewidth=1.0, alpha=0.8, gid="mean"
                )
    _percent(axes)
    axes.set_ylim(-0.03, 1.03)


def _shares(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    shares = np.array(
        [[interval(row[f"{of}_share"])[0] for of in ("true", "predicted", "kept_predicted")] for row in rows]
    )
    for x, (true, named, kept) in enumerate(shares):
        if np.isfinite(true):
            axes.plot(x, true, "_", color=style.BLACK, markersize=7, markeredgewidth=1.3, gid="true")
        if np.isfinite(true) and np.isfinite(named):
            axes.plot([x, x], [true, named], color=style.FAINT, linewidth=0.8, zorder=1)
        for value, look, gid in ((named, NAMED, "named"), (kept, KEPT, "named and kept")):
            if np.isfinite(value):
                axes.plot(x, value, **look, markersize=3.6, markeredgewidth=0.8, gid=gid)


def _share_axis(axes: Axes, smallest: float) -> None:
    """Logarithmic down to the smallest share of samples, for rare classes are the point, and linear below, to 0."""
    axes.set_yscale("symlog", linthresh=smallest, linscale=0.4)
    decades = 10.0 ** np.arange(0, np.floor(np.log10(smallest)) - 1, -1)
    axes.yaxis.set_major_locator(FixedLocator([0.0, *decades[decades >= smallest]]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}"))
    axes.set_ylim(-smallest / 3, 1.15)
    axes.grid(axis="y")


def _percent(axes: Axes) -> None:
    axes.grid(axis="y")
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=style.STEPS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}"))


def _stretches(positions: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of every run of neighbours.

    >>> _stretches([0, 1, 2, 5, 7, 8])
    [(0, 2), (5, 5), (7, 8)]
    """
    starts = [x for x in positions if x - 1 not in positions]
    ends = [x for x in positions if x + 1 not in positions]
    return list(zip(starts, ends, strict=True))


def _legend(figure: Figure, groups: Sequence[str], *, few_columns: bool) -> None:
    handles = [
        Line2D([], [], color=mark.colour, marker=mark.marker, linestyle="-", linewidth=1.0, label=f"{group}-shot")
        for group, mark in ((group, style.group_mark(group)) for group in style.ordered_groups(groups))
    ]
    handles += [
        Line2D([], [], color=style.BLACK, marker="_", linestyle="", markersize=7, label="samples"),
        Line2D([], [], **NAMED, label="pseudo-labels"),
        Line2D([], [], **KEPT, label="kept pseudo-labels"),
    ]
    columns = 3 if few_columns else len(handles)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, columnspacing=1.0, handletextpad=0.3)
