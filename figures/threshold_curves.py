"""The imbalance ratio R* of minority collapse, against temperature and against the number of negatives."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator
from matplotlib.transforms import blended_transform_factory
from numpy.typing import NDArray

from figures import style
from figures.gram_strip import ratio_text

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LANE = 0.04  # height of one series in the band of "never", of the axes' height


@dataclass(frozen=True)
class Panel:
    """One panel: curves R*(x).

    Attributes:
        x: positive places, increasing; ``inf`` may stand last and is drawn apart, as a limit.
        curves: name -> R* at each place; None where minorities never collapse, NaN where it was not found.
        label: what x is.
        title: what the curves have in common.
        asymptotes: name -> a dotted curve of the same colour (NaN where it is not to be drawn).
    """

    x: Sequence[float]
    curves: Mapping[str, Sequence[float | None]]
    label: str
    title: str = ""
    asymptotes: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, curve in (*self.curves.items(), *self.asymptotes.items()):
            if len(curve) != len(self.x):
                raise ValueError(f"Expected {len(self.x)} thresholds for {name}, got {len(curve)}.")
        if any(b <= a for a, b in zip(self.x, self.x[1:], strict=False)) or not self.x or self.x[0] <= 0:
            raise ValueError("Expected positive places in increasing order.")


@style.styled
def figure(panels: Sequence[Panel], *, caption: str = "") -> Figure:
    """Draw the panels two in a row, logarithmic both ways; what never collapses is marked in a band on top.

    Args:
        panels: what to draw; all share the vertical scale.
        caption: what is written below.

    Raises:
        ValueError: there is no panel.
    """
    if not panels:
        raise ValueError("Expected at least one panel, got none.")
    rows = -(-len(panels) // 2)
    result = style.new_figure(style.DOUBLE, 2.4 * rows + (0.25 if caption else 0.1))
    grid = result.subplots(rows, 2, squeeze=False, sharey=True)
    lanes = max((len(panel.curves) + 1 for panel in panels if _never(panel).any()), default=0)
    found = np.concatenate([_numbers(curve) for panel in panels for curve in panel.curves.values()])
    found = found[np.isfinite(found)]
    low, high = (found.min() / 1.6, found.max() * 1.6) if len(found) else (1.0, 10.0)
    top = high * (high / low) ** (_LANE * lanes / (1 - _LANE * lanes))
    for axes, panel in zip(grid.flat, panels, strict=False):
        axes.set(xscale="log", yscale="log", ylim=(low, top), xlabel=panel.label, title=panel.title)
        _draw(axes, panel, lanes)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    decades = np.arange(np.ceil(np.log10(low)), np.floor(np.log10(high)) + 1)
    ticks = 10.0 ** decades[:: max(1, -(-len(decades) // 8))]
    for axes in grid[:, 0]:
        axes.set_ylabel("collapse threshold R*")
        axes.set_yticks(ticks, [_power(tick) for tick in ticks])
        axes.yaxis.set_minor_locator(NullLocator())
    if caption:
        result.supxlabel(caption, fontsize=6.5, color=style.GREY)
    return result


def _power(tick: float) -> str:
    """A power of ten: 1, 10, 10², 10³.

    >>> _power(1000.0)
    '10³'
    """
    exponent = round(math.log10(tick))
    return str(10**exponent) if exponent in (0, 1) else "10" + str(exponent).translate(_SUPERSCRIPT)


def _numbers(curve: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else float(value) for value in curve])


def _never(panel: Panel) -> NDArray[np.bool_]:
    """``(curves, places)``: where minorities never collapse."""
    return np.array([[value is None for value in curve] for curve in panel.curves.values()])


def _draw(axes: Axes, panel: Panel, lanes: int) -> None:
    marks = style.model_marks(panel.curves)
    places = np.array([float(x) for x in panel.x])
    limit = bool(np.isinf(places[-1])) and len(places) > 1
    if limit:
        places[-1] = places[-2] * (places[-2] / places[0]) ** 0.12
    joined = slice(0, len(places) - limit)
    often = max(1, len(places) // 7)
    for order, (name, curve) in enumerate(panel.curves.items()):
        mark, start = marks[name], order * often // max(1, len(panel.curves))
        looks = {"color": mark.colour, "marker": mark.marker, "markersize": 3.2}
        axes.plot(
            places[joined], _numbers(curve)[joined], linestyle=mark.line, markevery=(start, often), label=name,
            gid="curve", **looks,
        )  # fmt: skip
        if limit:
            axes.plot(places[-1:], _numbers(curve)[-1:], linestyle="", gid="limit", **looks)
        if name in panel.asymptotes:
            line = _numbers(panel.asymptotes[name])[joined]
            axes.plot(
                places[joined], line, color=mark.colour, linestyle=(0, (0.8, 1.4)), linewidth=0.9, gid="asymptote"
            )
    _draw_never(axes, panel, places, lanes)
    if limit:
        axes.axvline(np.sqrt(places[-2] * places[-1]), color=style.FAINT, linewidth=0.6, linestyle=(0, (2, 2)))
    margin = (places[-1] / places[0]) ** 0.02
    axes.set_xlim(places[0] / margin, places[-1] * margin)
    _name_places(axes, places, limit)
    axes.grid(True, axis="y")
    columns = len(panel.curves) if len(panel.curves) <= 4 else 3
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.19), ncols=columns, handlelength=2.2, columnspacing=1.2)


def _draw_never(axes: Axes, panel: Panel, places: NDArray[np.float64], lanes: int) -> None:
    """A lane a curve in a band at the top, with a mark wherever there is no threshold."""
    if not lanes:
        return
    bottom = 1.0 - _LANE * lanes
    band = Rectangle((0, bottom), 1, 1 - bottom, transform=axes.transAxes, color="#F3F3F3", linewidth=0, zorder=0)
    band.set_gid("band")
    axes.add_patch(band)
    across = blended_transform_factory(axes.transData, axes.transAxes)
    for order, (name, never) in enumerate(zip(panel.curves, _never(panel), strict=True)):
        mark = style.model_marks(panel.curves)[name]
        height = 1.0 - _LANE * (order + 1)
        axes.plot(
            places[never], np.full(never.sum(), height), mark.marker, color=mark.colour, markersize=2.2,
            transform=across, gid="never",
        )  # fmt: skip
    text = "never collapses" if _never(panel).any() else "collapses everywhere"
    axes.text(
        0.99, bottom - 0.01, text, transform=axes.transAxes, fontsize=6, color=style.GREY, style="italic", ha="right",
        va="top",
    )  # fmt: skip


def _name_places(axes: Axes, places: NDArray[np.float64], limit: bool) -> None:
    """Plain numbers along a logarithmic axis, and ∞ where the limit stands."""
    inner = places[:-1] if limit else places
    powers = range(int(np.floor(np.log10(inner[0]))), int(np.ceil(np.log10(inner[-1]))) + 1)
    steps = (1, 2, 5) if len(powers) <= 4 else (1,)
    ticks = [step * 10.0**power for power in powers for step in steps]
    ticks = [tick for tick in ticks if inner[0] * 0.999 <= tick <= inner[-1] * 1.001]
    names = [f"{tick:g}" if tick < 1e4 else ratio_text(tick) for tick in ticks]
    axes.set_xticks([*ticks, *places[len(inner) :]], [*names, *["∞"] * limit])
    axes.xaxis.set_minor_locator(NullLocator())
