"""The views of semi-supervised and contrastive learning: weak, strong and contrast.

The randomness is the given generator's alone. In ``weak`` and ``strong`` image i of a batch reads row i of one array of
uniform numbers, so its view depends on its place and not on how many images follow; ``contrast`` draws a column at a
time, so its views depend on the size of the batch as well. None depends on what the other images show.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from experiments.crop_and_colour import apply, draw
from experiments.rand_augment import OPERATIONS, rand_augment
from experiments.shifting import windows

SHIFT = 1 / 8
APPLIED = 2
CUT, GREY = 0.5, 0.5
CONTRAST_SCALE, CONTRAST_JITTER, CONTRAST_JITTERED, CONTRAST_GREY = (0.08, 1.0), (0.4, 0.4, 0.4, 0.1), 0.8, 0.2
VERSION = 1  # raised whenever a view of the same randomness becomes another one, as cached features depend on it


def weak(images: Tensor, rng: np.random.Generator, *, mirror: bool = True) -> Tensor:
    """A flip half of the time, and a translation of up to 12.5 % of the side in both directions.

    Every whole number of pixels is equally likely; what comes in is the image mirrored at its border.

    Source: FixMatch (Sohn et al. 2020, section 2.3). The SSDG benchmark (Zhou et al. 2023) instead cuts a window out of
    the image enlarged by 12.5 %, for half of the images.

    Args:
        images: ``(B, 3, H, W)`` in [0, 1].
        rng: source of randomness.
        mirror: whether images are flipped at all.
    """
    return _shifted(images, rng.random((len(images), 3)), mirror)


def strong(images: Tensor, rng: np.random.Generator, *, mirror: bool = True) -> Tensor:
    """The weak view, two random operations of random magnitude, and a grey square of up to half a side.

    The square's side is uniform in 0 to half the width, its centre anywhere; what lies beyond the border is lost.

    Source: FixMatch with RandAugment (Sohn et al. 2020, section 2.3 and the appendix's table of transformations). That
    places are read from the nearest pixel and black comes in is torchvision's and Pillow's default. The SSDG benchmark
    (Zhou et al. 2023) has no translation of its own here, and a square of fixed side.

    Args:
        images: ``(B, 3, H, W)`` in [0, 1].
        rng: source of randomness.
        mirror: whether images are flipped at all.
    """
    drawn = rng.random((len(images), 6 + 2 * APPLIED))
    which = (drawn[:, 6 : 6 + APPLIED] * len(OPERATIONS)).astype(np.int64)
    changed = rand_augment(_shifted(images, drawn[:, :3], mirror), which, drawn[:, 6 + APPLIED :])
    return cutout(changed, CUT * drawn[:, 3], drawn[:, 4:6])


def contrast(images: Tensor, rng: np.random.Generator, *, mirror: bool = True) -> Tensor:
    """SimCLR's view without blur: RandomResizedCrop, flip, ColorJitter for four of five images, one in five grey.

    The crop keeps 8 to 100 % of the area (torchvision's default); brightness, contrast and saturation change by up to
    0.4, the hue by up to a tenth of a turn.

    Source: the released code of ECL's predecessor, as BCL (Zhu et al. 2022) has it after Chen et al. 2020. (The
    predecessor also erases a rectangle on its small data sets; not here.)

    Args:
        images: ``(B, 3, H, W)`` in [0, 1].
        rng: source of randomness.
        mirror: whether images are flipped at all.
    """
    drawn = draw(
        len(images),
        (images.shape[2], images.shape[3]),
        rng,
        scale=CONTRAST_SCALE,
        jitter=CONTRAST_JITTER,
        jittered=CONTRAST_JITTERED,
        grey_share=CONTRAST_GREY,
        mirror=mirror,
    )
    return apply(images, drawn)


VIEWS: Final[dict[str, Callable[..., Tensor]]] = {"weak": weak, "strong": strong, "contrast": contrast}


def cutout(images: Tensor, side: NDArray[np.floating], centre: NDArray[np.floating]) -> Tensor:
    """The images with a grey square each, over every pixel whose centre lies in it.

    Args:
        images: ``(B, C, H, W)``.
        side: ``(B,)`` as a share of the width.
        centre: ``(B, 2)`` down and across, as shares of height and width.
    """
    height, width = images.shape[2:]
    half = side[:, None] * width / 2
    rows = np.abs(np.arange(height) + 0.5 - centre[:, :1] * height) < half
    columns = np.abs(np.arange(width) + 0.5 - centre[:, 1:] * width) < half
    inside = torch.as_tensor(rows[:, None, :, None] & columns[:, None, None, :], device=images.device)
    return images.masked_fill(inside, GREY)


def _shifted(images: Tensor, drawn: NDArray[np.floating], mirror: bool) -> Tensor:
    """Flip and translation from ``(B, 3)`` uniform numbers."""
    height, width = images.shape[2:]
    down, across = int(SHIFT * height), int(SHIFT * width)
    start = (drawn[:, 1:] * (2 * np.array([down, across]) + 1)).astype(np.int64)
    padded = pad(images, [across, across, down, down], mode="reflect")
    return windows(padded, start.T, (drawn[:, 0] < 0.5) & mirror, (height, width))
