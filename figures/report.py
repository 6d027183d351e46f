"""One self-contained HTML page that tells the results in order, with the command behind every panel."""

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures._atomic import replacing
from figures.numbers import UNDEFINED, interval, number

__all__ = ["Badge", "Panel", "Section", "Table", "number", "render"]

VERDICTS = {"holds": "✓", "does not hold": "✗", "undecided": "?"}
_MEDIA = {".png": "image/png", ".svg": "image/svg+xml"}
_SCALE = 0.55  # CSS pixels a PNG pixel: type of 7 points at 220 dots an inch reads as 12 pixels


@dataclass(frozen=True)
class Badge:
    """A verdict on a claim: a sign and a word, so that nothing hangs on the colour.

    Attributes:
        verdict: ``holds``, ``does not hold`` or ``undecided``.
        claim: what was checked, one sentence; empty inside a table cell.
        number: the number that decided it, as text.
        command: the command that made it.
    """

    verdict: str
    claim: str = ""
    number: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"Expected a verdict out of {', '.join(VERDICTS)}, got {self.verdict!r}.")

    @property
    def sign(self) -> str:
        """The sign drawn before the word."""
        return VERDICTS[self.verdict]

    @property
    def kind(self) -> str:
        """The verdict as one word, for the style sheet."""
        return self.verdict.replace(" ", "-")


@dataclass(frozen=True)
class Panel:
    """A picture.

    Attributes:
        image_path: a ``.png`` or ``.svg`` file.
        caption: what is seen.
        command: what made it.
        alt: what is seen, for those who cannot see it.
    """

    image_path: Path
    caption: str
    command: str
    alt: str


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        caption: what the rows are.
        header: names of the columns.
        rows: cells: text, numbers, intervals (dicts with ``estimate``), ``None`` (a dash) or :class:`Badge`.
        command: what made it.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    command: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"Expected {len(self.header)} cells in every row of {self.caption!r}, got {len(row)}.")


@dataclass(frozen=True)
class Section:
    """A chapter of the report: its text, then verdicts, panels and tables in this order.

    Attributes:
        title: the heading.
        paragraphs: plain text; words between backticks are set as code.
        panels: the pictures.
        tables: the tables.
        badges: the verdicts.
    """

    title: str
    paragraphs: Sequence[str] = ()
    panels: Sequence[Panel] = ()
    tables: Sequence[Table] = ()
    badges: Sequence[Badge] = ()


def render(title: str, subtitle: str, sections: Sequence[Section], output: Path, results: Mapping[str, Any]) -> Path:
    """Write the report, whole or not at all.

    Everything is inside the one file: images as base64, styles inline, the results as JSON in
    ``<script type="application/json" id="results">``. The page asks for nothing from any network and runs no script.

    Args:
        title: of the page.
        subtitle: one line below it.
        sections: what is told, in order.
        output: the HTML file.
        results: the numbers behind the page, JSON's own types only.

    Returns:
        ``output``.

    Raises:
        ValueError: the results are not JSON (NaN must be ``None``), or an image is neither PNG nor SVG.
        OSError: an image cannot be read or the page cannot be written.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": _prose, "cell": _cell}
    page = environment.get_template("report.html.j2").render(
        title=title,
        subtitle=subtitle,
        sections=sections,
        picture=_picture,
        numeric=_numeric_columns,
        is_badge=lambda cell: isinstance(cell, Badge),
        results=_embedded(results),
    )
    with replacing(Path(output)) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Path(output)


def _embedded(results: Mapping[str, Any]) -> Any:
    """JSON that no HTML parser can mistake for a tag."""
    from markupsafe import Markup

    text = json.dumps(results, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _prose(text: str) -> Any:
    """Escape a paragraph and set what stands between backticks as code."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:  # an unmatched backtick is just a backtick
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else escape(part) for position, part in enumerate(parts)
    )


def _cell(value: Any) -> str:
    if value is None:
        return UNDEFINED
    if isinstance(value, Mapping):
        return number(*interval(value))
    if isinstance(value, float):
        return number(value)
    return str(value)


def _numeric_columns(table: Table) -> list[bool]:
    """Which columns are set to the right: those of numbers, intervals and dashes alone."""
    columns = zip(*table.rows, strict=True) if table.rows else [[""]] * len(table.header)
    return [all(map(_numeric, column)) for column in columns]


def _numeric(value: Any) -> bool:
    if isinstance(value, str):
        return value == UNDEFINED or value.lstrip("(−-+")[:1].isdigit()
    return not isinstance(value, Badge)


def _picture(panel: Panel) -> dict[str, Any]:
    """The image as a data address, with the size to lay it out at before it is decoded."""
    path = Path(panel.image_path)
    if path.suffix.lower() not in _MEDIA:
        raise ValueError(f"Expected a .png or .svg image, got {path.name}.")
    content = path.read_bytes()
    address = f"data:{_MEDIA[path.suffix.lower()]};base64,{base64.b64encode(content).decode('ascii')}"
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        return {"address": address, "width": None, "height": None}
    width, height = struct.unpack(">II", content[16:24])
    return {"address": address, "width": round(width * _SCALE), "height": round(height * _SCALE)}
