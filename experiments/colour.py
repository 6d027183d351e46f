"""Colour of image batches, every image by a factor of its own; the formulas are torchvision's for single images."""

import torch
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)


def greyscale(images: Tensor) -> Tensor:
    """``(B, 1, H, W)`` luma 0.2989 R + 0.587 G + 0.114 B of ``(B, 3, H, W)`` images."""
    red, green, blue = images.unbind(dim=1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).unsqueeze(1)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """``x f``, cut to [0, 1]; ``factor`` is ``(B,)``."""
    return (images * _each(factor)).clamp_(0, 1)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """``f x + (1 - f) m`` with m the mean luma of the image, cut to [0, 1]."""
    mean = greyscale(images).mean(dim=(1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, _each(factor)).clamp_(0, 1)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """``f x + (1 - f) g`` with g the luma of the pixel, cut to [0, 1]."""
    return torch.lerp(greyscale(images), images, _each(factor)).clamp_(0, 1)


def hue(images: Tensor, shift: Tensor) -> Tensor:
    """The hue turned by ``shift`` of a full turn, value and saturation kept."""
    red, green, blue = images.unbind(dim=1)
    value, low = images.amax(dim=1), images.amin(dim=1)
    spread = value - low
    grey = spread == 0
    safe = torch.where(grey, 1.0, spread)
    sixth = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    turned = torch.remainder(torch.where(grey, 0.0, sixth) + 6 * shift.reshape(-1, 1, 1), 6)
    # The channel with offset n has value - spread max(0, min(k, 4 - k, 1)), k = n + hue in sixths of a turn.
    offsets = images.new_tensor([5.0, 3.0, 1.0]).reshape(1, 3, 1, 1)
    k = torch.remainder(offsets + turned.unsqueeze(1), 6)
    return value.unsqueeze(1) - spread.unsqueeze(1) * torch.minimum(k, 4 - k).clamp_(0, 1)


def _each(factor: Tensor) -> Tensor:
    return factor.reshape(-1, 1, 1, 1)
