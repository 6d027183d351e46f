"""The two files that a study of free vectors leaves: all its numbers, and a page that a person reads."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.free.study import HEADER
from geometry.atomic import write_csv, write_text

EXPERIMENT = ("loss", "variant", "anchors", "tau", "imbalance")
"""Columns that say which experiment a row is."""
REACHED = ("verdict", "cosine_std", "cosine_mean", "spread")
"""Columns that say what geometry it reached."""
NOTHING = 1e-6  # a spread below is rounding, and told as 0

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """A study's page.

    Attributes:
        title: of the page.
        about: lines on what the columns mean.
        shown: columns of the page.
        findings: what rows say, a sentence each, from their numbers alone.
        digits: significant digits of the page.
    """

    title: str
    about: Sequence[str]
    shown: Sequence[str]
    findings: Callable[[Sequence[Row]], list[str]]
    digits: int = 4

    def write(self, directory: Path, rows: Sequence[Row], *, command: str, seed: int, seconds: float) -> None:
        """``table.csv`` with every column, and ``table.md`` with title, origin, explanation, findings and some columns.

        Args:
            directory: where both go.
            rows: the study's rows, by column.
            command: that made the numbers.
            seed: of their starts.
            seconds: that they took.
        """
        write_csv(directory / "table.csv", HEADER, [[row[name] for name in HEADER] for row in rows])
        lines = [
            f"# {self.title}",
            "",
            *made_by(command, seed, seconds),
            "",
            *self.about,
            "",
            "## What this says",
            "",
            *(f"- {sentence}" for sentence in self.findings(rows)),
            "",
            "## Table",
            "",
            *markdown_table(self.shown, ([_cell(name, row, self.digits) for name in self.shown] for row in rows)),
            "",
        ]
        write_text(directory / "table.md", "\n".join(lines))


def made_by(command: str, seed: int, seconds: float) -> list[str]:
    """The lines of a page's note on where it comes from: command, seed, versions and hardware."""
    from experiments.provenance import provenance

    made = provenance()
    versions = ", ".join(
        f"{name} {made['versions'][name]}" for name in ("tailgeom", "torch", "numpy", "scipy", "python")
    )
    hardware = f"{made['hardware']['machine']}, {os.cpu_count()} CPU cores, no GPU used"
    return [
        f"Made by `{command}` (seed {seed}, {seconds / 60:.0f} minutes; commit {made['commit']}; {versions};",
        f"{hardware}).",
    ]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table.

    >>> markdown_table(["a", "b"], [["1", "2"]])
    ['| a | b |', '| --- | --- |', '| 1 | 2 |']
    """
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def span(values: Iterable[float | None]) -> str:
    """The least and the most of what is defined, to two digits.

    >>> span([0.25, 0.125, None]), span([0.251, 0.249]), span([1e-9, 0.5]), span([None])
    ('0.12 to 0.25', '0.25', '0 to 0.5', 'an undefined amount')
    """
    defined = [value for value in values if value is not None]
    if not defined:
        return "an undefined amount"
    ends = (f"{end:.2g}" if end >= NOTHING else "0" for end in (min(defined), max(defined)))
    return " to ".join(dict.fromkeys(ends))


def _cell(name: str, row: Row, digits: int) -> str:
    value = row[name]
    if value is None:
        return ""
    if name == "agreeing":
        return f"{value}/{row['starts']}"
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
