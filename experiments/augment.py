"""Batch augmentation on the training device with explicit randomness."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from experiments.config import AUGMENTATIONS
from geometry.errors import UsageError


def augment(images: Tensor, name: str, rng: np.random.Generator) -> Tensor:
    """Augment every image on its own.

    ``crop``: a random square window of 70 to 100 % of the area, resampled to full size (bilinear);
    ``crop_flip``: the same, mirrored half of the time (not for digits).

    Args:
        images: ``(B, 3, H, W)`` in [0, 1].
        name: one of ``AUGMENTATIONS``.
        rng: source of randomness.

    Raises:
        UsageError: unknown name.
    """
    if name == "none":
        return images
    if name not in AUGMENTATIONS:
        raise UsageError(f"Unknown augmentation {name!r}; known: {', '.join(AUGMENTATIONS)}.")
    n = len(images)
    side = np.sqrt(rng.uniform(0.7, 1.0, n))
    shift = rng.uniform(-1.0, 1.0, (n, 2)) * (1.0 - side)[:, None]
    mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0) if name == "crop_flip" else np.ones(n)
    window = np.zeros((n, 2, 3))
    window[:, 0, 0], window[:, 1, 1], window[:, :, 2] = side * mirror, side, shift
    theta = torch.as_tensor(window, dtype=images.dtype, device=images.device)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
