"""Decoded pixels, kept on disk: every image is decoded once for a size, whatever run, split or process asks for it."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.data.cache import cache_root, cached_directory
from experiments.data.catalogue import Catalogue
from experiments.data.decode import decode
from geometry.atomic import write_text
from geometry.errors import DataError

Progress = Callable[[int, int], None]
DECODING = 1  # raised whenever decoding gives other pixels for the same file
CHUNK_BYTES = 1 << 26  # pixels between two pushes to the disk


class PixelCache:
    """The images of a catalogue as one memory-mapped uint8 array ``(N, size, size, 3)``, filled as rows are asked for.

    The folder below the cache is named by the content of all files, in catalogue order, and the size: a changed file
    leads to another folder. The array is sparse on disk until rows are written, and a row is marked as there only when
    its pixels are, so a kill leaves nothing half-written that is read; two processes that fill the same row write the
    same bytes.

    Args:
        catalogue: the data set.
        size: pixels a side.
    """

    def __init__(self, catalogue: Catalogue, size: int) -> None:
        self.catalogue, self.size = catalogue, size
        shape = (len(catalogue), size, size, 3)
        name = hashlib.sha256(f"{DECODING} {size} {content_digest(catalogue)}".encode()).hexdigest()[:24]
        self.folder = cached_directory(cache_root() / "pixels" / name, lambda folder: _lay_out(folder, shape))
        self._pixels = np.memmap(self.folder / "pixels.u8", dtype=np.uint8, mode="r", shape=shape)
        self._there = np.memmap(self.folder / "there.u8", dtype=np.uint8, mode="r", shape=(len(catalogue),))

    def holds(self, index: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Which of these images are decoded."""
        return self._there[index] == 1

    def fill(self, index: NDArray[np.intp], progress: Progress | None = None) -> None:
        """Decode those of these images that nobody has decoded yet.

        Raises:
            DataError: a file that is no image (named), or no room on the disk.
        """
        missing = np.unique(index[~self.holds(index)])
        if missing.size == 0:
            return
        chunk = max(1, CHUNK_BYTES // (3 * self.size**2))
        try:
            with (self.folder / "pixels.u8").open("r+b") as pixels, (self.folder / "there.u8").open("r+b") as there:
                for start in range(0, missing.size, chunk):
                    rows = missing[start : start + chunk]
                    images = decode(
                        self.catalogue, rows, self.size, progress=_after(start, missing.size, progress)
                    ).images
                    # Written, not mapped: on a full disk a write fails, a mapped page would end the process.
                    for row, image in zip(rows.tolist(), images, strict=True):
                        _write(pixels.fileno(), image.tobytes(), row * image.nbytes)
                    os.fdatasync(pixels.fileno())
                    for row in rows.tolist():
                        _write(there.fileno(), b"\x01", row)
        except OSError as error:
            raise DataError(
                f"Cannot write the cache at {self.folder}: {error.strerror or error}. "
                "Set TAILGEOM_CACHE to a folder with room."
            ) from error

    def read(self, index: NDArray[np.intp]) -> NDArray[np.uint8]:
        """``(n, size, size, 3)`` pixels, decoded now where they are not there."""
        held = self.holds(index)
        if held.all():
            return self._pixels[index]
        images = np.empty((len(index), *self._pixels.shape[1:]), dtype=np.uint8)
        images[held] = self._pixels[index[held]]
        images[~held] = decode(self.catalogue, index[~held], self.size).images
        return images


def content_digest(catalogue: Catalogue) -> str:
    """SHA-256 of the bytes of all files, in catalogue order.

    Every file is read once; as long as names, sizes and modification times stay, the digest is remembered in the cache.

    Raises:
        DataError: a file cannot be read (named).
    """
    stats = hashlib.sha256()
    for name in catalogue.paths:
        path = catalogue.root / name
        try:
            found = path.stat()
        except OSError as error:
            raise DataError(f"Cannot read the image {path}: {error.strerror or error}.") from error
        stats.update(f"{path.absolute()}\t{found.st_size}\t{found.st_mtime_ns}\n".encode())
    remembered = cache_root() / "contents" / stats.hexdigest()[:24]
    try:
        return remembered.read_text(encoding="ascii")
    except OSError:
        digest = _hash_files([catalogue.root / name for name in catalogue.paths])
        write_text(remembered, digest)
        return digest


def _after(done: int, total: int, progress: Progress | None) -> Progress | None:
    """Progress of one chunk as progress of the whole."""
    return None if progress is None else lambda now, _: progress(done + now, total)


def _hash_files(paths: list[Path]) -> str:
    state = hashlib.sha256()
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"Cannot read the image {path}: {error.strerror or error}.") from error
        state.update(len(content).to_bytes(8, "big"))  # so that two files never pass for one
        state.update(content)
    return state.hexdigest()


def _lay_out(folder: Path, shape: tuple[int, ...]) -> None:
    for name, size in (("pixels.u8", int(np.prod(shape))), ("there.u8", shape[0])):
        with (folder / name).open("wb") as file:
            file.truncate(size)


def _write(descriptor: int, data: bytes, offset: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], offset + written)
