"""One picture: a unit sphere with the means of a few classes as arrows, and the way they have come."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Circle, FancyArrowPatch, Polygon, Wedge
from numpy.typing import NDArray

from figures import style

Array = NDArray[np.float64]

COLOURS = (style.BLUE, style.VERMILLION, style.GREEN, style.PURPLE)
NAMES = "ABCD"
_TOGETHER = 1.0 - 1e-6  # cosine from which two class means are drawn as one
_SIGHT = 1.34  # half the width of the panel; the sphere has radius 1
_DISC = 0.24  # radius of the disc of a class with all samples
_LEAST_DISC = 0.045
_BACK = (0, (2.2, 2.2))


def draw_globe(axes: Axes, vectors: Array, shares: Array) -> None:
    """Draw the sphere, the way the class means have come, and where they point now.

    Args:
        axes: where to.
        vectors: ``(F, C, 3)`` unit vectors, the last of the F frames being now; C is 3 or 4, class A points up.
        shares: ``(C,)`` class proportions now, drawn as areas.
    """
    flat = vectors.shape[1] == 3
    camera = _camera(azimuth=28.0 if flat else -12.0, elevation=14.0)
    _draw_ball(axes)
    turn = np.linspace(0.0, 2.0 * np.pi, 241)
    ring = np.column_stack([np.cos(turn), np.sin(turn), np.zeros_like(turn)])
    _draw_ring(axes, ring @ camera, width=0.5, colour="#9AA5B1")
    if flat:  # three means that balance lie on a great circle
        _draw_ring(axes, ring[:, [0, 2, 1]] @ camera, width=0.9, colour="#6B7785")
    now = vectors[-1] @ camera
    for corners in sorted(combinations(range(len(now)), 3), key=lambda corners: now[list(corners), 2].sum()):
        axes.add_patch(Polygon(now[list(corners), :2], facecolor="#5B7FA6", alpha=0.1, linewidth=0, zorder=2))
    for first, second in combinations(range(len(now)), 2):
        axes.plot(*now[[first, second], :2].T, color="#5B7FA6", linewidth=0.5, alpha=0.6, zorder=2)
    for k, colour in enumerate(COLOURS[: len(now)]):
        way = vectors[:, k] @ camera
        axes.plot(*way[:, :2].T, color=colour, linewidth=1.0, alpha=0.55, zorder=3, gid="way", solid_capstyle="round")
    axes.plot(0, 0, "o", color=style.GREY, markersize=1.6, zorder=3.5)
    groups = together(vectors[-1] @ vectors[-1].T)
    for members in groups:
        _draw_mean(axes, now[members[0]], members, shares)
    _name(axes, np.array([now[members[0]] for members in groups]), groups, shares)
    axes.set(xlim=(-_SIGHT, _SIGHT), ylim=(-_SIGHT, 1.48), aspect="equal", xticks=[], yticks=[])
    axes.axis("off")


def _camera(azimuth: float, elevation: float) -> Array:
    """``(3, 3)``: a point times it has coordinates right, up and towards the eye (orthographic)."""
    a, e = np.radians([azimuth, elevation])
    right = [np.cos(a), np.sin(a), 0.0]
    up = [-np.sin(a) * np.sin(e), np.cos(a) * np.sin(e), np.cos(e)]
    eye = [np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)]
    return np.column_stack([right, up, eye])


def _draw_ball(axes: Axes, pixels: int = 240) -> None:
    """A light ball, lit from the upper left."""
    x, y = np.meshgrid(*[(np.arange(pixels) + 0.5) / pixels * 2 - 1] * 2)
    depth = np.sqrt(np.maximum(1.0 - x**2 - y**2, 0.0))
    light = np.clip(-0.42 * x + 0.52 * y + 0.74 * depth, 0.0, 1.0)[..., None]
    dark, bright = np.array(to_rgb("#CBD5E1")), np.array(to_rgb("#FDFEFF"))
    picture = axes.imshow(
        dark + (bright - dark) * light**0.8,
        extent=(-1, 1, -1, 1),
        origin="lower",
        interpolation="bilinear",
        zorder=0,
    )
    picture.set_clip_path(Circle((0, 0), 1, transform=axes.transData))
    axes.add_patch(Circle((0, 0), 1, fill=False, edgecolor="#8A96A3", linewidth=0.7, zorder=1))


def _draw_ring(axes: Axes, ring: Array, *, width: float, colour: str) -> None:
    """A circle on the sphere, dashed where it runs behind."""
    for behind in (True, False):
        part = np.where(((ring[:, 2] < 0) == behind)[:, None], ring[:, :2], np.nan)
        line, alpha = (_BACK, 0.6) if behind else ("-", 0.9)
        axes.plot(*part.T, color=colour, linewidth=width, linestyle=line, alpha=alpha, zorder=1.5)


def _draw_mean(axes: Axes, tip: Array, members: Sequence[int], shares: Array) -> None:
    """An arrow to where one or more classes point, and there a disc whose area is their proportion."""
    total = float(shares[list(members)].sum())
    radius = max(_LEAST_DISC, _DISC * math.sqrt(total))
    length = float(np.hypot(*tip[:2]))
    end = tip[:2] * max(0.0, 1.0 - radius / length) if length > 0 else tip[:2]
    depth = 5.0 + tip[2]
    for place, k in enumerate(members[:-1]):
        width = 1.3 + 1.6 * (len(members) - 1 - place)
        axes.plot(*zip((0, 0), end, strict=True), color=_faded(k, tip[2]), linewidth=width, zorder=depth, gid="mean")
    arrow = FancyArrowPatch(
        (0, 0), tuple(end), arrowstyle="-|>,head_width=2.2,head_length=3.6", mutation_scale=1, shrinkA=0, shrinkB=0,
        color=_faded(members[-1], tip[2]), linewidth=1.3, zorder=depth, gid="mean",
    )  # fmt: skip
    axes.add_patch(arrow)
    start = 90.0
    for k in members:
        sweep = 360.0 * float(shares[k]) / total
        slice_ = Wedge(tuple(tip[:2]), radius, start, start + sweep, facecolor=_faded(k, tip[2]), linewidth=0)
        slice_.set(zorder=depth + 0.1, gid="share")
        axes.add_patch(slice_)
        start += sweep
    rim = Circle(tuple(tip[:2]), radius, fill=False, edgecolor="white", linewidth=0.7, zorder=depth + 0.2)
    axes.add_patch(rim)


def _faded(k: int, depth: float) -> tuple[float, ...]:
    """The colour of a class, paler behind the sphere's middle."""
    pale = 0.4 * max(0.0, -float(depth))
    return tuple((1 - pale) * part + pale for part in to_rgb(COLOURS[k]))


