"""A row of pictures as an animation (GIF)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from figures._atomic import replacing

_COLOURS_KEPT = 255  # one of 256 is left to mean "as before"


def save_gif(pictures: Sequence[NDArray[np.uint8]], path: Path, *, seconds: float = 5.0, hold: float = 1.5) -> Path:
    """Write an animation that repeats for ever; the same pictures give the same bytes.

    Args:
        pictures: ``(height, width, 3)`` pixels each.
        path: where to.
        seconds: how long the motion takes.
        hold: seconds for which the first (half of it) and the last picture stay.

    Raises:
        ValueError: there is no picture.
    """
    from PIL import Image

    if not len(pictures):
        raise ValueError("Expected at least one picture, got none.")
    images = [Image.fromarray(picture) for picture in pictures]
    # One palette for all, or colours would flicker from frame to frame.
    kept = images[:: max(1, len(images) // 6)][:7]
    palette = Image.fromarray(np.concatenate([np.asarray(image) for image in kept])).quantize(_COLOURS_KEPT)
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    # Rounded to a palette, the paper around the drawing would not be quite white.
    colours, corner = palette.getpalette(), images[0].getpixel((0, 0))
    colours[3 * corner : 3 * corner + 3] = pictures[0][0, 0].tolist()
    for image in images:
        image.putpalette(colours)
    each = max(20, round(1000 * seconds / len(images) / 10) * 10)
    durations = [each] * len(images)
    durations[0] += round(500 * hold)
    durations[-1] += round(1000 * hold)
    with replacing(path) as temporary:
        images[0].save(
            temporary, format="GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=False
        )
    return path
