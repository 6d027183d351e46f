"""From which imbalance ratio on minority classes collapse onto one vector, or why they never do (STEP imbalance).

``step_model`` has the forces of the two-group model; ``smooth`` the optimality condition of collapse and its root;
``closed_forms`` what can be written down for one majority class; ``piecewise`` the losses with kinks, whose optimum is
not unique; ``contrastive`` joins them; ``critical`` asks at which temperatures there is a threshold at all;
``antipodal`` treats minorities of unequal frequency; ``layer_peeled`` and ``ridge`` are the cross-entropy counterparts;
``curve`` tabulates thresholds over temperature and number of negatives.
"""

from geometry.thresholds.antipodal import AntipodalCollapse, antipodal_collapse
from geometry.thresholds.closed_forms import closed_form
from geometry.thresholds.contrastive import Threshold, threshold
from geometry.thresholds.critical import CriticalTemperature, critical_temperature
from geometry.thresholds.curve import CurvePoint, threshold_curve
from geometry.thresholds.layer_peeled import LayerPeeledThreshold, layer_peeled_threshold
from geometry.thresholds.ridge import RidgeThreshold, ridge_threshold
from geometry.thresholds.roots import Interval

__all__ = [
    "AntipodalCollapse",
    "CriticalTemperature",
    "CurvePoint",
    "Interval",
    "LayerPeeledThreshold",
    "RidgeThreshold",
    "Threshold",
    "antipodal_collapse",
    "closed_form",
    "critical_temperature",
    "layer_peeled_threshold",
    "ridge_threshold",
    "threshold",
    "threshold_curve",
]
