"""Optimal Gram matrices as a tail grows: a column an imbalance ratio, a row a loss or temperature, one scale."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from figures import style
from figures.numbers import number

_MOST_PRINTED = 5  # classes whose cosines still fit into the cells
_BARS = 0.36  # inches of the row of proportions
_TITLES = 0.22  # inches above each heat map for its two numbers
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@style.styled
def figure(
    rows: Mapping[str, Sequence[Mapping[str, Any] | None]],
    *,
    ratios: Sequence[float],
    proportions: ArrayLike,
    caption: str = "",
) -> Figure:
    """Draw a heat map of cosines for every row and ratio, with the class proportions above each column.

    Args:
        rows: label -> for each of the F ratios ``{"gram": (C, C), "rank": r, "distinct": n}``, or None where there is
            no certified optimum (hatched).
        ratios: F imbalance ratios.
        proportions: ``(F, C)`` class proportions.
        caption: what is written below, for example the certificate.

    Raises:
        ValueError: numbers of ratios, proportions and cells disagree, or a Gram matrix is not ``(C, C)``.
    """
    tails = np.asarray(proportions, dtype=np.float64)
    if tails.ndim != 2 or len(tails) != len(ratios):
        raise ValueError(f"Expected proportions for {len(ratios)} ratios, got an array of shape {tails.shape}.")
    columns = len(ratios)
    side = min(1.5, (style.DOUBLE - 0.75) / columns - 0.06)
    width = max(style.SINGLE, columns * (side + 0.06) + 0.75)
    height = _BARS + 0.2 + len(rows) * (side + _TITLES) + (0.25 if caption else 0.05)
    result = style.new_figure(width, height)
    heights = [_BARS, *[side] * len(rows)]
    grid = result.subplots(len(rows) + 1, columns, squeeze=False, height_ratios=heights)
    for column, (axes, ratio) in enumerate(zip(grid[0], ratios, strict=True)):
        _bars(axes, tails[column])
        axes.set_title(f"R = {ratio_text(ratio)}", fontsize=7.5, fontweight="bold", pad=3)
    grid[0, 0].set_ylabel("share of\nsamples", fontsize=6)
    norm = Normalize(-1.0, 1.0)
    for row, (label, cells) in enumerate(rows.items(), start=1):
        if len(cells) != columns:
            raise ValueError(f"Expected {columns} optima for {label}, got {len(cells)}.")
        for axes, cell in zip(grid[row], cells, strict=True):
            _cell(axes, cell, tails.shape[1], norm)
        grid[row, 0].set_ylabel(label, fontsize=7)
    scale = ScalarMappable(norm, style.DIVERGING)
    bar = result.colorbar(
        scale, ax=grid[1:], aspect=16 * len(rows), shrink=0.85, pad=0.015, ticks=[-1, -0.5, 0, 0.5, 1]
    )
    bar.set_label("cosine of class means")
    bar.outline.set_visible(False)
    if caption:
        result.supxlabel(caption, fontsize=6.5, color=style.GREY)
    return result


def ratio_text(ratio: float) -> str:
    """An imbalance ratio for people: three digits, or a power of ten from 10⁴ on.

    >>> ratio_text(1), ratio_text(6.0344), ratio_text(1e4), ratio_text(23456)
    ('1', '6.03', '10⁴', '2.3 × 10⁴')
    """
    if ratio < 9995:
        return number(float(f"{ratio:.3g}"))
    mantissa, exponent = f"{ratio:.1e}".split("e+")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPT)
    return power if mantissa == "1.0" else f"{mantissa} × {power}"


def _bars(axes: Axes, shares: NDArray[np.float64]) -> None:
    """Class proportions over the columns of the heat map below, each strip on its own scale from zero."""
    axes.bar(np.arange(len(shares)), shares, width=0.8, color=style.GREY)
    axes.set(xlim=(-0.5, len(shares) - 0.5), ylim=(0, 1.05 * shares.max()), xticks=[], yticks=[])
    axes.spines[["left", "bottom"]].set_visible(False)


def _cell(axes: Axes, cell: Mapping[str, Any] | None, classes: int, norm: Normalize) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if cell is None:
        axes.set(xlim=(-0.5, classes - 0.5), ylim=(classes - 0.5, -0.5), aspect="equal")
        style.absent_cell(axes, (classes - 1) / 2, (classes - 1) / 2, width=classes, height=classes)
        style.empty(axes, "not certified")
        return
    gram = np.asarray(cell["gram"], dtype=np.float64)
    if gram.shape != (classes, classes):
        raise ValueError(f"Expected a Gram matrix of shape {(classes, classes)}, got {gram.shape}.")
    colours = matplotlib.colormaps[style.DIVERGING]
    axes.imshow(gram, norm=norm, cmap=colours, interpolation="nearest")
    axes.set_title(f"rank {cell['rank']}, {cell['distinct']} distinct", fontsize=6.5, pad=2.5)
    if classes <= _MOST_PRINTED:
        for (i, j), value in np.ndenumerate(gram):
            text = f"{round(value, 2) + 0.0:.2f}".replace("-", "−").replace("0.", ".", 1)
            colour = style.shade_text(*colours(norm(value))[:3])
            axes.text(j, i, text, ha="center", va="center", fontsize=5, color=colour)
