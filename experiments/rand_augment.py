"""RandAugment's operations on batches, every image by an operation and a magnitude of its own."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from experiments import colour


class Operation(NamedTuple):
    """One operation: its least and largest value, and what it makes of images ``(B, 3, H, W)`` and values ``(B,)``."""

    low: float
    high: float
    change: Callable[[Tensor, Tensor], Tensor]


def rand_augment(images: Tensor, which: NDArray[np.integer], magnitude: NDArray[np.floating]) -> Tensor:
    """The images after one operation after the other.

    Args:
        images: ``(B, 3, H, W)`` in [0, 1].
        which: ``(B, n)`` positions in ``OPERATIONS``.
        magnitude: ``(B, n)`` in [0, 1], from an operation's least to its largest value.
    """
    operations = tuple(OPERATIONS.values())
    for step in range(which.shape[1]):
        changed = images.clone()
        for number in np.unique(which[:, step]):
            low, high, change = operations[number]
            rows = np.flatnonzero(which[:, step] == number)
            value = low + (high - low) * magnitude[rows, step]
            chosen = torch.as_tensor(rows, device=images.device)
            changed[chosen] = change(images[chosen], torch.as_tensor(value, dtype=images.dtype, device=images.device))
        images = changed
    return images


def autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Every channel stretched from 0 to 1, by torchvision."""
    from torchvision.transforms.v2 import functional  # over a second to import

    return functional.autocontrast(images)


def equalize(images: Tensor, _: Tensor) -> Tensor:
    """Every channel's histogram made even, in bytes, by torchvision."""
    from torchvision.transforms.v2 import functional

    return functional.equalize(images)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """``f x + (1 - f) s`` with s the image that torchvision smooths by a 3 x 3 kernel, its border as it is."""
    from torchvision.transforms.v2 import functional

    return torch.lerp(functional.adjust_sharpness(images, 0.0), images, _each(factor))


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """The first ``floor(bits)`` bits of every pixel."""
    levels = torch.exp2(_each(bits).floor())
    return torch.minimum((images * levels).floor_(), levels - 1) / levels


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """``1 - x`` where ``x`` is at least the threshold."""
    return torch.where(images >= _each(threshold), 1 - images, images)


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turned about the centre, anticlockwise; black comes in."""
    turn, ratio = torch.deg2rad(degrees), images.shape[2] / images.shape[3]
    cosine, sine, zero = torch.cos(turn), torch.sin(turn), torch.zeros_like(turn)
    return _moved(images, (cosine, -ratio * sine, zero), (sine / ratio, cosine, zero))


def shear_x(images: Tensor, slope: Tensor) -> Tensor:
    """Row y moved left by ``slope y`` pixels, from the top; black comes in."""
    one, zero = torch.ones_like(slope), torch.zeros_like(slope)
    lean = slope * (images.shape[2] / images.shape[3])
    return _moved(images, (one, lean, lean), (zero, one, zero))


def shear_y(images: Tensor, slope: Tensor) -> Tensor:
    """Column x moved up by ``slope x`` pixels, from the left; black comes in."""
    one, zero = torch.ones_like(slope), torch.zeros_like(slope)
    lean = slope * (images.shape[3] / images.shape[2])
    return _moved(images, (one, zero, zero), (lean, one, lean))


def translate_x(images: Tensor, share: Tensor) -> Tensor:
    """Moved left by a share of the width; black comes in."""
    one, zero = torch.ones_like(share), torch.zeros_like(share)
    return _moved(images, (one, zero, 2 * share), (zero, one, zero))


def translate_y(images: Tensor, share: Tensor) -> Tensor:
    """Moved up by a share of the height; black comes in."""
    one, zero = torch.ones_like(share), torch.zeros_like(share)
    return _moved(images, (one, zero, zero), (zero, one, 2 * share))


# FixMatch's operations and ranges (Sohn et al. 2020, table of transformations in the appendix), in that order.
OPERATIONS = {
    "autocontrast": Operation(0.0, 1.0, autocontrast),
    "brightness": Operation(0.05, 0.95, colour.brightness),
    "colour": Operation(0.05, 0.95, colour.saturation),
    "contrast": Operation(0.05, 0.95, colour.contrast),
    "equalize": Operation(0.0, 1.0, equalize),
    "identity": Operation(0.0, 1.0, lambda images, _: images),
    "posterize": Operation(4.0, 8.0, posterize),
    "rotate": Operation(-30.0, 30.0, rotate),
    "sharpness": Operation(0.05, 0.95, sharpness),
    "shear_x": Operation(-0.3, 0.3, shear_x),
    "shear_y": Operation(-0.3, 0.3, shear_y),
    "solarize": Operation(0.0, 1.0, solarize),
    "translate_x": Operation(-0.3, 0.3, translate_x),
    "translate_y": Operation(-0.3, 0.3, translate_y),
}


def _moved(images: Tensor, across: tuple[Tensor, ...], down: tuple[Tensor, ...]) -> Tensor:
    """Every pixel read where an affine map of its place (-1 to 1) points to, from the nearest one."""
    theta = torch.stack([torch.stack(across, dim=1), torch.stack(down, dim=1)], dim=1)
    grid = affine_grid(theta, list(images.shape), align_corners=False)
    return grid_sample(images, grid, mode="nearest", padding_mode="zeros", align_corners=False)


def _each(value: Tensor) -> Tensor:
    return value.reshape(-1, 1, 1, 1)
