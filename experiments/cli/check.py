"""``tailgeom check``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.cli.analysis import Analysis
from geometry.artifact import Artifact
from geometry.atomic import plain
from geometry.errors import UsageError


@dataclass(frozen=True)
class Check(Analysis):
    """Check whether the assumptions of the theory hold in a model, each with a verdict and the number behind it.

    Each rule is fixed before the data are seen; a check that the artifact does not allow is undecided, with the reason.

    Example::

        tailgeom check runs/demo/ndcl
        tailgeom check runs/demo/ndcl --require confidence_boundary

    Attributes:
        split: which samples: train, validation, source_test, target or all (default: all that were not trained on).
        require: checks that must hold (confidence_boundary, gradient_share); the exit code is 1 when one does not.
        resamples: bootstrap resamples behind each interval.
        seed: seed of the resampling.
    """

    split: str = ""
    require: tuple[str, ...] = ()
    resamples: int = 200
    seed: int = 0

    name = "check"
    header = ("check", "verdict", "estimate", "low", "high", "n", "claim", "note")

    def analyse(self, artifact: Artifact) -> Any:
        """The verdicts."""
        from geometry.checks import CHECKS, run_checks

        unknown = [name for name in self.require if name not in CHECKS]
        if unknown:
            raise UsageError(f"Unknown check {unknown[0]!r} after --require; known: {', '.join(CHECKS)}.")
        return run_checks(artifact, split=self.split or None, resamples=self.resamples, seed=self.seed)

    def table(self, result: Any) -> list[Sequence[Any]]:
        """One row a verdict."""
        return [
            (v.check, v.verdict, v.estimate.estimate, v.estimate.low, v.estimate.high, v.n, v.claim, v.note)
            for v in result
        ]

    def show(self, result: Any) -> None:
        """Print the numbers, then each claim with its rule and note."""
        from experiments.cli.output import print_table

        names = [f"{v.check}: {v.subject}" if v.subject else v.check for v in result]
        rows = [(name, *row[1:6]) for name, row in zip(names, self.table(result), strict=True)]
        print_table(self.command_line(), self.header[:6], rows)
        told: set[str] = set()
        for v in result:
            print(f"{v.claim} {v.verdict[0].upper()}{v.verdict[1:]}.")
            for title, text in (("rule", v.rule), ("note", v.note)):
                if text and text not in told:  # several verdicts of one check share them
                    print(f"  {title}: {text}")
                    told.add(text)

    def contents(self, result: Any) -> dict[str, Any]:
        """The verdicts with their rules and details."""
        return {"verdicts": plain(result)}

    def exit_code(self, result: Any) -> int:
        """1 when a required check does not hold; of several verdicts the first is on the loss that was claimed for."""
        decisive = {v.check: v.verdict for v in reversed(result)}
        return int(any(decisive.get(name) != "holds" for name in self.require))


COMMAND = Check
