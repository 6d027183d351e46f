"""Tables as text: Markdown, LaTeX and tidy CSV, each under a head that says where the numbers come from."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.table.aggregate import AVERAGE, COST, Comparison, Entry
from geometry.atomic import plain

NOTHING = "–"
WORDS = {"seconds": "s a run", "peak_memory_mb": "MB a run", AVERAGE: "average"}
LEGEND = "Bold: best of a column. Italic: not significantly worse than the best, where a test could tell."
TIDY = (
    "dataset",
    "setting",
    "held_out",
    "algorithm",
    "metric",
    "mean",
    "standard_error",
    "seeds",
    "best",
    "like_best",
    *(f"{against}_{name}" for against in ("baseline", "best") for name in ("difference", "low", "high", "p", "p_holm")),
)


@dataclass(frozen=True)
class Grid:
    """One table of a page: rows by columns of entries, and columns of plain words behind them.

    Attributes:
        title: above it.
        columns: heads of the entries' columns.
        rows: name of each row with its entries, None where there is none.
        more: heads of the plain columns.
        words: plain cells of each row.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Entry | None, ...]], ...]
    more: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Plain:
    """A table of words.

    Attributes:
        title: above it.
        header: heads of the columns.
        lines: cells.
    """

    title: str
    header: tuple[str, ...]
    lines: Sequence[Sequence[Any]]


def overview(
    entries: Sequence[Entry], metrics: Sequence[str], states: Mapping[tuple[str, str, str], Mapping[str, int]]
) -> list[Grid]:
    """For every data set and setting: rows by metrics, averaged over the held-out domains, with runs and their cost."""
    found = []
    for (dataset, setting), mine in _settings(entries).items():
        averages = {(e.place.algorithm, e.metric): e for e in mine if e.place.held_out == AVERAGE}
        rows = list(dict.fromkeys(row for row, _ in averages))
        columns = [name for name in (*metrics, *COST) if any((row, name) in averages for row in rows)]
        domains = sorted({e.place.held_out for e in mine} - {AVERAGE})
        where = domains[0] if len(domains) == 1 else f"average over {', '.join(domains)}"
        found.append(
            Grid(
                f"{dataset}, {setting}, held out: {where}",
                tuple(heading(name) for name in columns),
                tuple((row, tuple(averages.get((row, name)) for name in columns)) for row in rows),
                ("runs",),
                tuple((_runs(states.get((dataset, setting, row), {})),) for row in rows),
            )
        )
    return found


def by_domain(entries: Sequence[Entry], metric: str) -> list[Grid]:
    """For every data set and setting with several held-out domains: rows by domains, and their average."""
    found = []
    for (dataset, setting), mine in _settings(entries).items():
        cells = {(e.place.algorithm, e.place.held_out): e for e in mine if e.metric == metric}
        rows = list(dict.fromkeys(row for row, _ in cells))
        domains = sorted({domain for _, domain in cells} - {AVERAGE})
        if len(domains) > 1:
            columns = [*domains, AVERAGE]
            body = tuple((row, tuple(cells.get((row, domain)) for domain in columns)) for row in rows)
            found.append(Grid(f"{dataset}, {setting}: {heading(metric)} by held-out domain", tuple(columns), body))
    return found


COMPARED = ("metric", "row", "difference", "low", "high", "p", "p (Holm)", "least p", "pairs or units")


def comparisons(entries: Sequence[Entry], metrics: Sequence[str]) -> list[Plain]:
    """For every data set and setting: the averages of all rows against the baseline."""
    found = []
    for (dataset, setting), mine in _settings(entries).items():
        lines = []
        for metric in metrics:
            for e in mine:
                c = e.baseline
                if e.metric == metric and e.place.held_out == AVERAGE and c is not None:
                    shown = [_scaled(metric, value, sign=True) for value in (c.difference, c.low, c.high)]
                    tested = [_p(c.p_value), _p(c.p_holm) + (" *" if c.significant else ""), _p(c.least_p_value)]
                    lines.append((heading(metric), e.place.algorithm, *shown, *tested, c.units))
        if lines:
            against = next(e.baseline.against for e in mine if e.baseline is not None)
            found.append(Plain(f"{dataset}, {setting}: difference to {against}", COMPARED, lines))
    return found


def heading(metric: str) -> str:
    """A metric as the head of a column: in percent, unless it is a cost.

    >>> heading("target_balanced_accuracy"), heading("seconds"), heading("source_test_few")
    ('balanced accuracy', 's a run', 'source test few')
    """
    return WORDS.get(metric, metric.removeprefix("target_").replace("_", " "))


