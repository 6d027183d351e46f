"""Files that are either whole or absent: write beside, then rename."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from geometry.errors import DataError, UsageError

READ_ATTEMPTS = 5
Read = TypeVar("Read")


def plain(value: Any) -> Any:
    """Turn a result into what JSON can hold: dicts, lists, strings, finite numbers, None.

    NaN and infinities become ``None`` because JSON has no word for them.

    >>> plain({"a": np.float64(0.5), "b": np.array([1, 2]), "c": float("nan")})
    {'a': 0.5, 'b': [1, 2], 'c': None}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block succeeds.

    Raises:
        DataError: the directory cannot be written or the disk is full.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror or error}. Nothing was left half-written.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def require_replaceable(path: Path, holds: Collection[str]) -> None:
    """Refuse to put a directory where it would destroy something else.

    Args:
        path: where the directory is to go.
        holds: names of the files in such a directory; one that holds anything else is not ours to replace.

    Raises:
        UsageError: ``path`` is a file, or a directory that holds other things.
    """
    path = Path(path)
    if path.is_dir():
        others = sorted(entry.name for entry in path.iterdir() if entry.name not in holds)
        if others:
            raise UsageError(f"{path} holds other things ({others[0]}) that would be lost; choose another place.")
    else:
        require_directory(path)


def require_directory(path: Path) -> None:
    """Refuse a place where no directory can be: for who will write files into it once they are computed.

    Raises:
        UsageError: there is a file (or a link that leads nowhere) at ``path``, or above it.
    """
    path = Path(path)
    for place in (path, *path.absolute().parents):
        if place.is_dir():
            return
        if place.exists() or place.is_symlink():
            here = "a file" if place == path else f"the file {place} above it"
            raise UsageError(f"Expected a new or our own directory at {path}, found {here}; choose another place.")


@contextmanager
def replacing_directory(path: Path, holds: Collection[str]) -> Iterator[Path]:
    """Yield a temporary directory beside ``path``; put it in ``path``'s place when the block succeeds.

    There is one instant, between the two renames, when nothing lies at ``path``. A reader then finds the old
    directory through :func:`readable_directory`; a writer restarted after ``kill -9`` puts it back by
    :func:`recover_directory`.

    Args:
        path: where the directory goes.
        holds: names of the files it has (:func:`require_replaceable`).

    Raises:
        UsageError: something else lies at ``path``.
        DataError: the directory cannot be written or the disk is full.
    """
    path = Path(path).absolute()
    require_replaceable(path, holds)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        yield temporary
        temporary.chmod(0o755)
        for file in temporary.iterdir():
            file.chmod(0o644)
        previous = _previous(path)
        if path.exists():  # else a crash left the previous directory as the only whole one
            shutil.rmtree(previous, ignore_errors=True)
            path.replace(previous)
        temporary.replace(path)
        shutil.rmtree(previous, ignore_errors=True)
    except OSError as error:
        raise DataError(f"Cannot write {path}: {error.strerror or error}. Nothing was left half-written.") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def readable_directory(path: Path) -> Path:
    """Where the directory ``path`` can be read at this instant: there, or beside it in the middle of a replacement.

    Renames nothing, so it never comes in the way of a writer. Without either directory the answer is ``path``.
    """
    path = Path(path)
    previous = _previous(path)
    # Asked a second time: a writer that finishes between the questions leaves the new directory at `path`.
    return previous if not path.exists() and previous.exists() and not path.exists() else path


def read_directory(path: Path, read: Callable[[Path], Read]) -> Read:
    """What ``read`` makes of the directory ``path``, all of its files from one and the same replacement.

    Args:
        path: where the directory lies.
        read: given the place where it can be read now (:func:`readable_directory`), returns what is there or raises
            DataError; called again when a writer took that place away under it.

    Raises:
        DataError: ``read`` raised it of a directory that nobody touched, or it is replaced faster than it can be read.
    """
    for _ in range(READ_ATTEMPTS):
        place = readable_directory(path)
        before = _version(place)
        try:
            found = read(place)
        except DataError:
            if readable_directory(path) == place and _version(place) == before:
                raise
            continue
        if _version(place) == before:
            return found
    raise DataError(f"{path} is being replaced faster than it can be read; try again.")


def _version(place: Path) -> tuple[int, int] | None:
    """What changes when another directory comes to lie at ``place``, or when its files are removed one by one."""
    try:
        found = place.stat()
    except OSError:  # nothing there, or nothing that can be there
        return None
    return found.st_ino, found.st_mtime_ns


def recover_directory(path: Path) -> None:
    """Put back the previous directory if a crash fell between the two renames of a replacement.

    For the one process that writes ``path``; a reader calls :func:`readable_directory`.
    """
    path = Path(path)
    previous = _previous(path)
    if previous.exists() and not path.exists():
        previous.replace(path)


def _previous(path: Path) -> Path:
    path = path.absolute()
    if not path.name:  # the root of the file system has no neighbour
        return path
    return path.with_name(f".{path.name}.previous")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a result as indented JSON (NaN becomes null)."""
    write_text(path, json.dumps(plain(value), indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows under a header as CSV; an undefined number (NaN, None) is an empty cell."""
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if cell is None else cell for cell in plain(list(row))] for row in rows])
    write_text(path, buffer.getvalue())


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"Expected a file at {path}, found none.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"Expected JSON in {path}, could not read it: {error}.") from error
