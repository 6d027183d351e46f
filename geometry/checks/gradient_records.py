"""Recorded gradients of contrastive anchors, read from an artifact's probes and put in order."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.errors import DataError
from geometry.shots import group_masks

Array = NDArray[np.float64]
Masks = Mapping[str, NDArray[np.bool_]]

PREFIX = "anchor_gradient/"
BALANCED = "anchor_gradient_balanced/"
TRAJECTORY = "trajectory/anchor_gradient/"
OPTIONAL = (
    "prediction_norm", "feature_norm", "positives", "negatives", "positive_count", "negative_count", "repulsion",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Anchors:
    """One loss's anchors over B batches.

    Attributes:
        norm: ``(A,)`` gradient norms.
        label: ``(A,)`` classes.
        batch: ``(A,)`` batches, 0..B-1.
        weight: ``(A,)`` weight that the loss's own average gives the anchor, or None.
        alike: ``(A,)`` anchors of the same class in the same batch, itself included: n_k.
        moment: ``(A,)`` index of the moment, or None.
        more: other measurements ``(A,)`` by name, NaN where undefined.
    """

    norm: Array
    label: NDArray[np.int64]
    batch: NDArray[np.int64]
    weight: Array | None
    alike: NDArray[np.int64]
    moment: NDArray[np.int64] | None
    more: Mapping[str, Array]

    @property
    def batches(self) -> int:
        """B."""
        return int(self.batch.max()) + 1

    @property
    def pull(self) -> Array:
        """``(A,)`` norms over weights where these are recorded."""
        return self.norm if self.weight is None else self.norm / self.weight

    def at(self, moment: int) -> "Anchors":
        """The anchors of one moment, its batches numbered anew."""
        assert self.moment is not None
        here = self.moment == moment
        return replace(
            self,
            norm=self.norm[here],
            label=self.label[here],
            batch=np.unique(self.batch[here], return_inverse=True)[1].astype(np.int64),
            weight=None if self.weight is None else self.weight[here],
            alike=self.alike[here],
            moment=None,
            more={name: values[here] for name, values in self.more.items()},
        )


def recorded_losses(artifact: Artifact, prefix: str = PREFIX, *, first: str = "") -> list[str]:
    """Names of the losses recorded under a prefix, one of them first, the others by name."""
    names = {name.removeprefix(prefix).split("/")[0] for name in artifact.probes if name.startswith(prefix)}
    return sorted(names, key=lambda loss: (loss != first, loss))


def read_anchors(artifact: Artifact, loss: str, prefix: str = PREFIX) -> Anchors:
    """What a probe recorded of one loss.

    Raises:
        DataError: arrays are missing, of unequal length, or hold impossible values.
    """
    where = f"{prefix}{loss}"
    arrays = []
    for part in ("norm", "label", "batch"):
        if f"{where}/{part}" not in artifact.probes:
            raise DataError(f"Expected a probe array '{where}/{part}' beside the others of {loss!r}; record it again.")
        arrays.append(np.asarray(artifact.probes[f"{where}/{part}"]))
    norms, labels, batches = arrays
    if norms.ndim != 1 or not norms.size or norms.shape != labels.shape or norms.shape != batches.shape:
        raise DataError(
            f"Expected non-empty arrays (A,) under {where}, got {norms.shape}, {labels.shape}, {batches.shape}."
        )
    values = norms.astype(np.float64)
    if not np.all(np.isfinite(values)) or values.min() < 0:
        raise DataError(f"Expected finite gradient norms of zero or more under {where}/norm.")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= artifact.num_classes:
        raise DataError(f"Expected integer labels in 0..{artifact.num_classes - 1} under {where}/label.")
    weights, moments = (artifact.probes.get(f"{where}/{part}") for part in ("weight", "moment"))
    if weights is not None and (weights.shape != norms.shape or not np.all(np.isfinite(weights) & (weights > 0))):
        raise DataError(f"Expected one finite positive weight per anchor under {where}/weight.")
    if moments is not None and (moments.shape != norms.shape or moments.dtype.kind not in "iu"):
        raise DataError(f"Expected one integer moment per anchor under {where}/moment.")
    more = {part: artifact.probes[f"{where}/{part}"] for part in OPTIONAL if f"{where}/{part}" in artifact.probes}
    for part, array in more.items():
        if array.shape != norms.shape:
            raise DataError(f"Expected one number per anchor under {where}/{part}, got shape {array.shape}.")
        infinite = int(np.isinf(array).sum())
        if infinite:  # a mean over anchors leaves NaN out, but would be infinite
            raise DataError(
                f"Expected finite numbers (NaN where undefined) under {where}/{part}, got {infinite} infinite; "
                "record it again."
            )
    # A batch of one moment is another batch at the next.
    several = batches if moments is None else np.column_stack([moments, batches])
    numbers = np.unique(several, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    cells = np.unique(numbers * artifact.num_classes + labels, return_inverse=True, return_counts=True)
    return Anchors(
        norm=values,
        label=labels.astype(np.int64),
        batch=numbers,
        weight=None if weights is None else weights.astype(np.float64),
        alike=cells[2][cells[1]].astype(np.int64),
        moment=None if moments is None else moments.astype(np.int64),
        more={part: array.astype(np.float64) for part, array in more.items()},
    )


def minority_groups(artifact: Artifact) -> tuple[dict[str, NDArray[np.bool_]], str]:
    """``(K,)`` masks that include ``few`` and ``many``, and how they were made; no masks where no class is rarer.

    Shot groups where thresholds are known and both groups occur; else the third of the classes (at least one) with
    the smallest and with the largest training count.
    """
    if artifact.shots is not None:
        masks = group_masks(artifact.shots)
        if "few" in masks and "many" in masks:
            return masks, "shot groups of the artifact"
    counts = artifact.class_counts
    trained = np.flatnonzero(counts > 0)
    third = max(1, trained.size // 3)
    order = trained[np.argsort(counts[trained], kind="stable")]
    if trained.size < 2 or counts[order[third - 1]] >= counts[order[-third]]:
        return {}, "no class is rarer than another, so there is no minority"
    few, many = np.zeros(counts.size, dtype=bool), np.zeros(counts.size, dtype=bool)
    few[order[:third]], many[order[-third:]] = True, True
    medium = ~(few | many) & (counts > 0)
    masks = {"many": many, "medium": medium, "few": few}
    return {name: mask for name, mask in masks.items() if mask.any()}, f"few and many are {third} classes each by count"
