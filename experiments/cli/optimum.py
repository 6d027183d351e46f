"""``tailgeom optimum``."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.arguments import OptionalPath
from geometry.errors import DataError, UsageError


@dataclass(frozen=True)
class Optimum:
    """Solve for the class-mean geometry that a contrastive loss wants for given class proportions.

    The program is convex: minimise the loss over Gram matrices of unit vectors. Every answer carries a dual
    certificate, a rigorous bound on how far its loss can be from the least one; an answer without one is refused.
    Derived independently (ours); equal proportions give the simplex equiangular tight frame.

    Example::

        tailgeom optimum --counts 500,50,5
        tailgeom optimum --counts 100,50,20,10,5,2,1 --tau 0.5 --json

    Attributes:
        counts: class counts, comma-separated.
        proportions: class proportions that sum to 1, comma-separated.
        counts_file: a file of class counts: one per line or comma-separated, or counts.csv of a run (summed over
            its domains).
        loss: infonce (many negatives from other classes).
        tau: temperature.
        q: weight of the negatives.
        method: auto, closed-form, conic or burer-monteiro.
        tolerance: relative gap at which an answer counts as certified.
        json: print the result as JSON and nothing else.
        out: also write the result into this directory as JSON, CSV and LaTeX.
    """

    counts: str = ""
    proportions: str = ""
    counts_file: OptionalPath = None
    loss: str = "infonce"
    tau: float = 1.0
    q: float = 1.0
    method: str = "auto"
    tolerance: float = 1e-6
    json: bool = False
    out: OptionalPath = None

    def solve(self) -> Any:
        """The certified optimum."""
        from geometry.optimum import class_proportions, solve

        given = [bool(self.counts), bool(self.proportions), self.counts_file is not None]
        if sum(given) != 1:
            raise UsageError("Expected one of --counts 500,50,5, --proportions .9,.09,.01 and --counts-file FILE.")
        if self.counts_file is not None:
            values = read_class_counts(self.counts_file)
        else:
            values = class_proportions(self.counts or self.proportions, must_sum_to_one=bool(self.proportions))
        return solve(values, loss=self.loss, tau=self.tau, q=self.q, method=self.method, tolerance=self.tolerance)

    def run(self) -> int:
        """Solve, print, save."""
        from experiments.cli.output import emit_json, print_table, save_result, working
        from geometry.atomic import plain

        with working("solving"):
            optimum = self.solve()
        size = len(optimum.gram)
        header = ("class", "proportion", *(f"cos {k}" for k in range(size)))
        rows = [(k, optimum.proportions[k], *optimum.gram[k]) for k in range(size)]
        if self.out is not None:
            save_result(self.out, "optimum", plain(optimum), header, rows)
        if self.json:
            emit_json(optimum)
            return 0
        print_table("Cosines between optimal class means", header, rows)
        print(
            f"loss {optimum.value:.10g} nats, certified within a relative {optimum.relative_gap:.1e} of the least; "
            f"rank {optimum.rank}, {optimum.distinct} distinct class vectors\n"
            f"{optimum.method}: {optimum.status} ({optimum.seconds:.2f} s)"
        )
        return 0


def read_class_counts(path: Path) -> list[float]:
    """Class counts from a text file: numbers separated by commas or line ends, or a counts.csv of ours.

    A run's counts.csv has a row a domain and a column a class; that of `tailgeom data split` a row a cell. Both are
    summed over domains.

    Raises:
        DataError: missing, empty, or not one positive number per class.
    """
    from geometry.optimum import class_proportions

    try:
        lines = [row for row in csv.reader(path.read_text(encoding="utf-8").splitlines()) if any(map(str.strip, row))]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read class counts from {path}: {error}.") from error
    header = [word.strip().lower() for word in lines[0]] if lines else []
    if header == ["domain", "class", "count"]:
        from experiments.data.imbalance import read_counts

        return [float(total) for total in read_counts(path).counts.sum(axis=0)]
    if header[:1] == ["domain"]:
        rows = [row[1:] for row in lines[1:]]
    else:
        rows = [[word for row in lines for word in row if word.strip()]]
    try:
        numbers = [[float(word) for word in row] for row in rows]
        totals = [sum(column) for column in zip(*numbers, strict=True)]
        class_proportions(totals)
    except ValueError as error:
        raise DataError(f"Expected one positive number per class in {path}: {str(error).rstrip('.')}.") from error
    return totals


COMMAND = Optimum
