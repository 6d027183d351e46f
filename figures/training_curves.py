"""Training curves: the terms of the loss and the accuracies, all models in each panel."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from figures import style

TITLES = {
    "loss": "total loss",
    "loss/ce": "cross-entropy term",
    "loss/contrast": "contrastive term",
    "loss/alignment": "alignment term",
    "loss/duality": "self-duality term",
    "loss/unlabelled": "unlabelled term",
    "loss/fixclr": "FixCLR's term",
    "validation/balanced_accuracy": "validation, balanced",
    "validation/accuracy": "validation",
    "unlabelled/balanced_accuracy": "unlabelled, balanced",
    "target/accuracy": "target",
    "target/balanced_accuracy": "target, balanced",
    "target/many": "target, many-shot",
    "target/medium": "target, medium-shot",
    "target/few": "target, few-shot",
    "kept": "pseudo-labels kept",
}
_COLUMNS = 4
_SMOOTH_FROM = 120  # records; below, the raw line is the clearest


@style.styled
def figure(
    metrics: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    keys: Sequence[str] | None = None,
    titles: Mapping[str, str] | None = None,
) -> Figure:
    """Draw one panel a quantity: losses in the upper rows, accuracies below; models differ in colour and line.

    Args:
        metrics: model -> rows of ``metrics.jsonl``, each a dict with ``step`` and any of the keys; a key may be
            absent from a row or ``None``/NaN (that record is skipped).
        keys: what to draw; by default every known key (:data:`TITLES`) that some row holds.
        titles: panel titles by key, over :data:`TITLES`.

    Raises:
        ValueError: no row holds any of the keys.
    """
    titles = {**TITLES, **(titles or {})}
    found = {key for rows in metrics.values() for row in rows for key in row}
    chosen = [key for key in (keys if keys is not None else titles) if key in found]
    if not chosen:
        raise ValueError(f"Expected metrics rows holding any of {', '.join(keys or titles)}; found none.")
    losses = [key for key in chosen if _is_loss(key)]
    accuracies = [key for key in chosen if not _is_loss(key)]
    most = max(len(losses), len(accuracies))
    columns = most if most <= _COLUMNS + 1 else _COLUMNS
    rows = math.ceil(len(losses) / columns) + math.ceil(len(accuracies) / columns)
    width = style.DOUBLE if columns > 2 else style.SINGLE
    result = style.new_figure(width, 1.35 * rows + 0.5)
    grid = result.subplots(rows, columns, squeeze=False)
    first = math.ceil(len(losses) / columns)
    places = [*grid[:first].flat][: len(losses)] + [*grid[first:].flat][: len(accuracies)]
    marks = style.model_marks(metrics)
    smoothed = False
    last = max([1, *(row["step"] for rows in metrics.values() for row in rows)])
    for key, axes in zip(losses + accuracies, places, strict=True):
        for name, entries in metrics.items():
            steps, values = _series(entries, key)
            smoothed |= _draw(axes, steps, values, marks[name], name, smooth=_is_loss(key))
        axes.set_title(titles.get(key, key))
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, steps=style.STEPS))
        axes.set_xlim(-0.03 * last, 1.03 * last)
        if not _is_loss(key):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=""))
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=style.STEPS))
    for axes in set(grid.flat) - set(places):
        axes.set_visible(False)
    for key, axes in zip(losses + accuracies, places, strict=True):
        if axes in grid[:, 0]:
            axes.set_ylabel("loss (nats)" if _is_loss(key) else "share (%)" if key == "kept" else "accuracy (%)")
    note = " (bold: moving mean of a loss; faint: each record)" if smoothed else ""
    result.supxlabel(f"training step{note}", fontsize=7)
    handles = [Line2D([], [], color=m.colour, linestyle=m.line, label=name) for name, m in marks.items()]
    result.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return result


def _is_loss(key: str) -> bool:
    return key == "loss" or key.startswith("loss/")


def _series(rows: Sequence[Mapping[str, Any]], key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pairs = [(row["step"], row[key]) for row in rows if row.get(key) is not None]
    series = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    series = series[np.isfinite(series).all(axis=1)]
    return series[:, 0], series[:, 1]


def _draw(
    axes: Axes, steps: NDArray[np.float64], values: NDArray[np.float64], mark: style.Mark, name: str, *, smooth: bool
) -> bool:
    """Draw one curve; say whether it was smoothed. A model without the quantity leaves no line."""
    if steps.size == 0:
        return False
    if not smooth or steps.size < _SMOOTH_FROM:
        marker = mark.marker if steps.size <= 15 else None
        axes.plot(steps, values, color=mark.colour, linestyle=mark.line, marker=marker, markersize=3, label=name)
        return False
    window = steps.size // 40
    kernel = np.ones(window) / window
    axes.plot(steps, values, color=mark.colour, linewidth=0.4, alpha=0.3)
    centre = slice((window - 1) // 2, (window - 1) // 2 + steps.size - window + 1)
    axes.plot(steps[centre], np.convolve(values, kernel, "valid"), color=mark.colour, linestyle=mark.line, label=name)
    return True
