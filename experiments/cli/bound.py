"""``tailgeom bound``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.cli.analysis import Analysis
from geometry.artifact import Artifact


@dataclass(frozen=True)
class Bound(Analysis):
    """Estimate the terms of a generalization bound: risks, margins, divergences, posterior discrepancy, prior shift.

    The bounds are ours, of the shape of the NDCL paper's theorem: risks plain and balanced, margins in three scales
    with their whole curve, proxy A-distances between domains raw and class-balanced, prototype discrepancy corrected
    for its permutation null, and the cost of label shift. A term the artifact does not allow is listed with the reason.

    Example::

        tailgeom bound runs/demo/ndcl
        tailgeom bound runs/demo/ndcl --json --out results

    Attributes:
        target_split: the split that stands for the target.
        resamples: bootstrap resamples and permutations behind each interval.
        seed: seed of resampling and cross-fitting.
    """

    target_split: str = "target"
    resamples: int = 200
    seed: int = 0

    name = "bound"
    header = ("term", "variant", "group", "where", "estimate", "low", "high", "n", "note")

    def analyse(self, artifact: Artifact) -> Any:
        """The bound report."""
        from geometry.bound import estimate

        return estimate(artifact, target_split=self.target_split, resamples=self.resamples, seed=self.seed)

    def table(self, result: Any) -> list[Sequence[Any]]:
        """One row a term, variant, group and place."""
        return list(result.rows())

    def show(self, result: Any) -> None:
        """Print every term but those of single source domains, and what could not be computed."""
        from experiments.cli.output import print_table

        rows = [row for row in result.rows() if ", " not in row.where]
        columns = ("term", "variant", "group", "where", "estimate", "low", "high", "n")
        print_table(self.command_line(), columns, [[getattr(row, name) for name in columns] for row in rows])
        for missing in result.missing:
            print(f"not computed: {missing.term} ({missing.variant}, {missing.where}): {missing.reason}")
        print("In --json and --out too: single domains, whole margin curves, notes on cells that were too small.")


COMMAND = Bound
