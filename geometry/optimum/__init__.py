"""Optimal geometry: where class means should sit, given class proportions and a contrastive loss.

``proportions`` and ``loss_family`` make a ``program``; ``conic`` and ``burer_monteiro`` solve it; ``certificate``
proves how good any answer is; ``solve`` joins them.
"""

from geometry.optimum.certificate import Certificate, UncertifiedError, certify
from geometry.optimum.loss_family import InfoNCE, Loss
from geometry.optimum.program import Program
from geometry.optimum.proportions import class_proportions
from geometry.optimum.solve import Optimum, solve

__all__ = [
    "Certificate",
    "InfoNCE",
    "Loss",
    "Optimum",
    "Program",
    "UncertifiedError",
    "certify",
    "class_proportions",
    "solve",
]
