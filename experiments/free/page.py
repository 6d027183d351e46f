"""The two files that a study of free vectors leaves: all its numbers, and a page that a person reads."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.free.study import HEADER
from geometry.atomic import write_csv, write_text

Row = Mapping[str, Any]


def write_page(
    directory: Path,
    rows: Sequence[Row],
    *,
    title: str,
    made_by: Sequence[str],
    about: Sequence[str],
    findings: Sequence[str],
    shown: Sequence[str],
    digits: int,
) -> None:
    """``table.csv`` with every column, and ``table.md`` with title, origin, explanation, findings and some columns.

    Args:
        directory: where both go.
        rows: the study's rows, by column.
        title: of the page.
        made_by: lines on the command, seed, versions and hardware behind the numbers.
        about: lines on what the columns mean.
        findings: what the rows say, a sentence each.
        shown: columns of the page.
        digits: significant digits there.
    """
    write_csv(directory / "table.csv", HEADER, [[row[name] for name in HEADER] for row in rows])
    lines = [
        f"# {title}",
        "",
        *made_by,
        "",
        *about,
        "",
        "## What this says",
        "",
        *(f"- {sentence}" for sentence in findings),
        "",
        "## Table",
        "",
        _line(shown),
        _line(["---"] * len(shown)),
        *(_line([_cell(name, row, digits) for name in shown]) for row in rows),
        "",
    ]
    write_text(directory / "table.md", "\n".join(lines))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(name: str, row: Row, digits: int) -> str:
    value = row[name]
    if value is None:
        return ""
    if name == "agreeing":
        return f"{value}/{row['starts']}"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
