"""What a model is fed: images decoded from files, or feature vectors of an artifact, by sample index."""

import hashlib
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.data.catalogue import Catalogue
from experiments.data.decode import decode

Progress = Callable[[int, int], None]


class Inputs(Protocol):
    """Samples by index.

    Attributes:
        images: whether samples are images.
        num_inputs: dimension of feature vectors; None for images.
    """

    images: bool
    num_inputs: int | None

    def prepare(self, index: NDArray[np.intp], progress: Progress | None = None) -> None:
        """Decode these samples now and keep them: they will be asked for often."""

    def batch(self, index: NDArray[np.intp], device: torch.device) -> Tensor:
        """The samples at ``index`` as floats on the device."""

    def digest(self) -> str:
        """What tells these inputs from others beside their names."""


class ImageInputs:
    """Images of a catalogue, decoded once where they are asked for often, else on the fly.

    Args:
        catalogue: where the images are.
        size: pixels a side.
    """

    images = True
    num_inputs = None

    def __init__(self, catalogue: Catalogue, size: int) -> None:
        self.catalogue, self.size = catalogue, size
        self._row = np.full(len(catalogue.paths), -1, dtype=np.int64)
        self._store = np.zeros((0, size, size, 3), dtype=np.uint8)

    def prepare(self, index: NDArray[np.intp], progress: Progress | None = None) -> None:
        """Decode these samples and keep them as uint8."""
        fresh = np.unique(index[self._row[index] < 0])
        if fresh.size:
            decoded = decode(self.catalogue, fresh, self.size, progress=progress)
            self._row[fresh] = len(self._store) + np.arange(fresh.size)
            self._store = np.concatenate([self._store, decoded.images])

    def batch(self, index: NDArray[np.intp], device: torch.device) -> Tensor:
        """``(n, 3, size, size)`` in [0, 1]."""
        rows = self._row[index]
        pixels = self._store[rows] if (rows >= 0).all() else decode(self.catalogue, index, self.size).images
        return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)

    def digest(self) -> str:
        """The size images are brought to; their files are told apart by name."""
        return f"images {self.size}"


class FeatureInputs:
    """Feature vectors that another model made.

    Args:
        features: ``(N, D)``.
    """

    images = False

    def __init__(self, features: NDArray[np.floating]) -> None:
        self.features = torch.as_tensor(np.asarray(features, dtype=np.float32))
        self.num_inputs = int(self.features.shape[1])

    def prepare(self, index: NDArray[np.intp], progress: Progress | None = None) -> None:
        """Nothing to decode."""

    def batch(self, index: NDArray[np.intp], device: torch.device) -> Tensor:
        """``(n, D)``."""
        return self.features[torch.as_tensor(index)].to(device)

    def digest(self) -> str:
        """SHA-256 of the features."""
        return hashlib.sha256(self.features.numpy().tobytes()).hexdigest()
