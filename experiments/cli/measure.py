"""``tailgeom measure``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.cli.analysis import Analysis
from geometry.artifact import Artifact


@dataclass(frozen=True)
class Measure(Analysis):
    """Measure neural collapse and minority collapse: NC1 to NC4, CDNV, GNC2, minority cosines, ranks.

    Every metric stands balanced (each class counts alike) and pooled (each sample counts alike), over all classes,
    per shot group and per domain, with a bootstrap interval over samples. Classes that are absent or have one sample
    are left out where they carry nothing, and counted.

    Example::

        tailgeom measure runs/demo/ndcl
        tailgeom measure --features my_features.npz --json

    Attributes:
        split: which samples: train, validation, source_test, target or all (default: train where there is one).
        resamples: bootstrap resamples behind each interval.
        seed: seed of the resampling.
    """

    split: str = ""
    resamples: int = 200
    seed: int = 0

    name = "measure"
    header = ("metric", "weighting", "group", "domain", "estimate", "low", "high", "n", "note")

    def analyse(self, artifact: Artifact) -> Any:
        """The collapse report."""
        from geometry.collapse import measure

        return measure(artifact, split=self.split or None, resamples=self.resamples, seed=self.seed)

    def table(self, result: Any) -> list[Sequence[Any]]:
        """One row a metric, weighting, group and domain."""
        return list(result.rows())

    def show(self, result: Any) -> None:
        """Print the balanced metrics over all domains; the rest is in --json and --out."""
        from experiments.cli.output import print_table

        rows = [row for row in result.rows() if row.domain == "all" and row.weighting in ("balanced", "none")]
        columns = ("metric", "group", "estimate", "low", "high", "n")
        print_table(self.command_line(), columns, [[getattr(row, name) for name in columns] for row in rows])
        nc1 = result.overall.balanced.nc1
        print(f"NC1 was computed at rank {nc1.rank:.0f} of {nc1.rank_expected}; samples: {result.split}.")
        print(
            "In --json and --out too: pooled weighting, every domain, geometry across domains, how intervals were made."
        )


COMMAND = Measure
