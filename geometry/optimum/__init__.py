"""Optimal geometry: where class means should sit, given class proportions and a contrastive loss.

``proportions`` and a loss (``mean_loss``, ``loss_family``, ``negatives``) make a ``program``; ``force_path``,
``burer_monteiro`` (also on the ``groups`` of equal classes) and ``conic`` solve it; ``certificate`` proves how good any
answer is; ``solve`` joins them. ``low_rank`` looks for the best vectors in fewer dimensions than the optimum needs.
"""

from geometry.optimum.certificate import Certificate, UncertifiedError, certify
from geometry.optimum.convexity import LossWarning, check_loss
from geometry.optimum.hardest_negative import HardestNegative
from geometry.optimum.loss_family import Exponential, Hinge, InfoNCE, Linear, LogMeanExp, Quadratic, named_loss
from geometry.optimum.low_rank import LowRankOptimum, solve_low_rank
from geometry.optimum.mean_loss import Loss, MeanLoss
from geometry.optimum.program import Program
from geometry.optimum.proportions import class_proportions
from geometry.optimum.solve import Optimum, solve

__all__ = [
    "Certificate",
    "Exponential",
    "HardestNegative",
    "Hinge",
    "InfoNCE",
    "Linear",
    "LogMeanExp",
    "Loss",
    "LossWarning",
    "LowRankOptimum",
    "MeanLoss",
    "Optimum",
    "Program",
    "Quadratic",
    "UncertifiedError",
    "certify",
    "check_loss",
    "class_proportions",
    "named_loss",
    "solve",
    "solve_low_rank",
]
