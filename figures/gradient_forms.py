"""Does a contrastive loss amplify minorities? Few over many for every form, its zeros, and its course in training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from figures import style
from figures.numbers import interval

PLAIN = style.Mark(style.GREY, "o", "-")
EQUAL = style.Mark(style.VERMILLION, "s", "-")
CLOSED = style.Mark(style.BLACK, "|", "")
_MOST_CURVES = 4


@style.styled
def figure(forms: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw a row a form: few over many with counts as they are and made equal, and how many anchors get no gradient.

    A third panel follows few over many along training where a form's details hold that.

    Args:
        forms: form -> the ``details`` of its verdict: ``amplification`` and ``equal_counts.ratio`` intervals,
            ``groups.few`` and ``groups.many`` with ``zero_fraction`` (an interval), ``zero_alone`` and ``repulsion``;
            optionally ``training`` with ``step`` and ``amplification``.

    Raises:
        ValueError: there is no form.
    """
    if not forms:
        raise ValueError("Expected at least one form of a contrastive loss, got none.")
    courses = {name: details["training"] for name, details in forms.items() if details.get("training")}
    result = style.new_figure(style.DOUBLE, max(2.2, 0.22 * len(forms) + 0.95) + (1.9 if courses else 0.0))
    above = result
    if courses:
        above, below = result.subfigures(2, 1, height_ratios=[max(1.25, 0.22 * len(forms)), 1.55])
        _training(below.subplots(), courses)
    ratios, zeros = above.subplots(1, 2, sharey=True, width_ratios=[1.9, 1])
    _ratios(ratios, forms)
    for row, details in enumerate(forms.values()):
        _zeros(zeros, row, details["groups"])
    ratios.set_yticks(range(len(forms)), list(forms))
    ratios.set_ylim(len(forms) - 0.4, -0.6)
    zeros.set_xlim(0, 1)
    zeros.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}"))
    zeros.set_xlabel("anchors of exactly zero gradient (%)")
    for axes in (ratios, zeros):
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
    handles = [
        Line2D([], [], color=PLAIN.colour, marker=PLAIN.marker, markerfacecolor="white", label="counts as they are"),
        Line2D([], [], color=EQUAL.colour, marker=EQUAL.marker, label="equal counts in the batch"),
        Line2D([], [], color=CLOSED.colour, marker="|", linestyle="", markersize=8, label="repulsion, closed form"),
        Patch(color=style.group_mark("few").colour, label="few: alone in class"),
        Patch(facecolor="white", edgecolor=style.group_mark("few").colour, hatch="////", label="few: other reasons"),
        Patch(color=style.group_mark("many").colour, label="many"),
    ]
    above.legend(
        handles=handles, loc="outside upper center", ncols=6, columnspacing=0.8, handletextpad=0.3, handlelength=1.4
    )
    return result


def _ratios(axes: Axes, forms: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [
        (interval(d["amplification"]), interval((d.get("equal_counts") or {}).get("ratio")), _closed(d["groups"]))
        for d in forms.values()
    ]
    known = [v for plain, equal, closed in rows for v in (*plain, *equal, closed) if np.isfinite(v) and v > 0]
    low, high = (min([*known, 0.5]) / 1.6, max([*known, 2.0]) * 1.6)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.axvline(1, color=style.GREY, linewidth=0.7, zorder=0.5)
    for row, (plain, equal, closed) in enumerate(rows):
        _dot(axes, row - 0.17, plain, PLAIN, low, hollow=True)
        _dot(axes, row + 0.17, equal, EQUAL, low, hollow=False)
        if np.isfinite(closed) and closed > 0:
            axes.plot(closed, row - 0.17, "|", color=CLOSED.colour, markersize=8, gid="closed")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.set_xlabel("gradient of a few-shot anchor over that of a many-shot anchor")


def _dot(
    axes: Axes, y: float, value: tuple[float, float, float], mark: style.Mark, floor: float, *, hollow: bool
) -> None:
    estimate, low, high = value
    if not np.isfinite(estimate):
        return
    if estimate <= 0:  # off a logarithmic axis
        axes.annotate("◀ 0", (floor, y), ha="left", va="center", color=mark.colour, fontsize=6)
        return
    if np.isfinite(low) and np.isfinite(high):
        axes.plot([max(low, floor), high], [y, y], color=mark.colour, linewidth=1.1)
    face = "white" if hollow else mark.colour
    axes.plot(estimate, y, mark.marker, color=mark.colour, markerfacecolor=face, markersize=3.6, gid="ratio")


def _closed(groups: Mapping[str, Mapping[str, Any]]) -> float:
    few, many = (groups[name].get("repulsion") for name in ("few", "many"))
    return float(few) / float(many) if few is not None and many else float("nan")


def _zeros(axes: Axes, row: int, groups: Mapping[str, Mapping[str, Any]]) -> None:
    few = interval(groups["few"]["zero_fraction"])[0]
    many = interval(groups["many"]["zero_fraction"])[0]
    colour = style.group_mark("few").colour
    if np.isfinite(few) and few > 0:
        alone = few * float(groups["few"].get("zero_alone") or 0.0)
        axes.barh(row - 0.14, alone, 0.26, color=colour, gid="alone")
        axes.barh(row - 0.14, few - alone, 0.26, left=alone, facecolor="white", edgecolor=colour, hatch="////")
    if np.isfinite(many) and many > 0:
        axes.barh(row + 0.16, many, 0.26, color=style.group_mark("many").colour)


def _training(axes: Axes, courses: Mapping[str, Mapping[str, Any]]) -> None:
    shown = list(courses)[:_MOST_CURVES]
    marks = style.model_marks(shown)
    for name in shown:
        steps = np.asarray(courses[name]["step"], dtype=np.float64)
        values = np.array([interval(value) for value in courses[name]["amplification"]], dtype=np.float64)
        values[values <= 0] = np.nan
        mark = marks[name]
        axes.fill_between(steps, values[:, 1], values[:, 2], color=mark.colour, alpha=0.15, linewidth=0)
        axes.plot(
            steps, values[:, 0], color=mark.colour, marker=mark.marker, linestyle=mark.line, label=name, gid="course"
        )
    axes.axhline(1, color=style.GREY, linewidth=0.7, zorder=0.5)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(lambda *_: "")
    axes.set_xlabel("training step")
    axes.set_ylabel("few over many,\ncounts as they are")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
