"""Gram matrices of class means, learned beside optimal beside their difference, on one scale."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from figures import style
from figures.numbers import interval, number

COLUMNS = ("learned", "optimal", "difference")
_MOST_PRINTED = 8  # classes whose entries still fit into the cells


@style.styled
def figure(
    models: Mapping[str, Mapping[str, Any]],
    *,
    class_names: Sequence[str],
    label: str = "inner product of class means",
) -> Figure:
    """Draw learned | optimal | learned − optimal, a row a model, one diverging scale centred at 0.

    Args:
        models: model -> ``{"learned": (K, K), "optimal": (K, K), "error": interval or None}``; an undefined entry
            (``None``/NaN, an absent class) is hatched; ``error`` (relative Frobenius) is printed where given.
        class_names: K names in the order of the matrices.
        label: what the entries are.

    Raises:
        ValueError: a matrix is not ``(K, K)``.
    """
    k = len(class_names)
    grams = {name: _matrices(name, data, k) for name, data in models.items()}
    finite = np.concatenate([m[np.isfinite(m)] for triple in grams.values() for m in triple] or [np.zeros(0)])
    largest = float(np.abs(finite).max(initial=0.0)) or 1.0
    norm = Normalize(-largest, largest)
    names_inches = 0.05 * max(len(style.shorten(name)) for name in class_names)
    side = (style.DOUBLE - names_inches - 1.25) / 3
    result = style.new_figure(style.DOUBLE, (side + 0.22) * len(models) + 0.3 + names_inches)
    grid = result.subplots(len(models), 3, squeeze=False, sharex=True, sharey=True)
    image = None
    for row, (name, data) in enumerate(models.items()):
        for column, matrix in enumerate(grams[name]):
            axes = grid[row, column]
            image = _heatmap(axes, matrix, norm)
            title = COLUMNS[column] if row == 0 else ""
            if column == 2 and data.get("error") is not None:
                title = f"{title}\nerror {number(*interval(data['error']))}".strip()
            axes.set_title(title, fontsize=6.5 if "error" in title else None)
        every = style.class_ticks(grid[row, 0].yaxis, class_names, 1.7)
        grid[row, 0].set_ylabel(name, fontsize=7.5, fontweight="bold")
    for axes in grid[-1]:
        every = style.class_ticks(axes.xaxis, class_names, 1.7, rotate=True)
    if every > 1:
        grid[-1, 1].set_xlabel(f"one class in {every} named")
    result.colorbar(image, ax=grid, label=label, aspect=20 * len(models), shrink=0.75, pad=0.015)
    return result


def _matrices(name: str, data: Mapping[str, Any], k: int) -> list[NDArray[np.float64]]:
    learned, optimal = (np.array(data[part], dtype=np.float64) for part in COLUMNS[:2])
    for part, matrix in zip(COLUMNS, (learned, optimal), strict=False):
        if matrix.shape != (k, k):
            raise ValueError(f"Expected a {part} Gram matrix of shape {(k, k)} for {name}, got {matrix.shape}.")
    return [learned, optimal, learned - optimal]


def _heatmap(axes: Axes, matrix: NDArray[np.float64], norm: Normalize) -> AxesImage:
    colours = matplotlib.colormaps[style.DIVERGING]
    image = axes.imshow(np.ma.masked_invalid(matrix), norm=norm, cmap=colours, interpolation="nearest")
    for i, j in np.argwhere(~np.isfinite(matrix)):
        style.absent_cell(axes, j, i)
    if len(matrix) <= _MOST_PRINTED:
        for (i, j), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                text = f"{round(value, 2) + 0.0:.2f}".replace("-", "−").replace("0.", ".", 1)  # + 0.0: no "−.00"
                colour = style.shade_text(*colours(norm(value))[:3])
                axes.text(j, i, text, ha="center", va="center", fontsize=5, color=colour)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image
