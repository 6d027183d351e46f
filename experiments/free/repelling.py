"""FixCLR's repelling term on free unit vectors of several domains, alone or beside cross-entropy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.free.spaces import Array, Labels, Logits, UnitVectors
from experiments.free.spheres import Spheres
from experiments.losses.cross_entropy import cross_entropies
from experiments.losses.fixclr import repel_only
from experiments.losses.pairs import check_temperature, masked_logsumexp, reduce_anchors
from geometry.errors import UsageError

DEFAULTS: Mapping[str, Any] = {
    "level": "sample",
    "aggregate": "sum",
    "other_domains_only": False,
    "domains": 1.0,
    "layout": "shared",
    "weight": 1.0,
    "classifier": 0.0,
    "scale": 5.0,
}
LAYOUTS = ("shared", "alone")


@dataclass(frozen=True, eq=False)
class Headed(UnitVectors):
    """A unit vector a sample before a free linear classifier whose rows have mean squared length 1."""

    prototypes: bool = True

    @cached_property
    def spheres(self) -> Spheres:
        """One a sample, one for the classifier."""
        return Spheres((self.dimension,) * len(self.labels) + ((self.labels.max() + 1) * self.dimension,))

    @property
    def simplex(self) -> Array:
        """Samples and rows at the corners."""
        return self.spheres.normalise(super().simplex)

    def classes(self, point: Tensor) -> Tensor:
        """Classifier rows."""
        rows = point[self.own :].view(-1, self.dimension)
        return rows * float(np.sqrt(len(rows)))


def balanced_repel(vectors: Tensor, labels: Tensor, *, tau: float) -> Tensor:
    r"""Repelling that weighs classes alike, as anchors and as negatives: the remedy for imbalance (ours).

    .. math:: \frac1C \sum_y \frac1{n_y} \sum_{i: y_i = y} \log \sum_{c \ne y} \frac1{n_c}
        \sum_{j: y_j = c} e^{x_i \cdot x_j / \tau}

    BCL's class averages without its prototypes and without attraction.

    >>> float(balanced_repel(torch.eye(2), torch.tensor([0, 1]), tau=1.0))
    0.0
    """
    check_temperature(tau)
    others = labels[:, None] != labels[None, :]
    sizes = torch.bincount(labels)[labels].to(vectors)
    return reduce_anchors(
        masked_logsumexp(vectors @ vectors.T / tau - sizes.log(), others), labels, others.any(dim=1), "class"
    )


def domains_of(labels: Labels, number: int, layout: str) -> Labels:
    """A domain for every sample: each class goes round all of them, or the last class stays in the first (``alone``).

    >>> domains_of(np.array([0, 0, 0, 1, 1]), 2, "alone").tolist()
    [0, 1, 0, 0, 0]
    """
    if number < 1 or layout not in LAYOUTS:
        raise UsageError(f"Expected domains of 1 or more, layout {' or '.join(LAYOUTS)}; got {number}, {layout!r}.")
    first = np.searchsorted(labels, labels)  # labels ascend
    places = (np.arange(len(labels)) - first) % number
    return np.where((labels == labels.max()) & (layout == "alone"), 0, places)


def repelling(
    labels: Labels, dimension: int, options: Mapping[str, Any]
) -> tuple[UnitVectors | Logits, Callable[[Tensor], Tensor]]:
    r"""``classifier * CE(scale * W x) + weight * repel_only`` of free unit vectors, and where they live.

    Args:
        labels: ``(N,)`` ascending classes 0..C-1, each with a sample.
        dimension: d.
        options: those of ``repel_only``, with ``level`` also ``balanced`` (:func:`balanced_repel`); number of
            ``domains`` and their ``layout``; ``weight`` of the repelling term; ``classifier``, the weight of
            cross-entropy averaged over samples (0: no classifier), and the ``scale`` of its logits; ``space``
            and ``radius`` as for the other contrasts.

    Raises:
        UsageError: a value that is none of these.
    """
    settings = dict(options)
    where, radius = settings.pop("space"), float(settings.pop("radius"))
    weight, share, scale = (float(settings.pop(name)) for name in ("weight", "classifier", "scale"))
    if not all(np.isfinite(number) and number >= 0 for number in (weight, share, scale)):
        raise UsageError("Expected options 'weight', 'classifier' and 'scale' to be numbers of zero or more.")
    if where not in ("vectors", "predictions") or (share and where == "predictions"):
        raise UsageError(f"Expected option 'space' to be vectors, or predictions without a classifier; got {where!r}.")
    targets = torch.from_numpy(labels)
    number, layout = float(settings.pop("domains")), settings.pop("layout")
    if not number.is_integer():
        raise UsageError(f"Expected option 'domains' to be a whole number, got {number:g}.")
    domains = torch.from_numpy(domains_of(labels, int(number), layout))
    balanced = settings["level"] == "balanced"
    if balanced and settings["other_domains_only"]:
        raise UsageError("Level 'balanced' knows no domains; take another, or leave out other_domains_only.")

    def repel(vectors: Tensor) -> Tensor:
        if balanced:
            return balanced_repel(vectors, targets, tau=settings["tau"])
        return repel_only(vectors, targets, domains=domains, **settings)

    space: UnitVectors | Logits = UnitVectors(labels, dimension)
    if where == "predictions":
        space = Logits(labels, radius)
    if not share:
        return space, lambda point: weight * repel(space.samples(point))
    headed = Headed(labels, dimension)

    def value(point: Tensor) -> Tensor:
        vectors = headed.samples(point)
        entropy = cross_entropies(scale * vectors @ headed.classes(point).T, targets).mean()
        return share * entropy + weight * repel(vectors) if weight else share * entropy

    return headed, value
