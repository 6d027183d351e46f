"""Run the checks that a set of runs allows."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from geometry.checks.across_runs.dominance import dominance
from geometry.checks.across_runs.margin_remedy import margin_remedy
from geometry.checks.across_runs.minority_gain import minority_gain
from geometry.checks.across_runs.prediction_space import prediction_space
from geometry.checks.across_runs.summary import RunSummary
from geometry.checks.verdict import Verdict
from geometry.errors import UsageError


class StudyCheck(Protocol):
    """A check across runs: their summaries in, verdicts out, with the reason where it cannot decide."""

    def __call__(
        self, runs: Sequence[RunSummary], *, rng: np.random.Generator, level: float = 0.95
    ) -> tuple[Verdict, ...]:
        """Judge a set of runs."""
        ...


STUDY_CHECKS: Mapping[str, StudyCheck] = {
    "prediction_space": prediction_space,
    "dominance": dominance,
    "margin_remedy": margin_remedy,
    "minority_gain": minority_gain,
}


def run_study_checks(
    runs: Sequence[RunSummary], *, names: tuple[str, ...] | None = None, seed: int = 0, level: float = 0.95
) -> tuple[Verdict, ...]:
    """Run checks across runs, all of them by default.

    Args:
        runs: their summaries.
        names: which checks, out of :data:`STUDY_CHECKS`.
        seed: every check has its own stream, so its numbers do not depend on which others run.
        level: nominal coverage.

    Raises:
        UsageError: an unknown check.
    """
    unknown = [name for name in names or () if name not in STUDY_CHECKS]
    if unknown:
        raise UsageError(f"Unknown check {unknown[0]!r}; known are {', '.join(STUDY_CHECKS)}.")
    verdicts: list[Verdict] = []
    for name in STUDY_CHECKS if names is None else names:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        verdicts += STUDY_CHECKS[name](runs, rng=rng, level=level)
    return tuple(verdicts)
