"""The cache: where data that are made once are kept, and how they appear there whole."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from geometry.errors import DataError


def cache_root() -> Path:
    """The folder for cached data: ``$TAILGEOM_CACHE``, ``$XDG_CACHE_HOME/tailgeom`` or ``~/.cache/tailgeom``."""
    if own := os.environ.get("TAILGEOM_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(shared) if os.path.isabs(shared) else Path("~/.cache").expanduser()) / "tailgeom"


def cached_directory(path: Path, build: Callable[[Path], None]) -> Path:
    """``path``, built by ``build`` if it is not there yet.

    The directory is built beside its place and renamed into it, so whatever stands at ``path`` is complete. Of two
    processes that build at once the first one done wins, and a reader of its files is never disturbed.

    Raises:
        DataError: the cache cannot be written.
    """
    if path.is_dir():
        return path
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        build(temporary)
        temporary.chmod(0o755)
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    except OSError as error:
        raise DataError(
            f"Cannot write the cache at {path}: {error.strerror or error}. Set TAILGEOM_CACHE to a folder with room."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return path
