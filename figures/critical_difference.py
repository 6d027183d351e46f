"""Critical-difference diagram: average ranks on a line, bars over those that are not told apart."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures import style

_STEP = 0.17  # inches between two names, and
_BAR = 0.09  # between two bars


@style.styled
def figure(
    ranks: Mapping[str, float],
    difference: float,
    *,
    blocks: int,
    level: float = 0.05,
    label: str = "average rank",
) -> Figure:
    """Draw average ranks, the best on the left, with the critical difference above the line (Demsar 2006, figure 1).

    A bar joins ranks that lie within the critical difference of each other.

    Args:
        ranks: average rank of each algorithm, 1 is best.
        difference: Nemenyi's critical difference.
        blocks: data sets or domains behind the ranks.
        level: its family-wise error.
        label: of the axis.

    Raises:
        ValueError: fewer than two algorithms.
    """
    if len(ranks) < 2:
        raise ValueError(f"Expected two algorithms or more, got {len(ranks)}.")
    order = sorted(ranks, key=lambda name: (ranks[name], name))
    bars = joined([ranks[name] for name in order], difference)
    left = order[: (len(order) + 1) // 2]
    above, below = 0.42, _BAR * (len(bars) + 1) + _STEP * len(left) + 0.06
    result = style.new_figure(style.DOUBLE * 0.8, above + below + 0.1)
    axes = result.subplots()
    axes.set_axis_off()
    axes.set_ylim(-below, above)
    count = len(order)
    span = count - 1
    axes.set_xlim(1 - 0.42 * span, count + 0.42 * span)
    _scale(axes, count, label)
    _ruler(axes, difference, count, f"critical difference {difference:.2f} (α = {level:g}, N = {blocks})")
    for place, (first, last) in enumerate(bars, start=1):
        ends = [ranks[order[first]], ranks[order[last]]]
        pad = 0.012 * span
        axes.plot(
            [ends[0] - pad, ends[1] + pad], [-_BAR * place] * 2, color=style.BLACK, linewidth=2.6, solid_capstyle="butt"
        )
    top = _BAR * (len(bars) + 1)
    for place, name in enumerate(left):
        _name(axes, name, ranks[name], -top - _STEP * place, 1 - 0.05 * span, "right")
    for place, name in enumerate(reversed(order[len(left) :])):
        _name(axes, name, ranks[name], -top - _STEP * place, count + 0.05 * span, "left")
    return result


def joined(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """First and last position of each maximal run of ascending ranks that span at most the difference.

    >>> joined([1.0, 1.5, 2.2, 3.0], 1.0)
    [(0, 1), (1, 2), (2, 3)]
    """
    found: list[tuple[int, int]] = []
    for first, low in enumerate(ranks):
        last = max(i for i, rank in enumerate(ranks) if rank <= low + difference)
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def _scale(axes: Axes, count: int, label: str) -> None:
    axes.plot([1, count], [0, 0], color=style.BLACK, linewidth=0.8)
    every = -(-count // 12)  # more numbers than that would touch
    for tick in range(1, count + 1):
        axes.plot([tick, tick], [0, 0.05], color=style.BLACK, linewidth=0.6)
        if (tick - 1) % every == 0:
            axes.text(tick, 0.07, str(tick), ha="center", va="bottom", fontsize=6.5)
    axes.text(count + 0.05 * (count - 1), 0.0, label, ha="left", va="center", fontsize=6.5, color=style.GREY)


def _ruler(axes: Axes, difference: float, count: int, text: str) -> None:
    end = min(1 + difference, count + 0.4 * (count - 1))
    axes.plot([1, end], [0.3, 0.3], color=style.VERMILLION, linewidth=1.4, solid_capstyle="butt")
    for x in (1, end):
        axes.plot([x, x], [0.27, 0.33], color=style.VERMILLION, linewidth=0.8)
    axes.text(1, 0.35, text, ha="left", va="bottom", fontsize=6.5, color=style.VERMILLION)


def _name(axes: Axes, name: str, rank: float, y: float, x: float, side: str) -> None:
    axes.plot([rank, rank, x], [0, y, y], color=style.GREY, linewidth=0.6, zorder=0.5)
    shown = style.shorten(name, 24)
    text = f"{shown}  {rank:.2f}" if side == "right" else f"{rank:.2f}  {shown}"
    gap = -0.015 if side == "right" else 0.015
    axes.text(x + gap * abs(axes.get_xlim()[1]) / 2, y, text, ha=side, va="center", fontsize=6.5)