def together(gram: Array) -> list[list[int]]:
    """Classes that share a vector (a cosine above 1 - 1e-6), listed together."""
    groups: list[list[int]] = []
    for k in range(len(gram)):
        home = next((group for group in groups if gram[group[0], k] > _TOGETHER), None)
        if home is None:
            groups.append([k])
        else:
            home.append(k)
    return groups


def _name(axes: Axes, tips: Array, groups: Sequence[Sequence[int]], shares: Array) -> None:
    """Write the classes' letters outside their discs, pushed apart where they would meet."""
    lengths = np.hypot(tips[:, 0], tips[:, 1])[:, None]
    outward = np.where(lengths > 0.05, tips[:, :2] / np.maximum(lengths, 0.05), [[0.0, 1.0]])
    radii = np.array([max(_LEAST_DISC, _DISC * math.sqrt(shares[list(group)].sum())) for group in groups])
    places = tips[:, :2] + outward * (radii[:, None] + 0.13)
    sizes = np.array([[0.1 + 0.12 * (2 * len(group) - 1), 0.24] for group in groups])
    for _ in range(40):
        for i, j in combinations(range(len(groups)), 2):
            apart = places[j] - places[i]
            overlap = (sizes[i] + sizes[j]) / 2 - np.abs(apart)
            if (overlap > 0).all():
                axis = int(overlap.argmin())
                push = overlap[axis] / 2 * (1.0 if apart[axis] >= 0 else -1.0)
                places[i, axis] -= push
                places[j, axis] += push
    for place, group in zip(places, groups, strict=True):
        text = " ".join(NAMES[k] for k in group)
        colour = COLOURS[group[0]] if len(group) == 1 else style.BLACK
        axes.text(
            *place, text, color=colour, ha="center", va="center_baseline", fontweight="bold", zorder=9, gid="name"
        )
