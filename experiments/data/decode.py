"""Decoding: files of a catalogue to one array of RGB pixels."""

import os
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, UnidentifiedImageError

from experiments.data.catalogue import Catalogue
from geometry.errors import DataError, UsageError


@dataclass(frozen=True, eq=False)
class Decoded:
    """Pixels of images of a catalogue.

    Attributes:
        images: ``(n, size, size, 3)`` uint8 RGB.
        kept: ``(n,)`` catalogue indices of the images, in the order asked for.
        broken: ids of the files that could not be read (empty unless they were to be skipped).
        reasons: why, one for each of ``broken``.
    """

    images: NDArray[np.uint8]
    kept: NDArray[np.intp]
    broken: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


def decode(
    catalogue: Catalogue,
    indices: ArrayLike | None = None,
    size: int = 224,
    *,
    skip_broken: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Decoded:
    """Read images as RGB squares, in threads.

    Every image is brought to ``size`` x ``size`` directly, its aspect ratio given up and nothing cropped, by
    antialiased bilinear interpolation: DomainBed's evaluation transform ``Resize((size, size))``. An image that has
    the size already is left as it is. All pixels are held in memory, ``3 size^2`` bytes an image; ask for a part of
    the catalogue at a time where that is too much.

    Args:
        catalogue: the data set.
        indices: ``(n,)`` catalogue indices; all images without them.
        size: side of the square in pixels.
        skip_broken: leave out files that cannot be read and list them, instead of raising.
        progress: called with (images done, images asked for) as the work goes on.

    Raises:
        DataError: a truncated, missing or non-image file, named; with ``skip_broken``, only when none could be read.
        UsageError: a size below 1.
    """
    if size < 1:
        raise UsageError(f"Expected an image size of at least 1 pixel, got {size}.")
    asked = np.arange(len(catalogue)) if indices is None else np.asarray(indices, dtype=np.intp)
    images = np.empty((asked.size, size, size, 3), dtype=np.uint8)
    paths = [catalogue.root / catalogue.paths[i] for i in asked]
    faults: dict[int, str] = {}
    # Pillow warns of odd metadata in files it reads well; the filter is the process's, so it is set around the threads.
    with warnings.catch_warnings(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        warnings.simplefilter("ignore")
        try:
            faulty = pool.map(lambda job: _decode_into(images, *job), enumerate(paths))
            for position, fault in enumerate(faulty):
                if fault is not None and not skip_broken:
                    raise DataError(f"Cannot read the image {paths[position]}: {fault}.")
                if fault is not None:
                    faults[position] = fault
                if progress is not None:
                    progress(position + 1, asked.size)
        finally:
            pool.shutdown(cancel_futures=True)
    if not faults:
        return Decoded(images, asked)
    if len(faults) == asked.size:
        raise DataError(f"None of {asked.size} images under {catalogue.root} can be read; the first: {faults[0]}.")
    good = np.setdiff1d(np.arange(asked.size), np.fromiter(faults, dtype=np.intp))
    broken = tuple(catalogue.paths[asked[position]] for position in faults)
    return Decoded(images[good], asked[good], broken, tuple(faults.values()))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow clips 16-bit grey at 255 instead of scaling it
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    # A palette with per-entry transparency has to pass through RGBA, or Pillow complains and guesses.
    return (image.convert("RGBA") if "transparency" in image.info else image).convert("RGB")


def _decode_into(images: NDArray[np.uint8], position: int, path: Path) -> str | None:
    """Decode one file into its place; say what is wrong with it, or None."""
    size = images.shape[1]
    try:
        with Image.open(path) as file:
            image = _rgb(file)
        images[position] = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
    except MemoryError:
        raise
    except FileNotFoundError:
        return "the file is not there any more"
    except UnidentifiedImageError:
        return "it is not an image of a known format"
    except (
        Exception
    ) as error:  # a corrupt file makes Pillow's decoders raise anything: OSError, SyntaxError, struct.error
        return str(error).rstrip(".") or type(error).__name__
    return None
