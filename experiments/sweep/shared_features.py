"""Features of an artifact, in memory once for all the processes and splits that read them."""

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.inputs import FeatureInputs
from geometry.atomic import readable_directory

_OPENED: dict[Path, FeatureInputs] = {}


def shared(path: Path, inputs: FeatureInputs) -> FeatureInputs:
    """The same feature vectors, mapped from the artifact's file where that holds them in the same order.

    The pages of a mapped file are shared by all the processes of a machine, and its digest is computed once a process.

    Args:
        path: the artifact.
        inputs: its features as a task has them.
    """
    known = _OPENED.get(path)
    if known is None:
        mapped = mapped_features(path)
        known = _OPENED[path] = inputs if mapped is None else FeatureInputs(mapped)
    if not torch.equal(known.features, inputs.features):  # another order, or another file by now
        _OPENED[path] = known = inputs
    return known


def mapped_features(path: Path) -> NDArray[np.float32] | None:
    """``(N, D)`` features of an artifact directory, mapped from its file; None where they are not float32 there.

    The file is safetensors: eight bytes with the length of a JSON header, the header, the arrays one after the other.
    """
    file = readable_directory(path) / "arrays.safetensors"
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        entry = json.loads(opened.read(length)).get("features", {})
    if entry.get("dtype") != "F32":
        return None
    start, _ = entry["data_offsets"]
    # Copy on write: nothing here writes, and torch asks for memory that could be written.
    return np.memmap(file, dtype=np.float32, mode="c", offset=8 + length + start, shape=tuple(entry["shape"]))
