"""A contact sheet: a few images of every class in every domain, to be checked with one's eyes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from figures import style

_GAP = 0.06  # of one image's side, between neighbours


@style.styled
def figure(
    images: Mapping[str, Mapping[str, NDArray[np.uint8]]],
    *,
    class_names: Sequence[str] | None = None,
    samples: int = 6,
    most_classes: int = 20,
    width: float = style.DOUBLE,
) -> Figure:
    """Draw one row a class and one block of images a domain.

    Args:
        images: domain -> class -> ``(n, H, W, 3)`` uint8; ``n`` may be 0 and a class may be missing (hatched).
            Sizes may differ between cells.
        class_names: the classes to show, in order; by default all, in order of first appearance.
        samples: images a cell, at most.
        most_classes: with more classes than this, that many are shown, evenly spread, and the title says so.
        width: inches.

    Raises:
        ValueError: there is no domain, or a cell does not have shape ``(n, H, W, 3)``.
    """
    if not images:
        raise ValueError("Expected images of at least one domain, got none.")
    names = list(class_names) if class_names is not None else list(dict.fromkeys(k for d in images.values() for k in d))
    shown = names
    if len(names) > most_classes:
        shown = [names[i] for i in np.linspace(0, len(names) - 1, most_classes).round().astype(int)]
    block = samples * (1 + _GAP)
    label_width = 0.05 * min(16, max(map(len, shown))) + 0.15
    height = (width - label_width) / (len(images) * (block + 0.4)) * (1 + _GAP) * len(shown) + 0.35
    result = style.new_figure(width, height)
    panels = result.subplots(1, len(images), squeeze=False)[0]
    for axes, (domain, cells) in zip(panels, images.items(), strict=True):
        for row, name in enumerate(shown):
            cell = np.asarray(cells[name])[:samples] if name in cells else np.zeros((0, 1, 1, 3), np.uint8)
            if cell.ndim != 4 or cell.shape[-1] != 3:
                raise ValueError(f"Expected images of shape (n, H, W, 3) for {domain}, class {name}, got {cell.shape}.")
            for column, image in enumerate(cell):
                left, top = column * (1 + _GAP), row * (1 + _GAP)
                axes.imshow(image, extent=(left, left + 1, top + 1, top), interpolation="nearest")
            if len(cell) == 0:
                style.absent_cell(axes, block / 2, row * (1 + _GAP) + 0.5, width=block - _GAP, height=1.0)
        axes.set(xlim=(0, block - _GAP), ylim=(len(shown) * (1 + _GAP) - _GAP, 0), aspect="equal", title=domain)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    panels[0].set_yticks([row * (1 + _GAP) + 0.5 for row in range(len(shown))], [style.shorten(k) for k in shown])
    panels[0].tick_params(length=0, pad=3)
    if len(shown) < len(names):
        result.supxlabel(f"{len(shown)} of {len(names)} classes", fontsize=6.5, color=style.GREY)
    return result
