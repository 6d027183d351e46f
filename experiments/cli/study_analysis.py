"""What the commands share that analyse one artifact, or many runs in a study."""

from abc import abstractmethod
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from experiments.cli.analysis import NOT_SETTINGS, Analysis
from experiments.cli.words import command_line, flags
from geometry.errors import UsageError

NOT_OF_A_RUN = ("more", "only", "jobs")
"""Options of a study that decide no single run's numbers: which runs there are, and how many are analysed at once."""


@dataclass(frozen=True)
class StudyAnalysis(Analysis):
    """An analysis of one artifact; of several runs, or a sweep, a study.

    Attributes:
        more: further runs or sweeps.
        only: of a study, these runs alone: NAME=VALUE for dataset, setting, held_out, algorithm or seed.
        jobs: processes that analyse runs; 0 is one a core.
    """

    more: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[RUN ...]")] = ()
    only: tuple[str, ...] = ()
    jobs: int = 0

    of_study: ClassVar[tuple[str, ...]] = ()
    """Options that decide no single run's numbers, beside those of every study."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.jobs < 0:
            raise UsageError(f"Expected --jobs of 0 (one a core) or more, got {self.jobs}.")

    @property
    def of_runs(self) -> bool:
        """Whether it is a study."""
        return self.artifact is not None and (bool(self.more) or is_study(self.artifact))

    @abstractmethod
    def study(self) -> int:
        """Analyse the runs, print and save; the exit code."""

    def run(self) -> int:
        """Analyse one artifact, or the runs of a study."""
        if self.of_runs:
            if self.features is not None:
                raise UsageError("Expected runs or --features, got both.")
            return self.study()
        for field in fields(self):
            if field.name in ("only", *self.of_study) and getattr(self, field.name) != field.default:
                flag = f"--{field.name.replace('_', '-')}"
                raise UsageError(
                    f"Expected several runs, or a sweep, beside {flag}, got {self.artifact or self.features}."
                )
        return super().run()

    def settings(self) -> dict[str, Any]:
        """The options that decide the numbers of one run."""
        left_out = (*NOT_OF_A_RUN, *self.of_study)
        return {name: value for name, value in super().settings().items() if name not in left_out}

    def command_line(self) -> str:
        """The shell command that repeats this analysis."""
        if not self.more:
            return super().command_line()
        left_out = (*NOT_SETTINGS, "more", "jobs")
        return command_line(self.name, str(self.artifact), *map(str, self.more), *flags(self, leave_out=left_out))


def is_study(path: Path) -> bool:
    """Whether a path holds runs, and is none itself."""
    files = ("manifest.json", "config.yaml", "artifact")
    if (path / "sweep.json").exists():
        return True
    if not path.is_dir() or any((path / name).exists() for name in files):
        return False
    # A folder without any run is more likely a mistyped artifact, and is complained of as one.
    return any(next(path.glob(f"**/{name}"), None) for name in ("sweep.json", "results.csv", "config.yaml"))
