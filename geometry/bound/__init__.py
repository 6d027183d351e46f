"""Terms of generalization bounds for imbalanced domains, estimated from an artifact.

The theorems are ours (stated in :mod:`geometry.bound.theorems` as far as they are code); their terms are risks,
margins, divergences, posterior discrepancies and prior shift, one module each.
"""

from geometry.bound.divergence import Divergence, proxy_a_distance
from geometry.bound.estimate import estimate
from geometry.bound.margin import CurveBand, MarginDistribution, geometric_margin, margin_curves, score_margin
from geometry.bound.posterior import Discrepancy, PosteriorDiscrepancy, estimate_posterior, prototypes
from geometry.bound.prior import PriorShift, estimate_prior_shift, kl_divergence, total_variation
from geometry.bound.report import BoundReport, Missing
from geometry.bound.risk import Risk, estimate_risk
from geometry.bound.row import Row
from geometry.bound.samples import SampleSet
from geometry.bound.theorems import LabelShiftBound, label_shift_bound

__all__ = [
    "BoundReport",
    "CurveBand",
    "Discrepancy",
    "Divergence",
    "LabelShiftBound",
    "MarginDistribution",
    "Missing",
    "PosteriorDiscrepancy",
    "PriorShift",
    "Risk",
    "Row",
    "SampleSet",
    "estimate",
    "estimate_posterior",
    "estimate_prior_shift",
    "estimate_risk",
    "geometric_margin",
    "kl_divergence",
    "label_shift_bound",
    "margin_curves",
    "prototypes",
    "proxy_a_distance",
    "score_margin",
    "total_variation",
]
