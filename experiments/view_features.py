"""Feature vectors of augmented images, a few augmentations of every image, computed as they are asked for and kept."""

import fcntl
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geometry.atomic import replacing
from geometry.errors import DataError

CHUNK = 128  # images of a file; part of what a view depends on
Key = tuple[str, int, int]
Compute = Callable[[NDArray[np.intp], str, np.random.Generator], NDArray[np.float32]]
Progress = Callable[[int, int], None]


class ViewFeatures:
    """``copies`` views of each of N images under every augmentation, as feature vectors ``(N, D)`` on disk.

    One file holds one copy of a chunk of images that follow each other, whole; its randomness is named by augmentation,
    copy and chunk, so a view depends on neither the run nor on what else is asked for. A file appears under its name
    when it is complete. Processes that compute at once share the chunks out: each takes those that no other has begun.

    Args:
        folder: below the cache, named by images and backbone.
        count: N.
        copies: views of every image and augmentation.
        compute: features of the images at an index under the augmentation of a name.
    """

    def __init__(self, folder: Path, count: int, copies: int, compute: Compute) -> None:
        self.folder, self.count, self.copies, self._compute = folder, count, copies, compute
        self._opened: dict[Key, NDArray[np.float32]] = {}

    def prepare(self, index: NDArray[np.intp], names: Iterable[str], progress: Progress | None = None) -> None:
        """Compute every copy of these images' views that is not there yet, with their neighbours in the chunk.

        Args:
            index: the images.
            names: augmentations.
            progress: called with the views computed so far and all that are to be computed now.

        Raises:
            DataError: the cache cannot be written.
        """
        chunks = np.unique(index // CHUNK).tolist()
        self._fill([(name, copy, chunk) for name in names for copy in range(self.copies) for chunk in chunks], progress)

    def read(self, index: NDArray[np.intp], name: str, rng: np.random.Generator) -> NDArray[np.float32]:
        """``(n, D)``: of each image one of its copies, drawn by ``rng``; computed now where it is not there.

        Raises:
            DataError: the cache cannot be written.
        """
        copy, (chunk, row) = rng.integers(0, self.copies, len(index)), np.divmod(index, CHUNK)
        wanted = list(zip([name] * len(index), copy.tolist(), chunk.tolist(), strict=True))
        self._fill([key for key in dict.fromkeys(wanted) if key not in self._opened])
        return np.stack([self._open(key)[at] for key, at in zip(wanted, row.tolist(), strict=True)])

    def _open(self, key: Key) -> NDArray[np.float32]:
        if key not in self._opened:
            # A plain view of the map: as an array, np.memmap costs more than the row it reads.
            self._opened[key] = np.asarray(np.load(self._path(key), mmap_mode="r", allow_pickle=False))
        return self._opened[key]

    def _path(self, key: Key) -> Path:
        name, copy, chunk = key
        return self.folder / f"{name}-{copy}" / f"{chunk:05d}.npy"

    def _images(self, key: Key) -> NDArray[np.intp]:
        return np.arange(key[2] * CHUNK, min((key[2] + 1) * CHUNK, self.count))

    def _fill(self, keys: Sequence[Key], progress: Progress | None = None) -> None:
        missing = [key for key in keys if not self._path(key).exists()]
        done, total = 0, sum(len(self._images(key)) for key in missing)
        for wait in (False, True):  # first what nobody is at, then what others began
            left = []
            for key in missing:
                if not self._make(key, wait):
                    left.append(key)
                    continue
                done += len(self._images(key))
                if progress is not None:
                    progress(done, total)
            missing = left

    def _make(self, key: Key, wait: bool) -> bool:
        """See that a chunk is there; False where another process is at it and we do not wait."""
        path = self._path(key)
        if path.exists():
            return True
        claim = path.with_name(f".{path.name}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = claim.open("w")
        except OSError as error:
            raise DataError(
                f"Cannot write the cache at {path.parent}: {error.strerror or error}. "
                "Set TAILGEOM_CACHE to a folder with room."
            ) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                return False
            except OSError:
                pass  # a file system without locks: two processes may then compute the same bytes
            try:
                if not path.exists():
                    found = self._compute(self._images(key), key[0], _randomness(key))
                    with replacing(path) as temporary, temporary.open("wb") as file:
                        np.save(file, found)
            finally:
                claim.unlink(missing_ok=True)
        return True


def _randomness(key: Key) -> np.random.Generator:
    """The generator of one copy of one chunk under one augmentation."""
    name, copy, chunk = key
    return np.random.default_rng(np.random.SeedSequence([copy, chunk, *name.encode()]))
