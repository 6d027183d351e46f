"""Checks of claims about imbalanced representations: one module a claim, each with a rule and a verdict."""

from geometry.checks.confidence_boundary import confidence_boundary, signed_boundary_distance
from geometry.checks.gradient_share import gradient_share
from geometry.checks.rank_correlation import spearman
from geometry.checks.run import CHECKS, run_checks
from geometry.checks.verdict import Claim, Verdict

__all__ = [
    "CHECKS",
    "Claim",
    "Verdict",
    "confidence_boundary",
    "gradient_share",
    "run_checks",
    "signed_boundary_distance",
    "spearman",
]