def number(entry: Entry | None, most_seeds: int = 0) -> str:
    """``mean ± standard error``, in percent; the number of seeds where it is smaller than elsewhere.

    >>> from experiments.table.records import Place
    >>> number(Entry(Place("PACS", "Duality", "average", "erm"), "target_few", 0.4215, 0.0049, 5))
    '42.1 ± 0.5'
    """
    if entry is None or math.isnan(entry.mean):
        return NOTHING
    text = _scaled(entry.metric, entry.mean)
    if not math.isnan(entry.standard_error) and entry.metric not in COST:
        text += f" ± {_scaled(entry.metric, entry.standard_error)}"
    return text if entry.seeds >= most_seeds else f"{text} [n={entry.seeds}]"


def texts(
    grid: Grid, bold: str = "{} *", italic: str = "{} ~", clean: Callable[[str], str] = str
) -> list[tuple[str, ...]]:
    """The rows of a grid as text, each cleaned, then the best and those like it marked."""
    most = max((entry.seeds for _, cells in grid.rows for entry in cells if entry is not None), default=0)
    lines = []
    for place, (name, cells) in enumerate(grid.rows):
        shown = []
        for entry in cells:
            mark = "{}" if entry is None else bold if entry.best else italic if entry.like_best else "{}"
            shown.append(mark.format(clean(number(entry, most))))
        lines.append((clean(name), *shown, *map(clean, grid.words[place] if grid.words else ())))
    return lines


def markdown(
    title: str, head: Sequence[str], grids: Iterable[Grid], more: Iterable[Plain], notes: Sequence[str]
) -> str:
    """A page: head, every grid, more tables, the notes."""
    parts = [f"# {title}", *("  \n".join(head).split("\n\n")), f"{LEGEND} Percent, mean ± standard error over seeds."]
    for grid in grids:
        lines = texts(grid, "**{}**", "*{}*")
        parts += [f"## {grid.title}", _pipes(("", *grid.columns, *grid.more), lines)]
    for table in more:
        parts += [f"## {table.title}", _pipes(table.header, table.lines)]
    if notes:
        parts.append("\n".join(f"- {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def _pipes(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    def row(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"

    rule = "|" + "|".join(["---", *["---:"] * (len(header) - 1)]) + "|"
    return "\n".join([row(header), rule, *map(row, lines)])


def latex(head: Sequence[str], grids: Iterable[Grid], notes: Sequence[str], more: Iterable[Plain] = ()) -> str:
    """Every table in booktabs' style; those not significantly worse than the best are underlined."""
    parts = ["\n".join(f"% {line}" for line in [*head, *notes, "Needs \\usepackage{booktabs}."])]
    for grid in grids:
        lines = texts(grid, r"\textbf{{{}}}", r"\underline{{{}}}", _escaped)
        parts.append(_booktabs(grid.title, ("", *grid.columns, *grid.more), lines))
    for table in more:
        lines = [[_escaped(str(cell)) for cell in line] for line in table.lines]
        parts.append(_booktabs(table.title, table.header, lines))
    return "\n\n".join(parts) + "\n"


def _booktabs(title: str, header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """One table of cells that are escaped already, under a header that is not."""
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(title)}.}}",
            rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
            r"\toprule",
            " & ".join(map(_escaped, header)) + r" \\",
            r"\midrule",
            *(" & ".join(line) + r" \\" for line in lines),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


_TEX = {"±": r"$\pm$", "–": "--", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}"}
_TEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def _escaped(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)


def tidy(entries: Iterable[Entry]) -> list[list[Any]]:
    """One row a number, under ``TIDY``."""

    def numbers(c: Comparison | None) -> list[Any]:
        return [None] * 5 if c is None else [c.difference, c.low, c.high, c.p_value, c.p_holm]

    found = []
    for e in entries:
        own = (*e.place, e.metric, e.mean, e.standard_error, e.seeds, e.best, e.like_best)
        found.append([*own, *numbers(e.baseline), *numbers(e.against_best)])
    return found


def commented_csv(head: Sequence[str], header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV under comment lines (``pandas.read_csv(..., comment="#")``); an undefined number is an empty cell."""
    buffer = io.StringIO()
    buffer.writelines(f"# {line}\n" for line in head)
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([["" if cell is None else cell for cell in plain(list(row))] for row in rows])
    return buffer.getvalue()


def _settings(entries: Iterable[Entry]) -> dict[tuple[str, str], list[Entry]]:
    found: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        found.setdefault((entry.place.dataset, entry.place.setting), []).append(entry)
    return found


def _runs(states: Mapping[str, int]) -> str:
    """``20`` runs done, or how many of how many."""
    if not states:
        return NOTHING
    done, total = states.get("done", 0), sum(states.values())
    short = [f"{states[name]} {name}" for name in ("failed", "missing") if states.get(name)]
    return str(done) if not short else f"{done} of {total} ({', '.join(short)})"


def _scaled(metric: str, value: float, *, sign: bool = False) -> str:
    if math.isnan(value):
        return NOTHING
    if metric in COST:
        return f"{value:.3g}" if value < 100 else f"{value:.0f}"
    return f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}"


def _p(value: float) -> str:
    if math.isnan(value):
        return NOTHING
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
