"""Terms of generalization bounds for imbalanced domains, estimated from an artifact.

The theorems are ours, exact on finite problems in :mod:`geometry.bound.theorems`; their terms are risks, margins,
divergences, posterior discrepancies, prior shift, joint risk and complexity, one module each. Terms that read no head
are a :class:`FeatureTerms`, shared by all runs on one frozen backbone and split.
"""

from geometry.bound.class_conditional import ClassDivergence, class_divergence
from geometry.bound.complexity import Complexity, estimate_complexity
from geometry.bound.divergence import Divergence, proxy_a_distance
from geometry.bound.estimate import estimate
from geometry.bound.features import FeatureTerms, feature_key, feature_terms
from geometry.bound.hull import SourceHull, source_hull
from geometry.bound.joint import JointRisk, joint_risk
from geometry.bound.margin import CurveBand, MarginDistribution, geometric_margin, margin_curves, score_margin
from geometry.bound.missing import Missing
from geometry.bound.pointwise import PointwiseDiscrepancy, pointwise_discrepancy
from geometry.bound.posterior import Discrepancy, PosteriorDiscrepancy, estimate_posterior, prototypes
from geometry.bound.prior import PriorShift, estimate_prior_shift, kl_divergence, total_variation
from geometry.bound.report import BoundReport
from geometry.bound.risk import Risk, estimate_risk
from geometry.bound.row import Row
from geometry.bound.samples import SampleSet
from geometry.bound.sides import Sides
from geometry.bound.subspace import shared_scores
from geometry.bound.theorems import (
    LabelShiftBound,
    MarginForm,
    PosteriorForm,
    PrototypeForm,
    label_shift_bound,
    margin_form,
    posterior_form,
    prototype_form,
)

__all__ = [
    "BoundReport",
    "ClassDivergence",
    "Complexity",
    "CurveBand",
    "Discrepancy",
    "Divergence",
    "FeatureTerms",
    "JointRisk",
    "LabelShiftBound",
    "MarginDistribution",
    "MarginForm",
    "Missing",
    "PointwiseDiscrepancy",
    "PosteriorDiscrepancy",
    "PosteriorForm",
    "PriorShift",
    "PrototypeForm",
    "Risk",
    "Row",
    "SampleSet",
    "Sides",
    "SourceHull",
    "class_divergence",
    "estimate",
    "estimate_complexity",
    "estimate_posterior",
    "estimate_prior_shift",
    "estimate_risk",
    "feature_key",
    "feature_terms",
    "geometric_margin",
    "joint_risk",
    "kl_divergence",
    "label_shift_bound",
    "margin_curves",
    "margin_form",
    "pointwise_discrepancy",
    "posterior_form",
    "prototype_form",
    "prototypes",
    "proxy_a_distance",
    "score_margin",
    "shared_scores",
    "source_hull",
    "total_variation",
]
