"""``tailgeom check``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.cli.study_analysis import StudyAnalysis
from geometry.artifact import Artifact
from geometry.atomic import plain
from geometry.errors import UsageError

HEADER = ("check", "subject", "claim", "source", "verdict", "estimate", "low", "high", "n", "note")
SHOWN = ("check", "verdict", "estimate", "low", "high", "n")


@dataclass(frozen=True)
class Check(StudyAnalysis):
    """Check whether the assumptions of the theory hold in a model, each with a verdict and the number behind it.

    Each rule is fixed before the data are seen; a check that the artifact does not allow is undecided, with the reason.
    Some need measurements on the live model: `tailgeom extract RUN --probes NAME` makes them.

    With several runs, or a sweep (all its finished runs), every run is checked, and claims about algorithms are judged
    on runs of the same split and seed: minority_gain, dominance, prediction_space and margin_remedy.

    Example::

        tailgeom check runs/demo/ndcl
        tailgeom check runs/demo/ndcl --all --require confidence_boundary
        tailgeom check runs/demo/erm runs/demo/ndcl --checks minority_gain --out results

    Attributes:
        checks: which checks (default: every one).
        all: name the checks that could not be run too, each with what it needs.
        split: which samples: train, validation, source_test, target or all (default: all that were not trained on).
        require: checks that must hold; the exit code is 1 when one does not. Of several verdicts of a check the first
            decides (in a study: every run's).
        resamples: bootstrap resamples behind each interval.
        seed: seed of the resampling.
    """

    checks: tuple[str, ...] = ()
    all: bool = False
    split: str = ""
    require: tuple[str, ...] = ()
    resamples: int = 200
    seed: int = 0

    name = "check"
    header = HEADER

    def run(self) -> int:
        """Check one artifact, or the runs of a study."""
        from geometry.checks import CHECKS
        from geometry.checks.across_runs import STUDY_CHECKS

        for flag, names in (("--checks", self.checks), ("--require", self.require)):
            unknown = [name for name in names if name not in (*CHECKS, *STUDY_CHECKS)]
            if unknown:
                known = ", ".join((*CHECKS, *STUDY_CHECKS))
                raise UsageError(f"Unknown check {unknown[0]!r} after {flag}; known: {known}.")
        missing = [name for name in self.require if self.checks and name not in self.checks]
        if missing:
            raise UsageError(f"Expected --checks to name {missing[0]}, which --require asks for.")
        across = [name for name in (*self.checks, *self.require) if name in STUDY_CHECKS]
        if across and not self.of_runs:
            raise UsageError(f"Expected several runs, or a sweep, for {across[0]}: it compares algorithms.")
        return super().run()

    def study(self) -> int:
        """Check the runs, and the claims about algorithms."""
        from experiments.cli.check_study import run_study

        return run_study(self)

    def analyse(self, artifact: Artifact) -> Any:
        """The verdicts."""
        from geometry.checks import run_checks

        names = self.checks or None
        return run_checks(artifact, names=names, split=self.split or None, resamples=self.resamples, seed=self.seed)

    def settings(self) -> dict[str, Any]:
        """The options that decide the numbers of one run."""
        return {name: value for name, value in super().settings().items() if name not in ("all", "require")}

    def table(self, result: Any) -> list[Sequence[Any]]:
        """One row a verdict."""
        return [verdict_row(verdict) for verdict in plain(result)]

    def show(self, result: Any) -> None:
        """Print the numbers, then each claim with its rule and note, then what could not be run."""
        from experiments.cli.output import print_table

        ran = [verdict for verdict in result if could_run(verdict)]
        print_table(self.command_line(), *describe(ran))
        told: set[str] = set()
        for v in ran:
            print(f"{v.claim} {v.verdict[0].upper()}{v.verdict[1:]}.")
            for title, text in (("source", v.source), ("rule", v.rule), ("note", v.note)):
                if text and text not in told:  # several verdicts of one check share them
                    print(f"  {title}: {text}")
                    told.add(text)
        left = [verdict for verdict in result if not could_run(verdict)]
        for v in left if self.all else ():
            print(f"not run: {_name(v)}: {v.note}")
        if left and not self.all:
            print(f"{len(left)} more could not be run here; --all says what each needs.")

    def payload(self, artifact: Artifact, result: Any) -> dict[str, Any]:
        """The verdicts with their rules and details, and what names the classes in figures."""
        return super().payload(artifact, result) | {"classes": list(artifact.class_names), "shots": artifact.shots}

    def contents(self, result: Any) -> dict[str, Any]:
        """The verdicts with their rules and details."""
        return {"verdicts": plain(result)}

    def draw(self, directory: Path, payload: dict[str, Any]) -> None:
        """One figure a check that could be run."""
        from figures import style
        from figures.check_figures import figures_of

        models = {self.label: payload["verdicts"]}
        for drawn in figures_of(models, classes=payload["classes"], shots=payload["shots"], seed=self.seed):
            style.save(drawn.figure, directory / drawn.name)

    def exit_code(self, result: Any) -> int:
        """1 when a required check does not hold; of several verdicts the first is on the loss that was claimed for."""
        decisive = {v.check: (v.verdict, v.note, could_run(v)) for v in reversed(result)}
        return complain({name: [decisive[name]] if name in decisive else [] for name in self.require})


def complain(required: Mapping[str, Sequence[tuple[str, str, bool]]]) -> int:
    """Say on standard error which required checks do not hold, one line each.

    Args:
        required: of each the verdicts that decide it, as verdict, note and whether it could be run; maybe none.

    Returns:
        The exit code: 1 where one does not hold, else 0.
    """
    from experiments.cli.output import say

    failed = 0
    for name, verdicts in required.items():
        against = [found for found in verdicts if found[0] != "holds"]
        if verdicts and not against:
            continue
        failed = 1
        ran = [found for found in against if found[2]]
        reason = next((f" ({note.rstrip('.')})" for _, note, _ in ran or against if note), "")
        many = f" in {len(against)} of {len(verdicts)} verdicts" if len(verdicts) > 1 else ""
        if not ran:
            say(f"Required check {name} was not run{many}{reason}.")
        elif all(verdict == "undecided" for verdict, _, _ in ran):
            say(f"Required check {name} is undecided{many}{reason}.")
        else:
            say(f"Required check {name} does not hold{many}.")
    return failed


def could_run(verdict: Any) -> bool:
    """Whether a check had what it needs: it gave a number, or counted the samples it found too few."""
    return bool(verdict.n or verdict.estimate.estimate == verdict.estimate.estimate)


def describe(verdicts: Sequence[Any]) -> tuple[Sequence[str], list[Sequence[Any]]]:
    """Header and rows of the printed table."""
    rows: list[Sequence[Any]] = []
    for v in verdicts:
        numbers = (v.estimate.estimate, v.estimate.low, v.estimate.high)
        rows.append((_name(v), v.verdict, *numbers, v.n))
    return SHOWN, rows


def verdict_row(verdict: Mapping[str, Any]) -> list[Any]:
    """A verdict as plain values under ``HEADER``."""
    numbers = verdict["estimate"]
    return [
        *(verdict[name] for name in ("check", "subject", "claim", "source", "verdict")),
        *(numbers[name] for name in ("estimate", "low", "high")),
        *(verdict[name] for name in ("n", "note")),
    ]


def _name(verdict: Any) -> str:
    return f"{verdict.check}: {verdict.subject}" if verdict.subject else str(verdict.check)


COMMAND = Check
