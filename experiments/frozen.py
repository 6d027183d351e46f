"""Features of a backbone that stays as it is: computed once for every image of a data set, then only read."""

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.augment import require_known
from experiments.config import ModelConfig
from experiments.data.cache import cache_root, cached_directory
from experiments.data.pixels import content_digest
from experiments.folding import folded
from experiments.inputs import FeatureInputs, ImageInputs, Progress
from experiments.models import Classifier, build_classifier
from experiments.view_features import ViewFeatures
from experiments.views import VERSION

CHUNK = 128


class FrozenInputs:
    """A data set's images as the feature vectors that a frozen backbone makes of them, kept in the cache.

    The features of all images are computed when training first prepares any, without augmentation; every split, seed
    and algorithm then reads the same ones. The cache folder is named by the content of the images and of the backbone.
    Augmented views are the features of a few augmentations of every image, computed for the images that are asked for
    (:mod:`experiments.view_features`).

    Args:
        images: the images.
        model: the backbone, how many augmentations of every image its views are drawn from, and in which precision.
        seed: of the initialisation, where the backbone is not pretrained.
        device: where features are computed.

    Attributes:
        pixels: the images.
        copies: augmentations of every image.
    """

    images = False

    def __init__(self, images: ImageInputs, model: ModelConfig, seed: int, device: torch.device) -> None:
        self.pixels, self.copies, self._device = images, model.view_copies, device
        self._half = model.view_precision == "bf16"
        self._model = build_classifier(model.backbone, 1, seed=seed, weights=model.weights).to(device).eval()
        self.num_inputs = int(self._model.head.in_features)
        self._features: FeatureInputs | None = None

    def prepare(self, index: NDArray[np.intp], progress: Progress | None = None) -> None:
        """Compute the features of every image, or read them from the cache."""
        self._open(progress).prepare(index)

    def batch(self, index: NDArray[np.intp], device: torch.device) -> Tensor:
        """``(n, D)``."""
        return self._open().batch(index, device)

    def augmented(self, index: NDArray[np.intp], name: str, rng: np.random.Generator, device: torch.device) -> Tensor:
        """``(n, D)`` features, of each image under one of its augmentations, drawn by ``rng``."""
        require_known(name)
        if name == "none":
            return self.batch(index, device)
        if not len(index):
            return torch.empty((0, self.num_inputs), device=device)
        return torch.from_numpy(self._views.read(index, name, rng)).to(device)

    def prepare_views(self, index: NDArray[np.intp], names: Sequence[str], progress: Progress | None = None) -> None:
        """Compute the features of every augmentation of these images that the cache does not hold.

        Raises:
            UsageError: unknown augmentation.
            DataError: the cache cannot be written.
        """
        for name in names:
            require_known(name)
        self._views.prepare(index, [name for name in dict.fromkeys(names) if name != "none"], progress)

    def digest(self) -> str:
        """SHA-256 of the features."""
        return self._open().digest()

    def network(self, trained: Classifier) -> Classifier:
        """The backbone with the head of a classifier trained on its features: pixels to logits."""
        whole = deepcopy(self._model)
        whole.head, whole.cosine = deepcopy(trained.head), trained.cosine
        return whole

    @cached_property
    def _made_from(self) -> str:
        """What tells these features from others: images, their size, and the backbone."""
        return " ".join((content_digest(self.pixels.catalogue), self.pixels.digest(), backbone_digest(self._model)))

    @cached_property
    def _views(self) -> ViewFeatures:
        # Nothing here holds these inputs themselves: in a circle, a sweep's networks would wait long to be freed.
        pixels, device, half, fast = self.pixels, self._device, self._half, folded(self._model)
        made_from = f"{self._made_from} views {VERSION} mirror {pixels.mirror}{' bf16' * half}"
        folder = cache_root() / "views" / hashlib.sha256(made_from.encode()).hexdigest()[:24]

        def compute(index: NDArray[np.intp], name: str, rng: np.random.Generator) -> NDArray[np.float32]:
            seen = pixels.augmented(index, name, rng, device)
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=half):
                return fast.features(seen).float().cpu().numpy()

        return ViewFeatures(folder, len(pixels.catalogue), self.copies, compute)

    def _open(self, progress: Progress | None = None) -> FeatureInputs:
        if self._features is None:
            name = hashlib.sha256(self._made_from.encode()).hexdigest()[:24]

            def compute(folder: Path) -> None:
                np.save(folder / "features.npy", features_of(self._model, self.pixels, self._device, progress))

            folder = cached_directory(cache_root() / "features" / name, compute)
            self._features = FeatureInputs(np.load(folder / "features.npy", allow_pickle=False))
        return self._features


def features_of(
    model: Classifier, images: ImageInputs, device: torch.device, progress: Progress | None = None
) -> NDArray[np.float32]:
    """``(N, D)`` features of every image of a catalogue, in evaluation mode."""
    n = len(images.catalogue)
    found = np.empty((n, model.head.in_features), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, n, CHUNK):
            index = np.arange(start, min(start + CHUNK, n))
            found[index] = model.features(images.batch(index, device)).float().cpu().numpy()
            if progress is not None:
                progress(int(index[-1]) + 1, n)
    return found


def backbone_digest(model: Classifier) -> str:
    """SHA-256 of a backbone's parameters, buffers and pixel statistics."""
    state = hashlib.sha256(repr((model.mean.tolist(), model.std.tolist())).encode())
    for name, tensor in model.backbone.state_dict().items():
        state.update(name.encode())
        state.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()
