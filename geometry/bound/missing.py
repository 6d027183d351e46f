"""A term that could not be computed."""

from collections.abc import Iterator
from dataclasses import dataclass

from geometry.bound.row import Row


@dataclass(frozen=True)
class Missing:
    """A term that this artifact does not allow, and why."""

    term: str
    variant: str
    where: str
    reason: str

    def rows(self) -> Iterator[Row]:
        """One row without a number."""
        nan = float("nan")
        yield Row(self.term, self.variant, "all", self.where, nan, nan, nan, 0, self.reason)
