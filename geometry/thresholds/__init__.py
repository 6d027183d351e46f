"""From which imbalance ratio on minority classes collapse onto one vector, or why they never do."""

from geometry.thresholds.contrastive import Threshold, closed_form, threshold

__all__ = ["Threshold", "closed_form", "threshold"]
