"""Which term predicts generalization: a forest plot of rank correlations, one panel an outcome."""

from collections import Counter
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.numbers import interval

ROW = 0.145  # inches
LONGEST = 58  # characters of a label
WRAP = 120  # characters of a line at the foot
WITHIN = style.Mark(style.BLUE, "o", "-")
POOLED = style.Mark(style.ORANGE, "D", "-")
Entry = Mapping[str, Any]


@style.styled
def figure(result: Mapping[str, Any]) -> Figure:
    """Draw a row a term: its correlation inside clusters with an interval, over all runs, and on every domain alone.

    Terms that take target labels (oracles) stand in a block of their own; those without a correlation are counted
    below. A filled circle is significant after Holm's correction over the terms of its block; a dagger marks a term
    that goes with the outcome by construction.

    Args:
        result: a :class:`geometry.bound.predictive.Predictive` as plain values.

    Raises:
        ValueError: no association at all.
    """
    entries: Sequence[Entry] = result["associations"]
    if not entries:
        raise ValueError("Expected at least one association, got none.")
    outcomes = list(dict.fromkeys(entry["outcome"] for entry in entries))
    blocks = _blocks(entries, outcomes)
    rows = _rows(blocks)
    foot = _foot(result, outcomes[-1])
    drawn = style.new_figure(style.DOUBLE, ROW * (len(rows) + 1) + 0.9 + 0.1 * foot.count("\n"))
    panels = drawn.subplots(1, len(outcomes), sharey=True, squeeze=False)[0]
    by_key = {(entry["outcome"], entry["term"]): entry for entry in entries}
    for axes, outcome in zip(panels, outcomes, strict=True):
        for y, (term, _) in enumerate(rows):
            if term is None:
                axes.axhline(y, color=style.FAINT, linewidth=0.5, zorder=0)
            else:
                _draw_row(axes, y, by_key[outcome, term], 1.0 - result["level"])
        axes.axvline(0, color=style.GREY, linewidth=0.7, zorder=0.5)
        axes.set(xlim=(-1.05, 1.05), ylim=(len(rows) - 0.4, -0.7), xticks=[-1, -0.5, 0, 0.5, 1])
        axes.set_title(outcome)
        axes.set_xlabel("Spearman's correlation")
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    panels[0].set_yticks(range(len(rows)), [text for _, text in rows])
    for label, (term, _) in zip(panels[0].get_yticklabels(), rows, strict=True):
        label.set_fontsize(5.5)
        if term is None:
            label.set_fontweight("bold")
    drawn.legend(handles=_handles(result), loc="outside upper center", ncols=5, handletextpad=0.4, columnspacing=1.2)
    drawn.supxlabel(foot, fontsize=6, color=style.GREY)
    return drawn


def _blocks(entries: Sequence[Entry], outcomes: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Terms with their labels: predictors, then oracles, strongest first on the last outcome (balanced error)."""
    names = {"No target labels needed": False, "Oracles: need target labels": True}
    defined = {entry["term"] for entry in entries if np.isfinite(interval(entry["within"])[0])}
    blocks: dict[str, list[tuple[str, str]]] = {}
    for title, oracle in names.items():
        mine = [e for e in entries if e["outcome"] == outcomes[-1] and (e["needs"] == "target labels") is oracle]
        mine = [entry for entry in mine if entry["term"] in defined and not entry["same_as"]]
        mine.sort(key=lambda entry: -np.nan_to_num(abs(interval(entry["within"])[0]), nan=-1.0))
        if mine:
            blocks[title] = [(e["term"], style.shorten(e["term"], LONGEST) + " †" * bool(e["trivial"])) for e in mine]
    return blocks


def _foot(result: Mapping[str, Any], outcome: str) -> str:
    """Which runs, and how many terms have no row, by reason."""
    mine = [entry for entry in result["associations"] if entry["outcome"] == outcome]
    same = sum(bool(entry["same_as"]) for entry in mine)
    undefined = [e for e in mine if not e["same_as"] and not np.isfinite(interval(e["within"])[0])]
    counts = Counter(entry["note"] or "undefined" for entry in undefined)
    absent = [f"{count} {reason}" for reason, count in counts.items()]
    absent += [f"{same} that rank the runs as another does"] if same else []
    text = [f"{result['runs']} runs, held out: {', '.join(result['held_out'])}"]
    text += [f"terms without a row: {', '.join(absent)}"] if absent else []
    return "\n".join(line for part in text for line in wrap(part, WRAP))


def _rows(blocks: Mapping[str, Sequence[tuple[str, str]]]) -> list[tuple[str | None, str]]:
    rows: list[tuple[str | None, str]] = []
    for title, terms in blocks.items():
        rows += [(None, title), *terms]
    return rows


def _draw_row(axes: Axes, y: int, entry: Entry, alpha: float) -> None:
    estimate, low, high = interval(entry["within"])
    alone = [value for value in entry["domains"].values() if value is not None and np.isfinite(value)]
    axes.plot(alone, [y] * len(alone), "|", color=style.GREY, markersize=4, markeredgewidth=0.7, gid="domain")
    pooled, _, _ = interval(entry["pooled"])
    if np.isfinite(pooled):
        axes.plot(pooled, y, POOLED.marker, color=POOLED.colour, markersize=3, zorder=2.5, gid="pooled")
    if not np.isfinite(estimate):
        return
    if np.isfinite(low) and np.isfinite(high):
        axes.plot([low, high], [y, y], color=WITHIN.colour, linewidth=1.1, gid="interval")
    p = entry["p_holm"]
    face = WITHIN.colour if p is not None and p <= alpha else "white"
    axes.plot(
        estimate, y, WITHIN.marker, color=WITHIN.colour, markerfacecolor=face, markersize=4, zorder=3, gid="within"
    )


def _handles(result: Mapping[str, Any]) -> list[Line2D]:
    level = f"{100 * result['level']:.0f} %"
    blue = {"color": WITHIN.colour, "marker": WITHIN.marker, "markersize": 4}
    return [
        Line2D(
            [],
            [],
            **blue,
            linewidth=1.1,
            markerfacecolor="white",
            label=f"inside {_clusters(result)}, {level} interval",
        ),
        Line2D([], [], **blue, linestyle="", label="significant (Holm)"),
        Line2D([], [], color=style.GREY, marker="|", linestyle="", markersize=5, label="one held-out domain"),
        Line2D([], [], color=POOLED.colour, marker=POOLED.marker, linestyle="", markersize=3, label="all runs pooled"),
        Line2D([], [], linestyle="", label="† by construction"),
    ]


def _clusters(result: Mapping[str, Any]) -> str:
    return "a domain and seed" if "seed" in result["clusters"] else "a domain"
