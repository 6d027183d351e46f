"""Batch augmentation on the training device with explicit randomness, every image on its own."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from experiments.config import AUGMENTATIONS
from experiments.crop_and_colour import apply, draw
from experiments.shifting import shift_and_flip
from experiments.views import VIEWS
from geometry.errors import UsageError


def augment(images: Tensor, name: str, rng: np.random.Generator, *, mirror: bool = True) -> Tensor:
    """Augment every image on its own.

    ``crop``: a random square window of 70 to 100 % of the area, resampled to full size (bilinear);
    ``crop_flip``: the same, mirrored half of the time (not for digits); ``protocol``: what DomainBed trains with, see
    :func:`experiments.crop_and_colour.draw`; ``cifar``: see :func:`experiments.shifting.shift_and_flip`; ``weak``,
    ``strong``, ``contrast``: the views of semi-supervised and contrastive learning, see :mod:`experiments.views`.

    Args:
        images: ``(B, 3, H, W)`` in [0, 1].
        name: one of ``AUGMENTATIONS``.
        rng: source of randomness.
        mirror: whether ``weak``, ``strong`` and ``contrast`` flip images; the others say so in their name.

    Raises:
        UsageError: unknown name.
    """
    require_known(name)
    if name == "none":
        return images
    if name in VIEWS:
        return VIEWS[name](images, rng, mirror=mirror)
    if name == "protocol":
        return apply(images, draw(len(images), (images.shape[2], images.shape[3]), rng))
    if name == "cifar":
        return shift_and_flip(images, rng)
    n = len(images)
    side = np.sqrt(rng.uniform(0.7, 1.0, n))
    shift = rng.uniform(-1.0, 1.0, (n, 2)) * (1.0 - side)[:, None]
    flip = np.where(rng.random(n) < 0.5, -1.0, 1.0) if name == "crop_flip" else np.ones(n)
    window = np.zeros((n, 2, 3))
    window[:, 0, 0], window[:, 1, 1], window[:, :, 2] = side * flip, side, shift
    theta = torch.as_tensor(window, dtype=images.dtype, device=images.device)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def require_known(name: str) -> None:
    """Refuse an augmentation that is none.

    Raises:
        UsageError: unknown name.
    """
    if name not in AUGMENTATIONS:
        raise UsageError(f"Unknown augmentation {name!r}; known: {', '.join(AUGMENTATIONS)}.")
