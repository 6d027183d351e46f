"""``tailgeom optimum``."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.arguments import OptionalPath
from geometry.errors import DataError, UsageError


@dataclass(frozen=True)
class Optimum:
    """Solve for the class-mean geometry that a contrastive loss wants for given class proportions.

    The program is convex: minimise the loss over Gram matrices of unit vectors. Every answer carries a dual
    certificate, a rigorous bound on how far its loss can be from the least one; an answer without one is refused.
    Derived independently (ours); equal proportions give the simplex equiangular tight frame. With --rank the feature
    dimension is limited; below the optimum's rank the program is no longer convex, and the answer is the best of
    several starts with its gap to the convex lower bound, never called certified for agreeing with itself.

    Example::

        tailgeom optimum --counts 500,50,5
        tailgeom optimum --counts 100,50,20,10,5,2,1 --tau 0.5 --json
        tailgeom optimum --counts 90,90,9,9,1 --negatives 256 --q plain
        tailgeom optimum --counts 500,50,5 --loss supcon --tau 0.1
        tailgeom optimum --counts 50,30,20,10,5 --tau 0.2 --rank 2 --starts 50

    Attributes:
        counts: class counts, comma-separated.
        proportions: class proportions that sum to 1, comma-separated.
        counts_file: a file of class counts: one per line or comma-separated, or counts.csv of a run (summed over
            its domains).
        loss: infonce, lme (log-mean-exp, decoupled), supcon (lme with collisions: a full batch), exp, hinge, hardest
            (the hinge of the hardest negative), quadratic or linear.
        tau: temperature.
        negatives: number K of negatives, or inf for the limit of many; matters for infonce, lme and supcon.
        q: weight Q of the negatives in infonce, log(1 + (Q/K) sum exp t), or plain for Q = K.
        collisions: draw negatives from all classes, the anchor's own among them; else from the other classes.
        margin: margin of hinge and hardest, in units of t = (cosine - 1) / tau.
        method: auto, conic (Clarabel), reduced (groups of equal counts), factor (force factorisation, where at most
            classes of equal counts collapse), burer-monteiro or closed-form.
        rank: feature dimension D that the class means must fit into; left out, as many as the optimum needs.
        starts: with --rank, starting points tried; the value may be a local minimum if few of them reach it.
        seed: with --rank, seed of the random starting points.
        tolerance: relative gap at which an answer counts as certified.
        json: print the result as JSON and nothing else.
        out: also write the result into this directory as JSON, CSV and LaTeX.
    """

    counts: str = ""
    proportions: str = ""
    counts_file: OptionalPath = None
    loss: str = "infonce"
    tau: float = 1.0
    negatives: str = "inf"
    q: str = "1"
    collisions: bool = False
    margin: float = 1.0
    method: str = "auto"
    rank: Annotated[int | None, tyro.conf.arg(metavar="D")] = None
    starts: int = 20
    seed: int = 0
    tolerance: float = 1e-6
    json: bool = False
    out: OptionalPath = None

    def values(self) -> Any:
        """Class counts or proportions, from the one option that was given.

        Raises:
            UsageError: none or two were given, or bad numbers.
        """
        from geometry.optimum import class_proportions

        given = [bool(self.counts), bool(self.proportions), self.counts_file is not None]
        if sum(given) != 1:
            raise UsageError("Expected one of --counts 500,50,5, --proportions .9,.09,.01 and --counts-file FILE.")
        if self.counts_file is not None:
            return read_class_counts(self.counts_file)
        return class_proportions(self.counts or self.proportions, must_sum_to_one=bool(self.proportions))

    def solve(self) -> Any:
        """The certified optimum, or the best geometry found in ``rank`` dimensions."""
        from geometry.optimum import solve

        settings: dict[str, Any] = {
            "loss": self.loss,
            "tau": self.tau,
            "q": negatives_weight(self.q),
            "negatives": negatives_number(self.negatives),
            "collisions": self.collisions,
            "tolerance": self.tolerance,
        }
        if self.rank is None:
            return solve(self.values(), method=self.method, margin=self.margin, **settings)
        import numpy as np

        from experiments.cli.output import progress_bar
        from geometry.optimum import solve_low_rank

        self.check_rank()
        with progress_bar("starts") as progress:
            return solve_low_rank(
                self.values(),
                self.rank,
                rng=np.random.default_rng(self.seed),
                starts=self.starts,
                progress=progress,
                **settings,
            )

    def check_rank(self) -> None:
        """Refuse options that make no sense with ``rank``.

        Raises:
            UsageError: a rank or number of starts below 1, a negative seed, or a method of the convex program.
        """
        if self.rank is not None and self.rank < 1:
            raise UsageError(f"Expected --rank of at least 1, got {self.rank}; leave it out for no limit.")
        if self.starts < 1:
            raise UsageError(f"Expected --starts of at least 1, got {self.starts}.")
        if self.seed < 0:
            raise UsageError(f"Expected --seed of 0 or more, got {self.seed}.")
        if self.method != "auto":
            raise UsageError(
                f"--method {self.method} solves the convex program, without --rank; leave out one of them."
            )

    def run(self) -> int:
        """Solve, print, save."""
        from contextlib import nullcontext

        from experiments.cli.output import emit_json, print_table, save_result, working
        from geometry.atomic import plain

        with working("solving") if self.rank is None else nullcontext():
            optimum = self.solve()
        size = len(optimum.gram)
        header = ("class", "proportion", *(f"cos {k}" for k in range(size)))
        rows = [(k, optimum.proportions[k], *optimum.gram[k]) for k in range(size)]
        if self.out is not None:
            save_result(self.out, "optimum", plain(optimum), header, rows)
        if self.json:
            emit_json(optimum)
            return 0
        title = "Cosines between optimal class means"
        print_table(title if optimum.certified else f"Best class means found in {self.rank} dimensions", header, rows)
        print(summary(optimum))
        return 0


def summary(optimum: Any) -> str:
    """What is known about an answer, in lines for a person."""
    vectors = f"rank {optimum.rank}, {optimum.distinct} distinct class vectors"
    how = f"{optimum.method}: {optimum.status} ({optimum.seconds:.2f} s)"
    if not optimum.certified:
        return (
            f"loss {optimum.value:.10g}, {vectors}; not certified: below rank {optimum.convex_rank} the program is not "
            f"convex\nno class vectors of any dimension have a loss below {optimum.lower_bound:.10g} (relative gap "
            f"{optimum.relative_gap:.2e})\n{how}"
        )
    text = (
        f"loss {optimum.value:.10g}, certified within a relative {optimum.relative_gap:.1e} of the least; {vectors}\n"
    )
    if getattr(optimum, "unresolved", 0):
        text += (
            f"angles of {optimum.unresolved} classes are not resolved: they do not matter for the loss to double "
            "precision, and rank and distinct vectors say nothing about them\n"
        )
    return text + how


def negatives_number(text: str) -> int | None:
    """K from ``--negatives``; None for inf.

    Raises:
        UsageError: neither a whole number of at least 1 nor inf.
    """
    if text.strip().lower() == "inf":
        return None
    try:
        number = int(float(text))
    except (ValueError, OverflowError):
        number = 0
    if number < 1 or float(text) != number:
        raise UsageError(f"Expected --negatives to be a whole number of at least 1, or inf; got {text!r}.")
    return number


def negatives_weight(text: str) -> float | str:
    """Q from ``--q``: a number, or plain.

    Raises:
        UsageError: neither.
    """
    if text.strip().lower() == "plain":
        return "plain"
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"Expected --q to be a positive number, or plain; got {text!r}.") from error


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
