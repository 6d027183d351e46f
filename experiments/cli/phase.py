"""``tailgeom phase``."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from experiments.arguments import OptionalPath
from experiments.cli.ranges import ascending, one_ratio, spaced, whole_numbers
from experiments.phase_cells import Task, computed
from geometry.errors import UsageError

# Options that mean something only against some second axis.
ONLY = {
    "tau": ("negatives",),
    "negatives": ("tau", "majority"),
    "majority": ("tau", "negatives"),
    "ratios": ("tau", "negatives"),
    "ratio": ("majority",),
    "taus": ("tau", "majority"),
    "ks": ("negatives",),
    "majorities": ("majority",),
}
TEMPERATURES = {"tau": ".1:5:25", "majority": ".05:500:25"}
MOST_CELLS = 100_000


@dataclass(frozen=True)
class Phase:
    """Map the cosine between minority classes, and the rank, over two settings of the optimal geometry.

    Over the imbalance ratio R and the temperature, over R and the number of negatives, or over the temperature and
    the number of majority classes. Every cell is a certified optimum; cells without a certificate stay empty and are
    counted. The threshold of minority collapse, in closed form or as a root of its exact condition, is drawn over the
    map. Finished cells are cached: an interrupted map goes on where it stopped. Derived independently (ours).

    A range is LOW:HIGH:COUNT, evenly spaced in the logarithm, or a list such as 1,10,100.

    Example::

        tailgeom phase --majority 1 --minority 9 --out runs/phase
        tailgeom phase --against negatives --tau .5 --ratios 10:300:25 --out runs/phase-k
        tailgeom phase --against majority --minority 5 --majorities 1:10 --out runs/phase-majorities
        tailgeom phase --majority 2 --minority 8 --ratios 1:1e6:13 --taus .2,.5,1,2 --loss supcon --json

    Attributes:
        against: the second axis: tau or negatives (the first is R), or majority (the first is tau).
        majority: number of majority classes, at least 1.
        minority: number of minority classes, at least 2.
        ratios: imbalance ratios R, at least 1; a range.
        taus: temperatures; a range (default .1:5:25, and .05:500:25 against majority).
        ks: numbers of negatives, comma-separated; inf for the limit of many.
        majorities: numbers of majority classes: from LOW:HIGH, or a list.
        ratio: R against majority; inf for the limit.
        tau: temperature against negatives.
        negatives: number K of negatives, or inf for the limit of many; matters for infonce, lme and supcon.
        loss: infonce, lme (log-mean-exp, decoupled), supcon (lme with collisions: a full batch), exp, quadratic or
            linear.
        q: weight Q of the negatives in infonce, log(1 + (Q/K) sum exp t), or plain for Q = K.
        collisions: draw negatives from all classes, the anchor's own among them; else from the other classes.
        jobs: processes; 0 for one a core.
        json: print the result as JSON and nothing else.
        out: also write the map (JSON, CSV), the threshold curve (JSON, CSV, LaTeX) and the figure (PDF, PNG) into this
            directory.
    """

    against: str = "tau"
    majority: int = 1
    minority: int = 9
    ratios: str = "1:1e6:25"
    taus: str = ""
    ks: str = "1,2,4,8,16,32,64,128,256,512,inf"
    majorities: str = "1:10"
    ratio: str = "inf"
    tau: float = 1.0
    negatives: str = "inf"
    loss: str = "infonce"
    q: str = "1"
    collisions: bool = False
    jobs: int = 0
    json: bool = False
    out: OptionalPath = None

    def __post_init__(self) -> None:
        if self.against not in ("tau", "negatives", "majority"):
            raise UsageError(f"Expected --against tau, negatives or majority, got {self.against!r}.")
        for field in fields(self):
            if self.against not in ONLY.get(field.name, (self.against,)) and getattr(self, field.name) != field.default:
                raise UsageError(f"--{field.name} has no meaning with --against {self.against}; leave it out.")
        if self.jobs < 0:
            raise UsageError(f"Expected --jobs of 0 or more, got {self.jobs}.")

    def columns(self) -> list[Any]:
        """What changes from column to column."""
        from experiments.cli.optimum import negatives_number
        from geometry.optimum.loss_family import named_loss

        if self.against == "tau":
            return spaced("taus", self.taus or TEMPERATURES["tau"])
        if self.against == "majority":
            return whole_numbers(self.majorities)
        if getattr(named_loss(self.loss), "separable", False):
            raise UsageError(f"The loss {self.loss} does not depend on the number of negatives; map it against tau.")
        return ascending("ks", [negatives_number(word) for word in self.ks.split(",")], last=None)

    def rows(self) -> list[float]:
        """What changes from row to row."""
        if self.against == "majority":
            return spaced("taus", self.taus or TEMPERATURES["majority"])
        return spaced("ratios", self.ratios)

    def column_settings(self, value: Any) -> dict[str, Any]:
        """What the cells of a column have in common."""
        from experiments.cli.optimum import negatives_number, negatives_weight

        settings: dict[str, Any] = {
            "majority": self.majority,
            "minority": self.minority,
            "loss": self.loss,
            "q": negatives_weight(self.q),
            "negatives": negatives_number(self.negatives),
            "collisions": self.collisions,
        }
        if self.against == "majority":
            settings["ratio"] = one_ratio(self.ratio)
        else:
            settings["tau"] = self.tau
        return {**settings, self.against: value}

    def tasks(self) -> tuple[list[Task], list[Task]]:
        """The cells, column after column, and the boundaries of the columns.

        Raises:
            UsageError: a bad range or setting, or too many cells.
        """
        from geometry.phase import ROWS, two_groups

        rows, columns = self.rows(), self.columns()
        if len(rows) * len(columns) > MOST_CELLS:
            raise UsageError(f"Expected at most {MOST_CELLS} cells, got {len(rows)} x {len(columns)}.")
        boundary = {"temperatures": [rows[0], rows[-1]]} if self.against == "majority" else {}
        cells: list[Task] = []
        curves: list[Task] = []
        for column in map(self.column_settings, columns):
            cells += [("cell", {**column, ROWS[self.against]: row}) for row in rows]
            curves.append(("curve", {**column, **boundary}))
        for _, arguments in cells:
            two_groups(**arguments)  # refuses bad settings before anything is computed
        return cells, curves

    def diagram(self) -> Any:
        """Every cell and the curve, from the cache where they are in it."""
        from experiments.cli.output import progress_bar
        from geometry.phase import PhaseDiagram

        cells, curves = self.tasks()
        with progress_bar("phase") as update:
            found = computed([*cells, *curves], self.jobs, update)
        height = len(cells) // len(curves)
        by_column = [found[start : start + height] for start in range(0, len(cells), height)]
        return PhaseDiagram(self.against, tuple(zip(*by_column, strict=True)), tuple(found[len(cells) :]))

    def contents(self, diagram: Any) -> dict[str, Any]:
        """The diagram with the settings that made it."""
        shown = {field.name: getattr(self, field.name) for field in fields(self)}
        settings = {
            name: value
            for name, value in shown.items()
            if name not in ("jobs", "json", "out", "against", "ratios", "taus", "ks", "majorities")
            and self.against in ONLY.get(name, (self.against,))
        }
        return {**settings, **diagram.contents()}

    def run(self) -> int:
        """Compute, print, save."""
        from experiments.cli.output import emit_json, print_table

        diagram = self.diagram()
        contents = self.contents(diagram)
        names = {"tau": "tau", "negatives": "K", "majority": "majority classes"}
        header = (names[self.against], "critical tau" if self.against == "majority" else "R*", "reason")
        curve = [
            (contents["columns"][p["column"]], p["value"] if p["value"] == p["value"] else "none", p["reason"])
            for p in contents["curve"]
        ]
        if self.out is not None:
            self.save(self.out, diagram, contents, header, curve)
        if self.json:
            emit_json(contents)
            return 0
        print_table("Where minority collapse begins", header, curve)
        for line in summary(diagram):
            print(line)
        return 0

    def save(self, out: Path, diagram: Any, contents: Any, header: Sequence[str], curve: Sequence[Any]) -> None:
        """Write the map, the curve and the figure."""
        from experiments.cli.output import save_result
        from figures import phase, style
        from geometry.atomic import plain, write_csv, write_json
        from geometry.phase import PhaseCell

        names = [field.name for field in fields(PhaseCell)]
        flat = [asdict(cell) for row in diagram.cells for cell in row]
        for cell in flat:
            cell["negatives"] = "inf" if cell["negatives"] is None else cell["negatives"]
            cell["ratio"] = "inf" if cell["ratio"] == float("inf") else cell["ratio"]
        write_json(out / "phase.json", contents)
        write_csv(out / "phase.csv", names, [list(cell.values()) for cell in flat])
        save_result(out, "phase_curve", contents["curve"], header, curve)
        style.save(phase.figure(plain(contents)), out / "phase")


def summary(diagram: Any) -> list[str]:
    """What a person wants to know about a map, in words."""
    import numpy as np

    cosines, cells = diagram.minority_cosine, sum(map(len, diagram.cells))
    known = cosines[np.isfinite(cosines)]
    lines = [
        f"{cells} cells: {diagram.collapsed_cells} collapsed, {len(diagram.uncertified)} without a certificate, "
        f"{diagram.disagreements} on the other side of the threshold than the optimum found there"
    ]
    if known.size:
        lines.append(f"Cosine between minority classes from {known.min():.4f} to {known.max():.4f}.")
    for reason in dict.fromkeys(cell.reason for cell in diagram.uncertified):
        lines.append(f"Without a certificate: {reason}.")
    return [line if line.endswith(".") else f"{line}." for line in lines]


COMMAND = Phase
