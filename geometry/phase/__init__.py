"""Phase diagrams of minority collapse: the certified optimum cell by cell, and the boundary of the collapsed phase."""

from geometry.phase.boundary import BoundaryPoint, phase_curve
from geometry.phase.cell import PhaseCell, phase_cell
from geometry.phase.diagram import ROWS, PhaseDiagram
from geometry.phase.force_balance import StepOptimum, TwoGroups, two_groups

__all__ = [
    "ROWS",
    "BoundaryPoint",
    "PhaseCell",
    "PhaseDiagram",
    "StepOptimum",
    "TwoGroups",
    "phase_cell",
    "phase_curve",
    "two_groups",
]
