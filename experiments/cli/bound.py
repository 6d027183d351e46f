"""``tailgeom bound``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.cli.study_analysis import StudyAnalysis
from geometry.artifact import Artifact
from geometry.errors import UsageError


@dataclass(frozen=True)
class Bound(StudyAnalysis):
    """Estimate the terms of a generalization bound: risks, margins, divergences, posterior discrepancy, prior shift.

    The bounds are ours, of the shape of the NDCL paper's theorem: risks plain and balanced, margins in three scales
    with their whole curve, proxy A-distances between domains (raw, class-balanced, of each class), the hull of the
    sources, posterior discrepancy by prototypes and pointwise, each corrected for its permutation null, the ideal joint
    risk, complexity, and both sides of theorems A to D. A term the artifact does not allow is listed with the reason.

    With several runs, or the ROOT of a sweep (all its finished runs): which term predicts generalization? Rank
    correlation of every term with target error and balanced error inside held-out domains, with an interval over
    domains, a permutation of the algorithms, and a forest plot. Each run's terms are kept in RUN/results, so that a
    second call is quick and an interrupted one goes on.

    Example::

        tailgeom bound runs/demo/ndcl
        tailgeom bound runs/demo/ndcl --json --out results
        tailgeom bound ROOT --resamples 20 --out results

    Attributes:
        target_split: the split that stands for the target.
        resamples: bootstrap resamples and permutations behind each interval of a run.
        seed: seed of resampling and cross-fitting.
        clusters: over what intervals of correlations are taken: domains, or seeds (domain and seed: more clusters, but
            nothing is said about other domains).
    """

    target_split: str = "target"
    resamples: int = 200
    seed: int = 0
    clusters: str = "domains"

    name = "bound"
    header = ("term", "variant", "group", "where", "estimate", "low", "high", "n", "note")
    of_study = ("clusters",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clusters not in ("domains", "seeds"):
            raise UsageError(f"Unknown clusters {self.clusters!r}; known: domains, seeds.")

    def study(self) -> int:
        """Correlate over the runs."""
        from experiments.cli.bound_study import run_study

        return run_study(self)

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
