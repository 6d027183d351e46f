"""What a model is fed: images decoded from files, or feature vectors of an artifact, by sample index."""

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.augment import augment, require_known
from experiments.data.catalogue import Catalogue
from experiments.data.decode import decode
from experiments.data.pixels import PixelCache
from geometry.errors import UsageError

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

    def augmented(self, index: NDArray[np.intp], name: str, rng: np.random.Generator, device: torch.device) -> Tensor:
        """An augmented view of each of these samples, drawn by ``rng``; with ``none``, the batch itself.

        Raises:
            UsageError: unknown augmentation, or one that these inputs cannot have.
        """

    def prepare_views(self, index: NDArray[np.intp], names: Sequence[str], progress: Progress | None = None) -> None:
        """Compute now what views under these augmentations need and can be kept; nothing, where they cost little.

        Raises:
            UsageError: unknown augmentation, or one that these inputs cannot have.
        """

    def digest(self) -> str:
        """What tells these inputs from others beside their names."""


class ImageInputs:
    """Images of a catalogue, decoded once into the cache where they are asked for often, else on the fly.

    Args:
        catalogue: where the images are.
        size: pixels a side.

    Attributes:
        mirror: whether views may be flipped: not where every class is named by one character, as those of digits and
            letters are, for a mirrored character is another one or none (ours).
    """

    images = True
    num_inputs = None

    def __init__(self, catalogue: Catalogue, size: int) -> None:
        self.catalogue, self.size = catalogue, size
        self.mirror = any(len(name) > 1 for name in catalogue.classes)
        self._cache: PixelCache | None = None

    def prepare(self, index: NDArray[np.intp], progress: Progress | None = None) -> None:
        """Decode these samples into the cache, as uint8."""
        self._cache = self._cache or PixelCache(self.catalogue, self.size)
        self._cache.fill(index, progress)

    def batch(self, index: NDArray[np.intp], device: torch.device) -> Tensor:
        """``(n, 3, size, size)`` in [0, 1]."""
        read = self._cache.read(index) if self._cache else decode(self.catalogue, index, self.size).images
        # Bytes travel to the device and become floats there.
        return torch.from_numpy(read).to(device).permute(0, 3, 1, 2).float().div_(255)

    def augmented(self, index: NDArray[np.intp], name: str, rng: np.random.Generator, device: torch.device) -> Tensor:
        """``(n, 3, size, size)`` in [0, 1], each image augmented on its own."""
        return augment(self.batch(index, device), name, rng, mirror=self.mirror)

    def prepare_views(self, index: NDArray[np.intp], names: Sequence[str], progress: Progress | None = None) -> None:
        """Nothing to do beyond :meth:`prepare`: images are augmented as they are asked for."""
        for name in names:
            require_known(name)

    def digest(self) -> str:
        """The size images are brought to; their files are told apart by name."""
        return f"images {self.size}"


class FeatureInputs:
    """Feature vectors that another model made, as one contiguous float32 tensor.

    Args:
        features: ``(N, D)``.
    """

    images = False

    def __init__(self, features: NDArray[np.floating]) -> None:
        self.features = torch.from_numpy(np.require(features, np.float32, ("C", "W")))
        self.num_inputs = int(self.features.shape[1])
        self._row = np.arange(len(self.features))
        self._store: dict[torch.device, Tensor] = {torch.device("cpu"): self.features}

    def prepare(self, index: NDArray[np.intp], progress: Progress | None = None) -> None:
        """Lay these samples out one after the other, so that a whole part is a view and not a copy."""
        if np.array_equal(self._row[index], np.arange(len(index))):
            return
        rest = np.setdiff1d(np.arange(len(self.features)), index)
        order = np.concatenate([index, rest])
        self._row = np.argsort(order)
        self._store = {torch.device("cpu"): self.features[torch.from_numpy(order)]}

    def batch(self, index: NDArray[np.intp], device: torch.device) -> Tensor:
        """``(n, D)``; a view where the samples lie side by side."""
        if device not in self._store:
            self._store[device] = self._store[torch.device("cpu")].to(device)
        store, rows = self._store[device], self._row[index]
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
            return store[rows[0] : rows[-1] + 1]
        return store.index_select(0, torch.from_numpy(rows).to(device))

    def augmented(self, index: NDArray[np.intp], name: str, rng: np.random.Generator, device: torch.device) -> Tensor:
        """The batch itself under ``none``; there is no other view.

        Raises:
            UsageError: any other augmentation.
        """
        self.prepare_views(index, (name,))
        return self.batch(index, device)

    def prepare_views(self, index: NDArray[np.intp], names: Sequence[str], progress: Progress | None = None) -> None:
        """Nothing to do: there is one view.

        Raises:
            UsageError: any augmentation but ``none``.
        """
        for name in names:
            if name != "none":
                # Of the algorithms, those that compare views called contrast can do with the one view.
                way_out = ", or --set views=0" if name == "contrast" else ""
                raise UsageError(
                    f"Features of an artifact have one view, and {name!r} asks for augmented images: give the images "
                    f"(--data) and --finetune none in place of --features{way_out}."
                )

    def digest(self) -> str:
        """SHA-256 of the features."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        return hashlib.sha256(self.features.numpy().data).hexdigest()
