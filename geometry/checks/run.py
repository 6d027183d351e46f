"""Run the checks that an artifact allows."""

import zlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from geometry.artifact import Artifact
from geometry.checks.collapse_path import collapse_path
from geometry.checks.confidence_boundary import confidence_boundary
from geometry.checks.gradient_share import gradient_share
from geometry.checks.hard_negatives import hard_negatives
from geometry.checks.margin_scaling import margin_scaling
from geometry.checks.prototype_stability import prototype_stability
from geometry.checks.simplex_alignment import simplex_alignment
from geometry.checks.verdict import Verdict
from geometry.errors import UsageError
from geometry.labelled import trained_on

LEAST_RESAMPLES = 20


class Check(Protocol):
    """A check: an artifact in, verdicts out, with the reason where it cannot decide."""

    def __call__(
        self, artifact: Artifact, *, rng: np.random.Generator, resamples: int = 200, level: float = 0.95
    ) -> tuple[Verdict, ...]:
        """Judge one artifact."""
        ...


CHECKS: Mapping[str, Check] = {
    "confidence_boundary": confidence_boundary,
    "gradient_share": gradient_share,
    "hard_negatives": hard_negatives,
    "prototype_stability": prototype_stability,
    "collapse_path": collapse_path,
    "margin_scaling": margin_scaling,
    "simplex_alignment": simplex_alignment,
}


def run_checks(
    artifact: Artifact,
    *,
    names: tuple[str, ...] | None = None,
    split: str | None = None,
    resamples: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[Verdict, ...]:
    """Run checks on an artifact, all of them by default.

    Args:
        artifact: what to judge; parts that a check needs and that are absent make it ``undecided`` with the reason.
        names: which checks, out of :data:`CHECKS`.
        split: which samples; by default all that were not trained on (:func:`unseen`).
        resamples: bootstrap redraws, at least 20.
        seed: seed; every check has its own stream, so its numbers do not depend on which others run.
        level: nominal coverage of the intervals.

    Returns:
        The verdicts in the order of the checks; a check may give several (one per recorded loss).

    Raises:
        UsageError: an unknown check, or a number out of range.
        DataError: recorded measurements are malformed.
    """
    unknown = [name for name in names or () if name not in CHECKS]
    if unknown:
        raise UsageError(f"Unknown check {unknown[0]!r}; known are {', '.join(CHECKS)}.")
    if resamples < LEAST_RESAMPLES or not 0.0 < level < 1.0:
        raise UsageError(
            f"Expected at least {LEAST_RESAMPLES} resamples and a level in (0, 1), got {resamples} and {level}."
        )
    samples = unseen(artifact) if split is None else artifact.select(split)
    verdicts: list[Verdict] = []
    for name in CHECKS if names is None else names:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        verdicts += CHECKS[name](samples, rng=rng, resamples=resamples, level=level)
    return tuple(verdicts)


def unseen(artifact: Artifact) -> Artifact:
    """The samples that were not trained on, with a label or without; all where nothing else is left."""
    outside = np.flatnonzero(~trained_on(artifact))
    if outside.size == len(artifact.labels):
        return artifact
    return artifact.take(outside) if outside.size else artifact
