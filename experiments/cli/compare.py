"""``tailgeom compare``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.cli.analysis import Analysis, Table
from geometry.artifact import Artifact
from geometry.atomic import plain

WORST_PAIRS = 8
SHOWN = (
    "of",
    "target",
    "gram_error",
    "low",
    "high",
    "alignment",
    "procrustes",
    "angle_rms",
    "dimension",
    "target_rank",
)


@dataclass(frozen=True)
class Compare(Analysis):
    """Compare learned class means with the optimal geometry for their class proportions.

    Features and predictions are held against the certified optimum of the contrastive program for the training
    counts, the simplex equiangular tight frame and the SELI geometry of cross-entropy, so that one reads which theory
    fits best: relative Gram error with a bootstrap interval, kernel alignment, Procrustes residual, and the angle of
    every pair of classes.

    Example::

        tailgeom compare runs/demo/ndcl
        tailgeom compare runs/demo/ndcl --tau 0.1 --json

    Attributes:
        tau: temperature of the contrastive program.
        q: weight of its negatives.
        raw: compare class means as they are, without subtracting their mean.
        split: which samples: train, validation, source_test, target or all (default: train where there is one).
        resamples: bootstrap resamples behind each interval.
        seed: seed of the resampling.
    """

    tau: float = 1.0
    q: float = 1.0
    raw: bool = False
    split: str = ""
    resamples: int = 200
    seed: int = 0

    name = "compare"

    @property
    def header(self) -> Sequence[str]:
        """Columns of the summary."""
        from geometry.compare import SUMMARY_HEADER

        return SUMMARY_HEADER

    def analyse(self, artifact: Artifact) -> Any:
        """Every comparison."""
        from geometry.compare import compare_to_optimum

        return compare_to_optimum(
            artifact,
            tau=self.tau,
            q=self.q,
            centre=not self.raw,
            split=self.split or None,
            resamples=self.resamples,
            seed=self.seed,
        )

    def table(self, result: Any) -> list[Sequence[Any]]:
        """One row a representation and target."""
        return list(result.rows())

    def more_tables(self, result: Any) -> Mapping[str, Table]:
        """The angle of every pair of classes."""
        from geometry.compare import PAIR_HEADER

        return {"pairs": (PAIR_HEADER, [row for comparison in result.comparisons for row in comparison.rows()])}

    def contents(self, result: Any) -> dict[str, Any]:
        """The result, with the plane in which learned and optimal means are drawn."""
        from geometry.alignment import planar

        contents = super().contents(result)
        for entry, comparison in zip(contents["comparisons"], result.comparisons, strict=True):
            entry["plane"] = plain(planar(comparison.learned, comparison.optimal))
        return contents

    def show(self, result: Any) -> None:
        """Print the summary and the pairs that deviate most from the optimum."""
        from experiments.cli.output import print_table
        from geometry.compare import PAIR_HEADER

        shown = [position for position, name in enumerate(self.header) if name in SHOWN]
        rows = [[row[position] for position in shown] for row in self.table(result)]
        print_table(self.command_line(), [self.header[position] for position in shown], rows)
        worst = result.comparisons[0].rows()[:WORST_PAIRS]
        print_table("Pairs of classes farthest from the optimum's angle (degrees)", PAIR_HEADER, worst)
        optimum = result.optimum
        print(f"The optimum is certified within a relative {optimum.relative_gap:.1e}; rank {optimum.rank}.")
        for note in dict.fromkeys(note for comparison in result.comparisons for note in comparison.notes):
            print(note)


COMMAND = Compare
