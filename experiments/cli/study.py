"""What the commands over many runs share: the runs, and a record of each, with progress."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from experiments import run_records
from experiments.cli.output import progress_bar, say
from geometry.errors import DataError


def open_study(
    command: Any,
    make: Callable[[Any, Path], run_records.Record],
    made_from: Callable[[Any, Path], run_records.Record],
    *,
    file: str,
) -> tuple[run_records.Found, dict[Path, Any]]:
    """The runs that a command names and that have a record, and the records by path.

    Args:
        command: with ``name``, ``artifact``, ``more``, ``only`` and ``jobs``.
        make: makes the record of a run.
        made_from: what decides it.
        file: name that it is kept under.

    Raises:
        DataError: fewer than two finished runs, or none that could be analysed.
    """
    found = run_records.find_runs(
        [path for path in (command.artifact, *command.more) if path is not None], command.only
    )
    if len(found.runs) < 2:
        left = run_records.words(found.skipped)
        raise DataError(f"Expected two finished runs or more for a study, found {len(found.runs)}{left}.")
    make_one, decided = partial(make, command), partial(made_from, command)
    with progress_bar(command.name) as update:
        records = run_records.records_of(found.runs, make_one, decided, file=file, jobs=command.jobs, progress=update)
    whole = run_records.complete(found, records, say)
    if not whole.runs:
        raise DataError(f"Expected runs that can be analysed, found none in {len(found.runs)}; why stands above.")
    return whole, records
