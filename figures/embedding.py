"""Features in two dimensions: UMAP where it can be had, principal components where not."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from figures import style

_LEAST_FOR_UMAP = 20  # samples; a neighbour graph of fewer says nothing
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
_CLASSES = (
    style.BLUE, style.ORANGE, style.GREEN, style.VERMILLION, style.SKY,
    style.PURPLE, style.BLACK, style.YELLOW, "#8C8C8C", "#7A4B00",
)  # fmt: skip
_SOURCES = (style.SKY, style.ORANGE, style.GREEN, style.PURPLE, style.BLUE, style.YELLOW)


class Embedding(NamedTuple):
    """Coordinates of the samples that were embedded.

    Attributes:
        coordinates: ``(n, 2)`` float64.
        method: ``umap`` or ``pca``, the one actually used.
        note: one sentence for the caption: what was done, and why it was not what was asked where so.
        index: ``(n,)`` which of the given samples these are, increasing.
    """

    coordinates: NDArray[np.float64]
    method: str
    note: str
    index: NDArray[np.intp]


def embed(features: ArrayLike, *, seed: int, method: str = "umap", most: int = 1000) -> Embedding:
    """Embed features in the plane; the same seed gives the same plane on the same machine.

    Args:
        features: ``(N, D)``, finite.
        seed: of the subsample and of UMAP.
        method: ``umap`` or ``pca``.
        most: at most this many samples, drawn without replacement, are embedded.

    Raises:
        ValueError: unknown method, or features that are not a finite ``(N, D)`` with N, D >= 1.

    >>> embed([[0.0, 0.0], [3.0, 4.0]], seed=0).method
    'pca'
    """
    if method not in ("umap", "pca"):
        raise ValueError(f"Expected method umap or pca, got {method!r}.")
    array = np.asarray(features, dtype=np.float64)
    if array.ndim != 2 or 0 in array.shape or not np.isfinite(array).all():
        raise ValueError(f"Expected finite features of shape (N, D) with N, D >= 1, got shape {array.shape}.")
    index = np.arange(len(array))
    if index.size > most:
        index = np.sort(np.random.default_rng(seed).choice(index.size, most, replace=False))
    drawn = f"{index.size} of {len(array)} samples" if index.size < len(array) else f"{index.size} samples"
    reason = ""
    if method == "umap":
        if index.size < _LEAST_FOR_UMAP:
            reason = f" (UMAP needs at least {_LEAST_FOR_UMAP})"
        else:
            try:
                coordinates = _umap(array[index], seed)
                return Embedding(coordinates, "umap", f"UMAP of {drawn}, seed {seed}.", index)
            except ImportError:
                reason = " (UMAP is not installed)"
            except (
                Exception
            ) as error:  # UMAP fails in the ways of numba, scipy and pynndescent; a picture is due anyhow
                reason = f" (UMAP failed: {type(error).__name__})"
    coordinates, share = _pca(array[index])
    kept = f"{100 * share:.0f} % of variance" if np.isfinite(share) else "no variance"
    return Embedding(coordinates, "pca", f"First two principal components, {kept}, {drawn}{reason}.", index)


def _umap(features: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        # n_jobs is 1 already; UMAP warns that a seed forces it to 1 (lmcinnes/umap 1001).
        warnings.filterwarnings("ignore", message="n_jobs value .* overridden to 1 by setting random_state")
        import umap

        reducer = umap.UMAP(n_neighbors=min(15, len(features) - 1), min_dist=0.1, n_jobs=1, random_state=seed)
        return np.asarray(reducer.fit_transform(features), dtype=np.float64)


def _pca(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    centred = features - features.mean(axis=0)
    left, values, right = np.linalg.svd(centred, full_matrices=False)
    signs = np.where(right[np.arange(len(right)), np.abs(right).argmax(axis=1)] < 0, -1.0, 1.0)
    coordinates = np.zeros((len(features), 2))
    kept = min(2, values.size)
    coordinates[:, :kept] = (left * values * signs)[:, :kept]
    total = float((values**2).sum())
    return coordinates, float((values[:2] ** 2).sum()) / total if total > 0 else float("nan")


@style.styled
def figure(
    models: Mapping[str, Mapping[str, Any]],
    *,
    class_names: Sequence[str],
    domain_names: Sequence[str],
    held_out: str | None = None,
    class_counts: Sequence[int] | None = None,
) -> Figure:
    """Draw the embedding twice a model: coloured by class above, by domain below; the target's points are hollow.

    Args:
        models: model -> ``{"coordinates": (n, 2), "labels": (n,), "domains": (n,), "method": "umap" | "pca"}``.
        class_names: K names; up to ten get a colour and a marker each, more are coloured by rank.
        domain_names: M names.
        held_out: the target domain, if there is one.
        class_counts: K training counts: the rank that colours more than ten classes (by default the class index).

    Raises:
        ValueError: arrays of one model differ in length.
    """
    result = style.new_figure(style.DOUBLE, 5.0 if len(models) > 1 else 2.9)
    # One model: class beside domain. Several: a column a model.
    grid = result.subplots(2, len(models), squeeze=False) if len(models) > 1 else result.subplots(1, 2).reshape(2, 1)
    order = (
        np.argsort(-np.asarray(class_counts), kind="stable")
        if class_counts is not None
        else np.arange(len(class_names))
    )
    rank = np.argsort(order)
    target = domain_names.index(held_out) if held_out in domain_names else -1
    colours = matplotlib.colormaps[style.SEQUENTIAL]
    for column, (name, data) in enumerate(models.items()):
        points = np.array(data["coordinates"], dtype=np.float64)
        labels, domains = (np.asarray(data[part], dtype=np.int64) for part in ("labels", "domains"))
        if not len(points) == len(labels) == len(domains):
            raise ValueError(
                f"Expected equally many points, labels and domains for {name}, "
                f"got {len(points)}, {len(labels)}, {len(domains)}."
            )
        by_class, by_domain = grid[0, column], grid[1, column]
        for k in range(len(class_names)):
            mark = _class_mark(k, rank, colours)
            for hollow in (False, True):
                mine = (labels == k) & ((domains == target) == hollow)
                _points(by_class, points[mine], mark, hollow=hollow, gid="class")
        for m in [m for m in range(len(domain_names)) if m != target] + [target] * (target >= 0):
            _points(by_domain, points[domains == m], _domain_mark(m, target), hollow=m == target, gid="domain")
        for axes, what in ((by_class, "class"), (by_domain, "domain")):
            axes.set(xticks=[], yticks=[], title=f"{name}, by {what}")
            axes.spines[:].set_visible(True)
            axes.spines[:].set_color(style.FAINT)
        method = str(data.get("method", "")).lower()
        first, second = {"umap": ("UMAP 1", "UMAP 2"), "pca": ("PC 1", "PC 2")}.get(method, ("", ""))
        by_domain.set_xlabel(first)
        by_class.set_ylabel(second)
        by_domain.set_ylabel(second)
        if len(models) == 1:
            by_class.set_xlabel(first)
    shown = [
        [style.shorten(name) + " (none)" * (code not in drawn) for code, name in enumerate(names)]
        for names, part in ((class_names, "labels"), (domain_names, "domains"))
        for drawn in [{int(code) for data in models.values() for code in data[part]}]
    ]
    _legends(result, grid, *shown, rank, target, ranked=class_counts is not None)
    return result


def _class_mark(k: int, rank: NDArray[np.intp], colours: matplotlib.colors.Colormap) -> style.Mark:
    if len(rank) <= len(_CLASSES):
        return style.Mark(_CLASSES[k], _MARKERS[k], "")
    return style.Mark(matplotlib.colors.to_hex(colours(rank[k] / (len(rank) - 1))), "o", "")


def _domain_mark(m: int, target: int) -> style.Mark:
    if m == target:
        return style.Mark(style.VERMILLION, "*", "")
    return style.Mark(_SOURCES[m % len(_SOURCES)], _MARKERS[m % len(_MARKERS)], "")


def _points(axes: Axes, points: NDArray[np.float64], mark: style.Mark, *, hollow: bool, gid: str) -> None:
    if len(points) == 0:
        return
    size = 16 if mark.marker == "*" else 8
    face = {"facecolors": "none", "edgecolors": mark.colour, "linewidths": 0.6}
    filled = {"color": mark.colour, "linewidths": 0, "alpha": 0.75}
    axes.scatter(*points.T, s=size, marker=mark.marker, rasterized=True, gid=gid, **(face if hollow else filled))


def _legends(
    result: Figure,
    grid: NDArray[Any],
    class_names: Sequence[str],
    domain_names: Sequence[str],
    rank: NDArray[np.intp],
    target: int,
    *,
    ranked: bool,
) -> None:
    colours = matplotlib.colormaps[style.SEQUENTIAL]
    several = grid.shape[1] > 1
    beside = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5)}
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.09), "ncols": 4}
    look = {"handletextpad": 0.2, "columnspacing": 0.8, **(beside if several else below)}
    domains = [
        _handle(
            _domain_mark(m, target),
            f"{name}{' (target, hollow)' if m == target else ''}",
            hollow=m == target,
        )
        for m, name in enumerate(domain_names)
    ]
    if len(class_names) <= len(_CLASSES):
        classes = [_handle(_class_mark(k, rank, colours), name) for k, name in enumerate(class_names)]
        grid[0, -1].legend(handles=classes, **look)
        grid[1, -1].legend(handles=domains, **look)
        return
    scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(1, len(class_names)), cmap=colours)
    text = "class rank (1: most training images)" if ranked else "class number"
    place = {"ax": grid[0, -1]} if several else {"ax": grid[0, -1], "location": "bottom"}
    result.colorbar(scale, label=text, aspect=25, **place)
    if several:  # beside the panels the legend would push the colour bar away from them
        result.legend(handles=domains, loc="outside lower center", ncols=len(domains), handletextpad=0.2)
    else:
        grid[1, -1].legend(handles=domains, **look)


def _handle(mark: style.Mark, label: str, *, hollow: bool = False) -> Line2D:
    face = "none" if hollow else mark.colour
    return Line2D([], [], color=mark.colour, marker=mark.marker, markerfacecolor=face, linestyle="", label=label)
