"""Class means of three or four classes on the unit sphere, from balance through a long tail to collapse."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from figures import style
from figures.globe import COLOURS, NAMES, draw_globe, together
from figures.gram_strip import ratio_text

Array = NDArray[np.float64]

_RANK = 1e-6  # eigenvalues above it count


@dataclass(frozen=True, eq=False)
class SpherePath:
    """Optimal class means as the imbalance ratio grows.

    Attributes:
        ratios: ``(F,)`` imbalance ratios, increasing.
        proportions: ``(F, C)`` class proportions, the most frequent class first; C is 3 or 4.
        grams: ``(F, C, C)`` cosines of certified optima.
        collapse: the ratio from which classes share a vector; None where there is none.
    """

    ratios: Array
    proportions: Array
    grams: Array
    collapse: float | None = None

    def __post_init__(self) -> None:
        shape = self.grams.shape
        if len(shape) != 3 or shape[1] != shape[2] or shape[1] not in (3, 4) or not len(self.grams):
            raise ValueError(f"Expected Gram matrices of three or four classes, (F, C, C), got shape {shape}.")
        if self.proportions.shape != shape[:2] or self.ratios.shape != shape[:1]:
            raise ValueError(
                f"Expected {shape[:1]} ratios and {shape[:2]} proportions, got {self.ratios.shape} and "
                f"{self.proportions.shape}."
            )

    @cached_property
    def vectors(self) -> Array:
        """``(F, C, 3)`` unit vectors."""
        return positions(self.grams)


def positions(grams: ArrayLike) -> Array:
    """``(F, C, 3)`` unit vectors with the given ``(F, C, C)`` cosines, turned so that they move smoothly.

    Class A points up in every frame; the second class starts in the half plane x > 0, y = 0, the third in y >= 0; from
    frame to frame the turn about the vertical is that of least squares (orthogonal Procrustes in the plane).
    """
    vectors = []
    before = None
    for gram in np.asarray(grams, dtype=np.float64):
        values, axes = np.linalg.eigh((gram + gram.T) / 2)
        points = (axes * np.sqrt(np.maximum(values, 0)))[:, :-4:-1]
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        basis = np.linalg.svd(points[:1])[2]  # its last two rows span the plane across class A
        level = points @ basis[1:].T
        if before is None:
            x = level[1] / (np.linalg.norm(level[1]) or 1.0)
            level = level @ np.array([x, [-x[1], x[0]]]).T
            level[:, 1] *= -1.0 if level[2, 1] < 0 else 1.0
        else:
            left, _, right = np.linalg.svd(level.T @ before)
            level = level @ left @ right
        # Antipodal means leave nothing to align with: the last level picture that had a direction serves on.
        before = level if before is None or np.linalg.norm(level) > 1e-3 else before
        vectors.append(np.column_stack([level, points @ points[0]]))
    return np.array(vectors)


@style.styled
def strip(path: SpherePath, *, shown: Sequence[int], caption: str = "") -> Figure:
    """Draw a globe for each of a few ratios, and the cosine of every pair of classes against R below.

    Args:
        path: the class means over R.
        shown: which of its ratios get a globe.
        caption: what is written below, for example the loss.

    Raises:
        ValueError: nothing to show.
    """
    if not len(shown):
        raise ValueError("Expected at least one ratio to show, got none.")
    side = min(style.DOUBLE / len(shown), 2.2)
    result = style.new_figure(style.DOUBLE, side + 2.2)
    upper, lower = result.subfigures(2, 1, height_ratios=[side + 0.45, 1.75])
    rows = upper.add_gridspec(2, len(shown), height_ratios=[side, 0.12])
    for column, index in enumerate(shown):
        globe = upper.add_subplot(rows[0, column])
        draw_globe(globe, path.vectors[: index + 1], path.proportions[index])
        at = path.collapse is not None and math.isclose(path.ratios[index], path.collapse, rel_tol=1e-9)
        globe.set_title(f"R = {'R* = ' if at else ''}{ratio_text(path.ratios[index])}", fontweight="bold", pad=1)
        _draw_shares(upper.add_subplot(rows[1, column]), path.proportions[index], side)
    curve = lower.subplots()
    _draw_cosines(curve, path, most_named=6)
    _mark(curve, path, shown)
    if caption:
        lower.supxlabel(caption, fontsize=6.5, color=style.GREY)
    return result


@style.styled
def frame(path: SpherePath, index: int, *, caption: str = "") -> Figure:
    """Draw one ratio for a talk: its globe, the class proportions, and where it stands on the cosine curves."""
    result = Figure(figsize=(4.8, 2.4))
    draw_globe(result.add_axes((0.0, 0.06, 0.5, 0.92)), path.vectors[: index + 1], path.proportions[index])
    result.text(0.54, 0.9, f"R = {ratio_text(path.ratios[index])}", fontsize=11, fontweight="bold", va="center")
    gram = path.grams[index]
    state = f"rank {(np.linalg.eigvalsh(gram) > _RANK).sum()}"
    state += ", collapsed" if len(together(gram)) < len(gram) else ""
    result.text(0.97, 0.9, state, fontsize=8, color=style.GREY, ha="right", va="center", gid="state")
    _draw_shares(result.add_axes((0.54, 0.76, 0.43, 0.075)), path.proportions[index], 2.0)
    curve = result.add_axes((0.61, 0.2, 0.36, 0.47))
    _draw_cosines(curve, path, most_named=3)  # more would cover the curves
    _mark(curve, path, [index])
    result.text(0.25, 0.035, caption, fontsize=5.5, color=style.GREY, ha="center", va="center")
    return result


def _draw_shares(axes: Axes, shares: Array, inches: float) -> None:
    """One bar, divided as the samples are among classes."""
    start = 0.0
    for k, share in enumerate(shares):
        axes.barh(0, share, left=start, color=COLOURS[k], edgecolor="white", linewidth=0.6, height=1)
        if share * inches > 0.12:
            text = f"{NAMES[k]} {100 * share:.0f} %" if share * inches > 0.31 else NAMES[k]
            axes.text(start + share / 2, 0, text, color="white", fontsize=5.5, ha="center", va="center_baseline")
        start += share
    axes.set(xlim=(0, 1), ylim=(-0.5, 0.5))
    axes.axis("off")


def _curves(path: SpherePath) -> list[tuple[list[tuple[int, int]], Array]]:
    """Pairs of classes whose cosines agree at every ratio, together, with the curve of their cosine."""
    found: list[tuple[list[tuple[int, int]], Array]] = []
    for pair in combinations(range(path.grams.shape[1]), 2):
        curve = path.grams[:, pair[0], pair[1]]
        same = next((pairs for pairs, other in found if np.allclose(curve, other, atol=1e-6)), None)
        if same is None:
            found.append(([pair], curve))
        else:
            same.append(pair)
    return found


def _draw_cosines(axes: Axes, path: SpherePath, most_named: int) -> None:
    """Cosines of all pairs of classes against R, each line in its two classes' colours."""
    curves = _curves(path)
    logs = np.log10(path.ratios)
    if path.collapse is not None and path.collapse < path.ratios[-1]:
        axes.axvspan(path.collapse, path.ratios[-1], color="#F1F1F1", zorder=0, linewidth=0)
        axes.axvline(path.collapse, color=style.GREY, linewidth=0.7, linestyle=(0, (3, 2)), zorder=1)
        axes.text(
            path.collapse,
            1.2,
            f"R* = {ratio_text(path.collapse)}",
            fontsize=6,
            color=style.GREY,
            ha="center",
            va="bottom",
        )
    handles = []
    for pairs, curve in curves:
        first, second = (COLOURS[k] for k in pairs[0])
        handles.append(
            (
                *axes.plot(path.ratios, curve, color=first, linewidth=1.6, zorder=2, gid="cosine"),
                *axes.plot(path.ratios, curve, color=second, linewidth=1.6, linestyle=(0, (4, 4)), zorder=2.1),
            )
        )
    names = [", ".join(f"{NAMES[i]}–{NAMES[j]}" for i, j in pairs) for pairs, _ in curves]
    if len(curves) <= most_named:
        place = "center right" if path.collapse is not None else "best"
        both = {tuple: HandlerTuple(ndivide=1)}
        axes.legend(handles, names, loc=place, fontsize=6, handlelength=2.2, handler_map=both)
    axes.set(xscale="log", xlim=(path.ratios[0], max(path.ratios[-1], 1.01 * path.ratios[0])), ylim=(-1.12, 1.15))
    axes.set(xlabel="imbalance ratio R", ylabel="cosine of class means", yticks=[-1, -0.5, 0, 0.5, 1])
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if np.ptp(logs) < 2.5 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: ratio_text(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _mark(axes: Axes, path: SpherePath, shown: Sequence[int]) -> None:
    """Show on the cosine curves which ratios are drawn."""
    for index in shown:
        axes.axvline(path.ratios[index], color=style.FAINT, linewidth=0.6, zorder=1)
        for _, curve in _curves(path):
            axes.plot(
                path.ratios[index], curve[index], "o", color=style.BLACK, markerfacecolor="white", markersize=3.6,
                clip_on=False, zorder=4, gid="shown",
            )  # fmt: skip


def frames(path: SpherePath, shown: Sequence[int], *, caption: str = "", dpi: int = 150) -> Iterator[NDArray[np.uint8]]:
    """``(height, width, 3)`` pixels of :func:`frame` for one ratio after the other."""
    for index in shown:
        with style.context():
            drawn = frame(path, index, caption=caption)
            drawn.set_dpi(dpi)
            canvas = FigureCanvasAgg(drawn)
            canvas.draw()
            yield np.asarray(canvas.buffer_rgba())[..., :3].copy()
