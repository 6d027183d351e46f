"""A random window of every image brought to full size, and random colours: DomainBed's and SimCLR's transforms."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from experiments import colour

SCALE, RATIO, TRIES = (0.7, 1.0), (3 / 4, 4 / 3), 10
JITTER, GREY_SHARE = (0.3, 0.3, 0.3, 0.3), 0.1
CHANGES = (colour.brightness, colour.contrast, colour.saturation, colour.hue)
UNCHANGED = -1


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is to happen to every image of a batch.

    Attributes:
        window: ``(B, 4)`` top, left, height and width in pixels.
        mirror: ``(B,)`` whether it is flipped left to right.
        order: ``(B, 4)`` the order in which brightness, contrast, saturation and hue (0 to 3) change; -1 where the
            colours stay.
        amount: ``(B, 4)`` their factors, and the turn of the hue.
        grey: ``(B,)`` whether it loses its colour.
    """

    window: NDArray[np.int64]
    mirror: NDArray[np.bool_]
    order: NDArray[np.int64]
    amount: NDArray[np.float64]
    grey: NDArray[np.bool_]


def draw(
    n: int,
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    scale: tuple[float, float] = SCALE,
    jitter: tuple[float, float, float, float] = JITTER,
    jittered: float = 1.0,
    grey_share: float = GREY_SHARE,
    mirror: bool = True,
) -> Drawn:
    """Draw the transform of n images of ``size`` (height, width); without options, DomainBed's for training.

    RandomResizedCrop (area ``scale``, aspect 3/4 to 4/3, ten tries, then the whole image), a flip half of the time,
    ColorJitter (in random order), and greyscale; the distributions are torchvision's. (DomainBed crops the file, ours
    the image already brought to its size.)

    Source: Gulrajani and Lopez-Paz 2021, as the NDCL release uses it.

    Args:
        n: number of images.
        size: of every image, in pixels.
        rng: source of randomness.
        scale: least and largest share of the area that is kept.
        jitter: largest change of brightness, contrast, saturation (factors 1 - s to 1 + s) and hue (turns of -s to s).
        jittered: share of images whose colours change.
        grey_share: share of images that lose their colour.
        mirror: whether images are flipped at all.
    """
    height, width = size
    area = height * width * rng.uniform(*scale, (n, TRIES))
    aspect = np.exp(rng.uniform(*np.log(RATIO), (n, TRIES)))
    tall, wide = np.rint(np.sqrt(area / aspect)).astype(np.int64), np.rint(np.sqrt(area * aspect)).astype(np.int64)
    fits = (tall >= 1) & (tall <= height) & (wide >= 1) & (wide <= width)
    first = np.argmax(fits, axis=1)[:, None]
    found = fits.any(axis=1)
    h = np.where(found, np.take_along_axis(tall, first, axis=1)[:, 0], height)
    w = np.where(found, np.take_along_axis(wide, first, axis=1)[:, 0], width)
    window = np.stack([rng.integers(0, height - h + 1), rng.integers(0, width - w + 1), h, w], axis=1)
    mirrored = (rng.random(n) < 0.5) & mirror
    order = rng.permuted(np.tile(np.arange(len(CHANGES)), (n, 1)), axis=1)
    strength = np.asarray(jitter)
    amount = rng.uniform(1 - strength, 1 + strength, (n, len(CHANGES)))
    amount[:, -1] -= 1  # the hue turns by -s to s
    grey = rng.random(n) < grey_share
    if jittered < 1:
        order[rng.random(n) >= jittered] = UNCHANGED
    return Drawn(window, mirrored, order, amount, grey)


def apply(images: Tensor, drawn: Drawn) -> Tensor:
    """The images ``(B, 3, H, W)`` in [0, 1] after what was drawn for them."""
    images = _resized_crop(images, drawn)
    amount = torch.as_tensor(drawn.amount, dtype=images.dtype, device=images.device)
    for position in range(len(CHANGES)):
        changed = images.clone()
        for number, change in enumerate(CHANGES):
            chosen = torch.as_tensor(np.flatnonzero(drawn.order[:, position] == number), device=images.device)
            if len(chosen):
                changed[chosen] = change(images[chosen], amount[chosen, number])
        images = changed
    grey = torch.as_tensor(np.flatnonzero(drawn.grey), device=images.device)
    if len(grey):
        images[grey] = colour.greyscale(images[grey]).expand(-1, 3, -1, -1)
    return images


def _resized_crop(images: Tensor, drawn: Drawn) -> Tensor:
    height, width = images.shape[2:]
    top, left, tall, wide = drawn.window.T
    rows = _positions(top, tall, height)
    columns = _positions(left, wide, width)
    columns = np.where(drawn.mirror[:, None], columns[:, ::-1], columns)
    grid = np.empty((len(images), height, width, 2), dtype=np.float32)
    grid[..., 0], grid[..., 1] = columns[:, None, :], rows[:, :, None]
    where = torch.as_tensor(grid, dtype=images.dtype, device=images.device)
    return grid_sample(images, where, mode="bilinear", padding_mode="border", align_corners=False)


def _positions(start: NDArray[np.int64], extent: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Where the ``size`` pixels of the output lie in the input, in grid_sample's -1 to 1; never beyond the window."""
    inside = (np.arange(size) + 0.5) * extent[:, None] / size - 0.5
    pixel = start[:, None] + np.clip(inside, 0, extent[:, None] - 1)
    return (2 * pixel + 1) / size - 1
