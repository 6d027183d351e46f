"""Checks of claims about algorithms rather than models: runs of several, paired on the same splits and seeds."""

from geometry.checks.across_runs.run import STUDY_CHECKS, run_study_checks
from geometry.checks.across_runs.summary import RunSummary, outcomes, summarise

__all__ = ["STUDY_CHECKS", "RunSummary", "outcomes", "run_study_checks", "summarise"]
