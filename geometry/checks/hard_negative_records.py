"""Recorded hard negatives and what they are compared with, read from an artifact's probes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geometry.artifact import Artifact
from geometry.bound.margin import score_margin
from geometry.checks.region_distance import region_distance
from geometry.errors import DataError

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

PREFIX = "hard_negative/"
KINDS = ("synthesised", "random", "plain", "real")  # codes of hard_negative/kind, in this order


@dataclass(frozen=True, eq=False)
class Samples:
    """Recorded samples of all kinds.

    Attributes:
        kind: ``(S,)`` codes into :data:`KINDS`.
        label: ``(S,)`` the class whose boundary is meant.
        coefficient: ``(S,)`` share of the sample of that class.
        batch: ``(S,)`` batches 0..B-1.
        distance: ``(S,)`` signed distance to the boundary of the class's region, positive inside.
        margin: ``(S,)`` p_k less the largest other probability.
        logit_margin: ``(S,)`` the same of logits.
    """

    kind: Codes
    label: Codes
    coefficient: Array
    batch: Codes
    distance: Array
    margin: Array
    logit_margin: Array

    def of(self, kind: str) -> NDArray[np.bool_]:
        """``(S,)`` mask of a kind."""
        return np.asarray(self.kind == KINDS.index(kind))

    def batches_of(self, kind: str, classes: NDArray[np.bool_]) -> int:
        """How many batches hold a sample of a kind for one of the classes of a mask ``(K,)``."""
        return int(np.unique(self.batch[self.of(kind) & classes[self.label]]).size)


def read_samples(artifact: Artifact) -> Samples:
    """The recorded samples, measured against the head.

    Args:
        artifact: with head weight and probe arrays.

    Raises:
        DataError: arrays are missing, of unequal length, or hold impossible values.
    """
    arrays = {}
    for part in ("kind", "logits", "label", "coefficient", "batch"):
        if f"{PREFIX}{part}" not in artifact.probes:
            raise DataError(f"Expected a probe array '{PREFIX}{part}' beside the others; record hard_negatives again.")
        arrays[part] = np.asarray(artifact.probes[f"{PREFIX}{part}"])
    logits, size, classes = arrays["logits"].astype(np.float64), len(arrays["kind"]), artifact.num_classes
    if logits.shape != (size, classes) or not size or not np.all(np.isfinite(logits)):
        raise DataError(f"Expected finite logits ({size}, {classes}) under {PREFIX}logits, got shape {logits.shape}.")
    for part, most in (("kind", len(KINDS)), ("label", classes), ("batch", None)):
        values = arrays[part]
        if (
            values.shape != (size,)
            or values.dtype.kind not in "iu"
            or values.min() < 0
            or (most and values.max() >= most)
        ):
            raise DataError(f"Expected {size} codes under {PREFIX}{part}, from 0 and in range.")
    coefficient = arrays["coefficient"].astype(np.float64)
    if coefficient.shape != (size,) or not np.all((coefficient >= 0) & (coefficient <= 1)):
        raise DataError(f"Expected {size} shares in [0, 1] under {PREFIX}coefficient.")
    label = arrays["label"].astype(np.int64)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert artifact.head_weight is not None
    return Samples(
        kind=arrays["kind"].astype(np.int64),
        label=label,
        coefficient=coefficient,
        batch=np.unique(arrays["batch"], return_inverse=True)[1].astype(np.int64),
        distance=region_distance(logits, label, artifact.head_weight),
        margin=score_margin(shifted / shifted.sum(axis=1, keepdims=True), label),
        logit_margin=score_margin(logits, label),
    )
