"""Confidence against the signed distance to the decision boundary."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from figures import style
from figures.numbers import interval, number

UNITS = {
    "feature space": "signed distance in feature space (feature units)",
    "input space": "signed distance in input space (L2 norm of the change)",
}


def by_space(verdicts: Iterable[Mapping[str, Any]], shots: Sequence[str] | None = None) -> dict[str, Mapping[str, Any]]:
    """What :func:`figure` draws of one model, a part a space, from the check's verdicts as JSON.

    Args:
        verdicts: with ``check``, ``subject`` and ``details``; those of other checks are passed over.
        shots: shot group of each class, or None.
    """
    parts: dict[str, dict[str, Any]] = {}
    for verdict in verdicts:
        details = verdict["details"]
        if verdict["check"] != "confidence_boundary" or "space" not in details:
            continue
        part = parts.setdefault(details["space"], {})
        if "halves" in details:
            part["half"] = details["halves"]["all"]["probability"]
        if "scatter" in details:
            points = details["scatter"]
            part |= {name: points[name] for name in ("confidence", "distance")}
            part["groups"] = None if shots is None else [shots[k] for k in points["label"]]
            part["spearman"] = details["correlations"]["signed"]["all"]
    return {space: part for space, part in parts.items() if "confidence" in part}


@style.styled
def figure(
    models: Mapping[str, Mapping[str, Mapping[str, Any]]],
    *,
    most_points: int = 1500,
    seed: int = 0,
    label: str | Mapping[str, str] = "signed distance to the boundary (feature units)",
) -> Figure:
    """Scatter p_y against the signed boundary distance, a row a model, a column a part (source, target; or a space).

    Args:
        models: model -> part -> ``{"confidence": (n,), "distance": (n,), "groups": n shot groups or None,
            "spearman": interval or None}``, and where known ``"half"``, the probability that the less confident half
            is nearer; distances are positive on the right side of the boundary.
        most_points: a panel draws at most this many points, drawn at random; the Spearman printed is the caller's,
            of all samples, and so is n where the interval has it.
        seed: of that draw.
        label: the horizontal axis; one for each part where parts have different units (:data:`UNITS` for spaces).

    Raises:
        ValueError: arrays of one panel differ in length.
    """
    parts = list(dict.fromkeys(part for data in models.values() for part in data))
    width = style.SINGLE if len(parts) == 1 else style.DOUBLE
    result = style.new_figure(width, 1.75 * len(models) + 0.55)
    one = isinstance(label, str)
    grid = result.subplots(len(models), len(parts), squeeze=False, sharex=True if one else "col", sharey=True)
    present: set[str] = set()
    for row, (name, data) in enumerate(models.items()):
        for column, part in enumerate(parts):
            axes = grid[row, column]
            if part in data and len(data[part]["confidence"]):
                present |= _scatter(axes, data[part], f"{name}, {part}", most_points, seed)
                axes.axvline(0, color=style.GREY, linewidth=0.7, zorder=0.5)
            else:
                style.empty(axes)
            axes.set_title(f"{name}, {part}")
            axes.set_ylim(-0.03, 1.03)
        grid[row, 0].set_ylabel("confidence in the true class")
    if one:
        result.supxlabel(label, fontsize=7)
    else:
        for axes, part in zip(grid[-1], parts, strict=True):
            axes.set_xlabel(label.get(part, part))
    handles = [
        Line2D([], [], color=m.colour, marker=m.marker, linestyle="", label=f"{group}-shot")
        for group, m in ((group, style.group_mark(group)) for group in style.ordered_groups(present))
    ]
    if handles:
        result.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return result


def _scatter(axes: Axes, data: Mapping[str, Any], where: str, most: int, seed: int) -> set[str]:
    confidence = np.array(data["confidence"], dtype=np.float64)
    distance = np.array(data["distance"], dtype=np.float64)
    given = data.get("groups")
    groups = np.asarray(given if given is not None else [""] * confidence.size)
    if not confidence.shape == distance.shape == groups.shape:
        raise ValueError(
            f"Expected equally many confidences, distances and groups for {where}, "
            f"got {confidence.size}, {distance.size}, {groups.size}."
        )
    drawn = np.arange(confidence.size)
    if drawn.size > most:
        drawn = np.sort(np.random.default_rng(seed).choice(drawn.size, most, replace=False))
    for group in style.ordered_groups(groups.tolist()):
        mine = drawn[groups[drawn] == group]
        mark = style.group_mark(group)
        axes.scatter(
            distance[mine],
            confidence[mine],
            s=7,
            marker=mark.marker,
            color=mark.colour,
            alpha=0.55,
            linewidths=0,
            rasterized=True,
            label=group,
        )
    if data.get("spearman") is not None:
        half = data.get("half")
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        given_n = data["spearman"].get("n") if isinstance(data["spearman"], Mapping) else None
        text = f"Spearman {number(*interval(data['spearman']))}\n"
        text += f"P(low nearer) {number(*interval(half))}\n" if half is not None else ""
        text += f"n = {given_n or confidence.size}"
        axes.text(0.975, 0.05, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=6.5, bbox=box)
    return set(groups.tolist()) - {""}
