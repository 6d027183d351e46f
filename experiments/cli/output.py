"""What commands print and save: a table for people, JSON for programs, CSV and LaTeX for papers."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geometry.atomic import plain, write_csv, write_json, write_text

Row = Sequence[Any]
PIPE_WIDTH = 200  # a pipe or a file has no width of its own; wide enough that nothing is cut
LONGEST_UNBROKEN = 30  # characters; a longer text in a column may break over lines


def emit_json(payload: Any) -> None:
    """Print a result as JSON and nothing else."""
    print(json.dumps(plain(payload), indent=2, allow_nan=False))


def cell(value: Any) -> str:
    """One table cell: four significant digits, an empty cell for what is undefined.

    >>> cell(0.123456), cell(float("nan")), cell(7), cell(None)
    ('0.1235', '', '7', '')
    """
    value = plain(value)
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def print_table(title: str, header: Sequence[str], rows: Sequence[Row]) -> None:
    """Print a table that fits the terminal; plain aligned text when the output is a file or a pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    class Pipe(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would exit with code 1, which means a failed check here

    console = Pipe()
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    texts = [[cell(value) for value in row] for row in rows]
    for column, name in enumerate(header):
        numeric = all(_is_number(row[column]) for row in texts if row[column])
        widest = max((len(row[column]) for row in texts), default=0)
        table.add_column(Text(name), justify="right" if numeric else "left", no_wrap=widest <= LONGEST_UNBROKEN)
    for row in texts:
        table.add_row(*map(Text, row))
    console.print(table)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def save_result(
    directory: Path,
    name: str,
    payload: Any,
    header: Sequence[str],
    rows: Sequence[Row],
    *,
    page: tuple[Sequence[str], Sequence[Row]] | None = None,
) -> None:
    """Write ``name.json``, ``name.csv`` and ``name.tex`` into a directory; ``page`` is what LaTeX shows, else all."""
    import pandas as pd

    write_json(directory / f"{name}.json", payload)
    write_csv(directory / f"{name}.csv", header, rows)
    columns, lines = (header, rows) if page is None else page
    table = pd.DataFrame([[cell(value) for value in row] for row in lines], columns=list(columns))
    write_text(directory / f"{name}.tex", table.to_latex(index=False, escape=True))


@contextmanager
def progress_bar(description: str) -> Iterator[Any]:
    """A progress bar on standard error with an estimate of the time left; silent when that is no terminal.

    Yields:
        ``update(done, total, text="")``.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(description, total=None, text="")

        def update(done: int, total: int, text: str = "") -> None:
            progress.update(task, completed=done, total=total, text=text)

        yield update


@contextmanager
def working(description: str) -> Iterator[None]:
    """A sign of life on standard error while something of unknown length runs; silent when that is no terminal."""
    from rich.console import Console

    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield
        return
    with console.status(description):
        yield


def say(text: str) -> None:
    """A line about what is going on, on standard error."""
    print(text, file=sys.stderr, flush=True)
