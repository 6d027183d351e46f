"""Prototypes of a contrastive loss beside what they stand for: class means in their space, the classifier's rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.defined import mean_defined
from geometry.errors import DataError
from geometry.shots import group_masks

Array = NDArray[np.float64]
SPACES = ("projections", "features")
PREFIX = "prototypes_"


@dataclass(frozen=True)
class PrototypeRow:
    """The prototype of one class, or means over the classes of a group; NaN where nothing is to be compared.

    Attributes:
        group: all, a shot group, or a class.
        to_mean: ``cos(p_c, m_c)`` with ``m_c`` the mean of the class's vectors, each scaled to unit length, in [-1, 1].
        to_row: ``cos(p_c, w_c)`` with the classifier's row, where both have one dimension.
        from_simplex: mean over the other classes of ``|cos(p_c, p_j) + 1 / (K - 1)|``, in [0, 2); in a group over the
            pairs inside it.
        classes: with a sample, of which ``to_mean`` is the average.
        n: samples.
    """

    group: str
    to_mean: float
    to_row: float
    from_simplex: float
    classes: int
    n: int


@dataclass(frozen=True)
class PrototypeReport:
    """Where the prototypes of a model stand.

    Attributes:
        space: ``projections`` or ``features``.
        split: of the samples whose class means they are held against.
        groups: rows of all classes and of the shot groups, by name.
        classes: a row for every class, by name.
    """

    space: str
    split: str
    groups: Mapping[str, PrototypeRow]
    classes: Mapping[str, PrototypeRow]

    def rows(self) -> Iterator[PrototypeRow]:
        """Groups, then classes."""
        yield from self.groups.values()
        yield from self.classes.values()


def prototype_space(artifact: Artifact) -> str | None:
    """The space of the prototypes that an artifact holds, None without any."""
    return next((space for space in SPACES if PREFIX + space in artifact.probes), None)


def prototype_report(artifact: Artifact, *, split: str | None = None) -> PrototypeReport:
    """Hold the prototypes of an artifact against class means, classifier rows and the simplex.

    Equilibrium contrastive learning wants all three to agree: prototypes at the means of their classes, along the
    classifier's rows, at equal angles. The measures are ours.

    Args:
        artifact: with the probe ``prototypes_projections`` or ``prototypes_features``, ``(K, D)``.
        split: which samples; the training split by default.

    Raises:
        DataError: it holds no prototypes, or they are of another shape than its space and classes.
        UsageError: unknown split.
    """
    space = prototype_space(artifact)
    if space is None:
        raise DataError("The artifact holds no prototypes; its model's loss has none, or it was extracted before.")
    name = artifact.default_split() if split is None else split
    part = artifact.select(name)
    artifact.require(space)
    vectors = _unit(getattr(part, space))
    prototypes, k = _unit(artifact.probes[PREFIX + space]), artifact.num_classes
    if prototypes.shape != (k, vectors.shape[1]):
        raise DataError(f"Expected prototypes of shape ({k}, {vectors.shape[1]}), got {prototypes.shape}.")
    counts = np.bincount(part.labels, minlength=k)
    sums = np.zeros_like(prototypes)
    np.add.at(sums, part.labels, np.nan_to_num(vectors))  # a vector of zeros has no direction to add
    rows = artifact.head_weight
    comparable = rows is not None and rows.shape == prototypes.shape
    nearness = {
        "to_mean": np.where(counts > 0, np.einsum("kd,kd->k", prototypes, _unit(sums)), np.nan),
        "to_row": np.einsum("kd,kd->k", prototypes, _unit(np.asarray(rows))) if comparable else np.full(k, np.nan),
    }
    deviation = np.abs(prototypes @ prototypes.T + 1 / (k - 1)) if k > 1 else np.full((1, 1), np.nan)
    np.fill_diagonal(deviation, np.nan)

    def row(group: str, mask: NDArray[np.bool_], pairs: Array) -> PrototypeRow:
        means = {key: float(mean_defined(values[mask])) for key, values in nearness.items()}
        held, n = int((counts[mask] > 0).sum()), int(counts[mask].sum())
        return PrototypeRow(group, **means, from_simplex=float(mean_defined(pairs.ravel())), classes=held, n=n)

    groups = {"all": np.ones(k, dtype=bool)} | dict(group_masks(artifact.shots) if artifact.shots is not None else {})
    one = np.eye(k, dtype=bool)
    return PrototypeReport(
        space=space,
        split=name,
        groups={group: row(group, mask, deviation[np.ix_(mask, mask)]) for group, mask in groups.items()},
        classes={label: row(label, one[c], deviation[c]) for c, label in enumerate(artifact.class_names)},
    )


def _unit(vectors: NDArray[np.generic]) -> Array:
    """Rows over their lengths in float64; NaN for a row of zeros, which has no direction."""
    found = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(np.divide(found, lengths, out=np.full_like(found, np.nan), where=lengths > 0), dtype=np.float64)
