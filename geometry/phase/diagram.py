"""A phase diagram: its cells in rows and columns, and the boundary drawn over them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geometry.phase.boundary import BoundaryPoint
from geometry.phase.cell import PhaseCell

Array = NDArray[np.float64]

ROWS = {"tau": "ratio", "negatives": "ratio", "majority": "tau"}
"""What runs along the rows, by what runs along the columns."""


@dataclass(frozen=True)
class PhaseDiagram:
    """Cells over two settings.

    Attributes:
        against: what changes from column to column: ``tau``, ``negatives`` or ``majority``; from row to row it is R,
            or tau against ``majority``.
        cells: rows of cells.
        curve: for each column the points of the boundary (:func:`geometry.phase.phase_curve`).
    """

    against: str
    cells: tuple[tuple[PhaseCell, ...], ...]
    curve: tuple[tuple[BoundaryPoint, ...], ...]

    @property
    def minority_cosine(self) -> Array:
        """``(rows, columns)``; NaN where a cell is not certified."""
        return np.array([[cell.minority_cosine for cell in row] for row in self.cells])

    @property
    def uncertified(self) -> tuple[PhaseCell, ...]:
        """The cells without a certificate."""
        return tuple(cell for row in self.cells for cell in row if not cell.certified)

    @property
    def collapsed_cells(self) -> int:
        """How many cells are collapsed."""
        return sum(bool(cell.collapsed) for row in self.cells for cell in row)

    @property
    def disagreements(self) -> int:
        """Certified cells that lie on the other side of the boundary than their own minority vectors say."""
        name = ROWS[self.against]
        columns = zip(*self.cells, strict=True)
        return sum(
            cell.collapsed != _inside(getattr(cell, name), [(getattr(p, name), p.collapsed_above) for p in points])
            for column, points in zip(columns, self.curve, strict=True)
            for cell in column
            if cell.certified
        )

    def contents(self) -> dict[str, Any]:
        """The diagram as matrices ``(rows, columns)`` for JSON and figures; what is not certified is None."""
        row_name = ROWS[self.against]
        return {
            "against": self.against,
            "columns": [_word(getattr(cell, self.against)) for cell in self.cells[0]],
            "rows": [_word(getattr(row[0], row_name)) for row in self.cells],
            **{
                name: [[getattr(cell, name) for cell in row] for row in self.cells]
                for name in ("minority_cosine", "majority_cosine", "cross_cosine", "rank", "distinct", "collapsed")
            },
            "curve": [
                {
                    "column": column,
                    "value": getattr(point, row_name),
                    "collapsed_above": point.collapsed_above,
                    "reason": point.reason,
                }
                for column, points in enumerate(self.curve)
                for point in points
            ],
            "uncertified": [
                {
                    "column": _word(getattr(cell, self.against)),
                    "row": _word(getattr(cell, row_name)),
                    "reason": cell.reason,
                }
                for cell in self.uncertified
            ],
            "largest_relative_gap": max(
                (cell.relative_gap for row in self.cells for cell in row if cell.certified), default=float("nan")
            ),
            "disagreements": self.disagreements,
        }


def _inside(value: float, points: Sequence[tuple[float, bool]]) -> bool:
    """Whether ``value`` lies on the collapsed side of the boundary points of its column."""
    below = [point for point in points if point[0] <= value]
    if below:
        return max(below)[1]
    first, collapsed_above = min(points, key=lambda point: point[0])
    return collapsed_above if np.isnan(first) else not collapsed_above


def _word(value: float | None) -> float | str:
    """A setting as JSON has it: k = None and R = infinity are the limits."""
    return "inf" if value is None or np.isinf(value) else value
