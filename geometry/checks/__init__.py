"""Checks of claims about imbalanced representations: one module a claim, each with a rule and a verdict."""

from geometry.checks.collapse_path import collapse_path
from geometry.checks.confidence_boundary import confidence_boundary, signed_boundary_distance
from geometry.checks.gradient_share import gradient_share
from geometry.checks.hard_negatives import hard_negatives
from geometry.checks.margin_scaling import margin_scaling
from geometry.checks.prototype_stability import prototype_stability
from geometry.checks.run import CHECKS, run_checks
from geometry.checks.simplex_alignment import simplex_alignment
from geometry.checks.verdict import Claim, Verdict
from geometry.rank_correlation import spearman

__all__ = [
    "CHECKS",
    "Claim",
    "Verdict",
    "collapse_path",
    "confidence_boundary",
    "gradient_share",
    "hard_negatives",
    "margin_scaling",
    "prototype_stability",
    "run_checks",
    "signed_boundary_distance",
    "simplex_alignment",
    "spearman",
]
