"""The cells of phase diagrams: computed by several processes, each kept in the cache as soon as it is done."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from geometry.errors import DataError

Task = tuple[str, dict[str, Any]]
"""``cell`` or ``curve``, and the arguments of :func:`geometry.phase.phase_cell` or :func:`phase_curve`."""


def computed(tasks: Sequence[Task], jobs: int, update: Callable[[int, int], None]) -> list[Any]:
    """The result of every task, from the cache or computed and then cached, in order."""
    from experiments.data.cache import cache_root

    folder, code = cache_root() / "phase", code_version()
    paths = [folder / f"{digest(json.dumps([code, *task], sort_keys=True))}.json" for task in tasks]
    results = [remembered(path, kind) for path, (kind, _) in zip(paths, tasks, strict=True)]
    missing = [position for position, result in enumerate(results) if result is None]
    done = len(tasks) - len(missing)
    update(done, len(tasks))
    for position, result in solved([(position, tasks[position]) for position in missing], jobs):
        remember(paths[position], result)
        results[position] = result
        done += 1
        update(done, len(tasks))
    return results


def solved(tasks: Sequence[tuple[int, Task]], jobs: int) -> Iterator[tuple[int, Any]]:
    """Results as they come, each with the position of its task."""
    if not tasks:
        return
    import joblib

    jobs = min(jobs or joblib.cpu_count(), len(tasks))
    if jobs == 1:
        yield from (solve(position, task) for position, task in tasks)
        return
    with joblib.parallel_config(backend="loky", n_jobs=jobs, inner_max_num_threads=1):
        yield from joblib.Parallel(return_as="generator_unordered")(joblib.delayed(solve)(*task) for task in tasks)


def solve(position: int, task: Task) -> tuple[int, Any]:
    """One task's result."""
    from geometry import phase

    kind, arguments = task
    function: Callable[..., Any] = phase.phase_cell if kind == "cell" else phase.phase_curve
    return position, function(**arguments)


def code_version() -> str:
    """A digest of the code that decides the numbers, so that a cell never outlives a correction."""
    import numpy
    import scipy

    import geometry

    root = Path(geometry.__file__).parent
    sources = [
        root / "frames.py",
        *(path for name in ("optimum", "phase", "thresholds") for path in (root / name).glob("*.py")),
    ]
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(sources))
    return digest(f"{numpy.__version__} {scipy.__version__} {text}")


def digest(text: str) -> str:
    """A short name for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def remember(path: Path, result: Any) -> None:
    """Keep a result, whole or not at all.

    Raises:
        DataError: the cache cannot be written.
    """
    from geometry.atomic import write_text

    text = json.dumps([astuple(point) for point in result] if isinstance(result, tuple) else astuple(result))
    try:
        write_text(path, f"{digest(text)}\n{text}\n")
    except DataError as error:
        raise DataError(f"{str(error).rstrip('.')}. Set TAILGEOM_CACHE to a folder with room.") from error


def remembered(path: Path, kind: str) -> Any:
    """A kept result; None where there is none, or where the file is damaged."""
    from geometry.phase import BoundaryPoint, PhaseCell

    try:
        checksum, text = path.read_text(encoding="utf-8").splitlines()
        if checksum != digest(text):
            return None
        values = json.loads(text)
    except (OSError, ValueError):
        return None
    return PhaseCell(*values) if kind == "cell" else tuple(BoundaryPoint(*point) for point in values)
