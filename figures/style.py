"""One look for every figure: widths, type, colour-blind-safe colours, and how a figure reaches the disk.

Figures are made through :class:`matplotlib.figure.Figure`, never pyplot, so no window system, no global
state and no LaTeX is involved. Colours are those of Okabe and Ito (2008); what a colour tells, a marker
or a line style tells too.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from figures._atomic import replacing

SINGLE = 3.25
DOUBLE = 6.75

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILLION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY, FAINT = "#595959", "#BFBFBF"
SEQUENTIAL, DIVERGING = "cividis", "RdBu_r"

RC = {
    "figure.dpi": 100,
    "savefig.dpi": 220,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "path",
    "text.usetex": False,
    "text.parse_math": False,  # a class may be called $x$
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "figure.titlesize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "hatch.linewidth": 0.5,
    "hatch.color": FAINT,
}

STEPS = (1, 2, 2.5, 5, 10)  # of the ticks' spacing
GROUP_ORDER = ("all", "many", "medium", "few")


@dataclass(frozen=True)
class Mark:
    """How one series looks: its colour, its marker and its line, each enough to tell it apart."""

    colour: str
    marker: str
    line: Any


_GROUPS = {
    "all": Mark(BLACK, "o", "-"),
    "many": Mark(BLUE, "s", "-"),
    "medium": Mark(ORANGE, "^", (0, (4, 1.2))),
    "few": Mark(PURPLE, "D", (0, (1.2, 1))),
}
_MODELS = (
    Mark("#4D4D4D", "o", "-"),
    Mark(VERMILLION, "s", (0, (5, 1.2))),
    Mark(GREEN, "^", (0, (1.2, 1))),
    Mark(SKY, "D", (0, (4, 1, 1, 1))),
    Mark(PURPLE, "v", (0, (7, 1.5))),
    Mark(ORANGE, "P", (0, (2.5, 1))),
)

_P = ParamSpec("_P")


def context() -> AbstractContextManager[None]:
    """Matplotlib's settings for the time a figure is made or written."""
    return matplotlib.rc_context(RC)


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Make a function draw in this style."""

    @wraps(draw)
    def inside(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with context():
            return draw(*args, **kwargs)

    return inside


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, ``width`` by ``height`` inches, that keeps labels from being clipped."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04, wspace=0.03, hspace=0.03)
    return figure


def save(figure: Figure, path_without_suffix: Path) -> list[Path]:
    """Write a figure as PDF and PNG, each whole or not at all.

    The same figure gives the same bytes (no creation date).

    Args:
        figure: what to write.
        path_without_suffix: for example ``runs/demo/figures/gram``; a dot in the name is kept.

    Returns:
        The paths written, ``.pdf`` then ``.png``.
    """
    base = Path(path_without_suffix)
    metadata = {"pdf": {"CreationDate": None, "ModDate": None}, "png": {"Software": None}}
    written = []
    for kind in ("pdf", "png"):
        path = base.with_name(f"{base.name}.{kind}")
        with context(), replacing(path) as temporary, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # drawn as a box; the tables have the name
            figure.savefig(temporary, format=kind, metadata=metadata[kind])
        written.append(path)
    return written


def model_marks(names: Iterable[str]) -> dict[str, Mark]:
    """A mark for each model, in display order (the first is the neutral one)."""
    return {name: _MODELS[i % len(_MODELS)] for i, name in enumerate(names)}


def group_mark(name: str) -> Mark:
    """The mark of a shot group (``all``, ``many``, ``medium``, ``few``; anything else is grey)."""
    return _GROUPS.get(name, Mark(GREY, "o", (0, (4, 1, 1, 1))))


def ordered_groups(names: Iterable[str]) -> list[str]:
    """The groups that occur, in the order all, many, medium, few, then any others as they came."""
    present = list(dict.fromkeys(names))
    return [name for name in GROUP_ORDER if name in present] + [name for name in present if name not in GROUP_ORDER]


def class_ticks(axis: Axis, names: Sequence[str], inches: float, *, size: float = 6.0, rotate: bool = False) -> int:
    """Name the classes along an axis at positions 0..K-1, every n-th only where all would collide.

    Args:
        axis: ``axes.xaxis`` or ``axes.yaxis``.
        names: K class names.
        inches: length of the axis.
        size: type size in points.
        rotate: write the names upright along a horizontal axis.

    Returns:
        n: one name in n is written.
    """
    pitch = 72 * inches / max(1, len(names))
    size = min(size, max(4.5, 0.9 * pitch))
    step = max(1, math.ceil(1.1 * size / pitch))
    shown = list(range(0, len(names), step))
    axis.set_ticks(shown, [shorten(names[k]) for k in shown])
    axis.set_tick_params(labelsize=size, length=0 if step == 1 else 2, pad=2, labelrotation=90 if rotate else 0)
    return step


def shorten(name: str, most: int = 16) -> str:
    """A name of at most ``most`` characters, cut in the middle: long names often share how they begin.

    >>> shorten("art_painting"), shorten("a very long class name indeed")
    ('art_painting', 'a very l… indeed')
    """
    end = (most - 1) // 2
    return name if len(name) <= most else f"{name[: most - 1 - end]}…{name[len(name) - end :]}"


def absent_cell(axes: Axes, x: float, y: float, *, width: float = 1.0, height: float = 1.0) -> Rectangle:
    """Hatch the cell around ``(x, y)``: nothing was there to measure, which is not the same as zero."""
    patch = Rectangle(
        (x - width / 2, y - height / 2),
        width,
        height,
        facecolor="#F0F0F0",
        edgecolor=FAINT,
        hatch="/////",
        linewidth=0,
        gid="absent",
    )
    axes.add_patch(patch)
    return patch


def shade_text(red: float, green: float, blue: float) -> str:
    """Black or white, whichever reads better on the colour (WCAG relative luminance).

    >>> shade_text(1, 1, 1), shade_text(0, 0, 0.3)
    ('black', 'white')
    """
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.18 else "white"


def empty(axes: Axes, text: str = "no data") -> None:
    """Say in the middle of a panel that there is nothing to draw."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, style="italic")
