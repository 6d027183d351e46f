"""``tailgeom table``."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.arguments import OptionalPath
from geometry.errors import UsageError

PARTS = ("accuracy", "balanced_accuracy", "many", "medium", "few", "worst_class", "ece")
METRICS = tuple(f"target_{name}" for name in PARTS)
BY = ("dataset", "setting", "held_out", "algorithm", "draw")
NEEDED = ("setting", "algorithm")
PAIRED = ("runs", "samples")


@dataclass(frozen=True)
class Table:
    """Turn sweeps and runs into the tables of a paper: selected by validation, averaged over seeds, tested.

    Hyper-parameters are chosen by balanced source validation accuracy, never by the target. Every number is a mean
    over seeds with its standard error; the average over held-out domains is taken within a seed first. Rows are
    compared on the same splits and seeds by a paired test, corrected by Holm's procedure within a column: against the
    baseline, and against the best. Runs that failed or are missing are counted and shown. Runs of a sweep that keeps
    gradients also get a table of their shares by shot group.

    Example::

        tailgeom table runs/sweep
        tailgeom table runs/sweep --baseline erm --ranks --out experiments/results/pacs
        tailgeom table runs/a runs/b --metric target_accuracy target_few --select defaults --json

    Attributes:
        runs: sweep directories, results.csv files, runs, or folders of them.
        metric: columns, such as target_accuracy or validation_balanced_accuracy (default: seven of the target); each
            also gets a table by held-out domain (default: accuracy and balanced accuracy).
        by: what rows and tables are told apart by, comma-separated: setting, algorithm, held_out (without it, averages
            alone), draw (every hyper-parameter draw is a row of its own, and none is chosen).
        baseline: row that the others are tested against.
        select: the draw with the best validation for each seed (seed), one draw for all seeds that is best on average
            (mean), or draw 0 (defaults).
        test: sign-flip (exact permutation test), t or wilcoxon; n units cannot give a sign-flip p-value below 2^(1-n).
        paired: what tests draw anew: runs (other seeds), or samples (other images of the target for these trained
            models, a bootstrap over the logits that sweeps keep; for accuracy and balanced accuracy).
        units: of tests of averages: runs (every seed and held-out domain), domains (a claim about other domains), or
            seeds.
        level: confidence of intervals and decisions.
        wide: also put beside the accuracies what `tailgeom check` or `tailgeom bound` kept of these runs: geometry,
            bound terms, verdicts (table_wide.csv has all of it).
        only: read these runs alone: NAME=VALUE for dataset, setting, held_out, algorithm or seed.
        ranks: also rank the rows over the held-out domains (Friedman's test, Nemenyi's critical difference), by the
            first metric.
        json: print the result as JSON and nothing else.
        out: also write the tables into this directory as Markdown, CSV, LaTeX and JSON, with figures (PDF, PNG).
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    metric: tuple[str, ...] = ()
    by: str = "setting,held_out,algorithm"
    baseline: str = ""
    select: str = "seed"
    test: str = "sign-flip"
    paired: str = "runs"
    units: str = "runs"
    level: float = 0.95
    ranks: bool = False
    wide: bool = False
    only: tuple[str, ...] = ()
    json: bool = False
    out: OptionalPath = None

    def __post_init__(self) -> None:
        words = self.by.split(",")
        unknown = [word for word in words if word not in BY]
        if unknown:
            raise UsageError(f"Unknown --by {unknown[0]!r}; known: {', '.join(BY)}.")
        if not set(NEEDED) <= set(words):
            raise UsageError(f"Expected setting and algorithm in --by, got {self.by!r}.")
        if self.paired not in PAIRED:
            raise UsageError(f"Unknown --paired {self.paired!r}; known: {', '.join(PAIRED)}.")
        if not 0.5 <= self.level < 1:
            raise UsageError(f"Expected --level from 0.5 to below 1, got {self.level}.")

    def result(self) -> dict[str, Any]:
        """Everything the table says, before it is written.

        Raises:
            UsageError: no path, or an option that does not fit the runs.
            DataError: nothing to read there, or no finished run.
        """
        from experiments.table.aggregate import COST, aggregate, counts_by_row
        from experiments.table.gradients import gradient_table
        from experiments.table.origin import origin
        from experiments.table.ranks import rank
        from experiments.table.records import metric_names, read_records
        from experiments.table.samples import SampleTests
        from experiments.table.selection import select
        from experiments.table.wide import wide_table
        from geometry.errors import DataError

        if not self.runs:
            raise UsageError("Expected a sweep or runs: tailgeom table RUNS...")
        records = read_records(self.runs, self.only)
        if not records.runs:
            failed = sum(states["failed"] for states in records.states.values())
            missing = sum(states["missing"] for states in records.states.values())
            raise DataError(f"Expected finished runs, found none ({failed} failed, {missing} unfinished).")
        runs = list(records.runs)
        if "draw" in self.by.split(","):
            runs = [replace(r, place=r.place._replace(algorithm=f"{r.place.algorithm} #{r.draw}")) for r in runs]
        chosen, choices = select(runs, self.select)
        known = metric_names(chosen)
        metrics = self.metric or tuple(name for name in METRICS if name in known)
        shown = (*metrics, *(name for name in COST if name in known and name not in metrics))
        entries = aggregate(
            chosen,
            shown,
            places=() if "draw" in self.by.split(",") else records.states,
            baseline=self.baseline or None,
            test=self.test,
            units=self.units,
            level=self.level,
            sampled=SampleTests(chosen) if self.paired == "samples" else None,
        )
        ranked = metrics[0] if self.metric or "target_balanced_accuracy" not in metrics else "target_balanced_accuracy"
        return {
            "records": records,
            "choices": choices,
            "entries": entries,
            "metrics": metrics,
            "main": metrics if self.metric else tuple(m for m in metrics if m.endswith("accuracy")),
            "states": counts_by_row(records),
            "origin": origin(chosen),
            "gradients": gradient_table(chosen, level=self.level),
            "wide": wide_table(chosen) if self.wide else [],
            "ranking": rank(entries, ranked, level=1 - self.level) if self.ranks else None,
        }

    def command_line(self) -> str:
        """The shell command that makes this table again."""
        from experiments.cli.words import command_line, flags

        return command_line("table", *self.runs, *flags(self, leave_out=("runs", "json", "out")))

    def run(self) -> int:
        """Read, select, average, test, print, save."""
        from experiments.cli.output import emit_json, print_table, working
        from experiments.table import render

        with working(self.command_line()):
            found = self.result()
        payload = self.payload(found)
        grids = self.grids(found)
        if self.out is not None:
            self.save(self.out, found, grids, payload)
        if self.json:
            emit_json(payload)
            return 0
        for line in self.head(found):
            print(line)
        for grid in grids:
            print_table(grid.title, ("", *grid.columns, *grid.more), render.texts(grid))
        for table in self.more(found):
            print_table(table.title, table.header, table.lines)
        print("Percent, mean ± standard error over seeds; * best of a column, ~ not significantly worse than it.")
        for note in self.notes(found):
            print(note)
        return 0

    def grids(self, found: dict[str, Any]) -> list[Any]:
        """The tables in the order they are shown."""
        from experiments.table import render

        grids = render.overview(found["entries"], found["metrics"], found["states"])
        if "held_out" in self.by.split(","):
            grids += [grid for metric in found["main"] for grid in render.by_domain(found["entries"], metric)]
        return grids

    def more(self, found: dict[str, Any]) -> list[Any]:
        """The tables of words: differences to the baseline, what the search chose, gradient shares, the wide table."""
        from experiments.table import render, wide
        from experiments.table.gradients import HEADER, in_words
        from experiments.table.selection import SUMMARY, summary

        tables = render.comparisons(found["entries"], found["main"])
        tables += [render.Plain(title, SUMMARY, lines) for title, lines in summary(found["choices"])]
        tables += [render.Plain(title, HEADER, lines) for title, lines in in_words(found["gradients"])]
        return tables + [render.Plain(*table) for table in wide.in_words(found["wide"])]

    def head(self, found: dict[str, Any]) -> list[str]:
        """Where the numbers come from, and what must be known before they are read, line by line."""
        from experiments.table.notes import unfinished_search

        lines = [f"Made by `{self.command_line()}`", *found["origin"].lines()]
        return lines if self.select == "defaults" else lines + unfinished_search(found["records"])

    def notes(self, found: dict[str, Any]) -> list[str]:
        """What a reader must know to read the numbers."""
        from experiments.table import notes, wide
        from experiments.table.gradients import NOTE

        lines = [notes.chosen(found["choices"], self.select), *notes.absent(found["records"])]
        how = "bootstrap" if self.paired == "samples" else self.test
        lines += notes.tests(found["entries"], how, self.units, self.level)
        lines += [NOTE] if found["gradients"] else []
        lines += [wide.NOTE] if found["wide"] else []
        return lines + (notes.ranking(found["ranking"]) if found["ranking"] is not None else [])

    def payload(self, found: dict[str, Any]) -> dict[str, Any]:
        """What ``--json`` prints."""
        from experiments.provenance import code_version

        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("runs", "json", "out")}
        return {
            "command": self.command_line(),
            "code": code_version(),
            "settings": settings,
            "origin": found["origin"],
            "runs": [
                {"dataset": d, "setting": s, "algorithm": a, **states} for (d, s, a), states in found["states"].items()
            ],
            "errors": found["records"].errors,
            "selected": [{**choice.place._asdict(), **_flat(choice)} for choice in found["choices"]],
            "entries": [{**entry.place._asdict(), **_flat(entry)} for entry in found["entries"]],
            "gradients": found["gradients"],
            "unfinished": [
                {**place._asdict(), "seed": seed, "missing": missing}
                for (place, seed), missing in found["records"].unfinished.items()
            ],
            "wide": found["wide"],
            "ranking": found["ranking"],
            "notes": self.notes(found),
        }

    def save(self, out: Path, found: dict[str, Any], grids: list[Any], payload: dict[str, Any]) -> None:
        """Write table.md, .csv, .tex, .json, table_selected.csv, table_gradients.csv and the figures."""
        from experiments.table import render
        from experiments.table.selection import CHOSEN, chosen_rows
        from geometry.atomic import write_csv, write_json, write_text

        head, notes, more = self.head(found), self.notes(found), self.more(found)
        write_text(out / "table.md", render.markdown("Results", head, grids, more, notes))
        write_text(out / "table.tex", render.latex(head, grids, notes, more))
        write_text(out / "table.csv", render.commented_csv(head, render.TIDY, render.tidy(found["entries"])))
        write_json(out / "table.json", payload)
        write_csv(out / "table_selected.csv", CHOSEN, chosen_rows(found["choices"], found["records"].unfinished))
        for name in ("gradients", "wide"):
            if found[name]:
                columns = [field.name for field in fields(found[name][0])]
                lines = [[getattr(each, column) for column in columns] for each in found[name]]
                write_text(out / f"table_{name}.csv", render.commented_csv(head, columns, lines))
        self.draw(out, found)

    def draw(self, out: Path, found: dict[str, Any]) -> None:
        """Write the critical-difference diagram, where ranks were asked for."""
        from experiments.table.render import heading
        from figures import critical_difference, style

        ranking = found["ranking"]
        if ranking is not None and ranking.test.blocks:
            figure = critical_difference.figure(
                dict(zip(ranking.algorithms, ranking.test.average_ranks.tolist(), strict=True)),
                ranking.test.critical_difference,
                blocks=ranking.test.blocks,
                level=ranking.test.level,
                label=f"average rank by {heading(ranking.metric)}",
            )
            style.save(figure, out / "critical_difference")


def _flat(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value) if field.name != "place"}


COMMAND = Table
