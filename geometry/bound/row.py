"""One line of the table of bound terms."""

from math import isfinite
from typing import NamedTuple

from geometry.intervals import Interval


class Row(NamedTuple):
    """One estimated number with its place; ``Row._fields`` is the header of the table.

    Attributes:
        term: which term of the bound, for example ``balanced risk``.
        variant: scale, weighting or measure.
        group: ``all`` or a shot group.
        where: split, domain, or pair of domains.
        estimate: the value, NaN where undefined.
        low: lower end of its interval.
        high: upper end.
        n: samples that carry it.
        note: what the reader has to know, for instance why it is undefined.
    """

    term: str
    variant: str
    group: str
    where: str
    estimate: float
    low: float
    high: float
    n: int
    note: str


def row(term: str, variant: str, group: str, where: str, value: Interval, note: str = "") -> Row:
    """A :class:`Row` from an interval; one without bounds brings its own reason along."""
    reason = "" if isfinite(value.low) else value.method.removeprefix("undefined: ")
    text = "; ".join(part for part in (reason, note) if part)
    return Row(term, variant, group, where, value.estimate, value.low, value.high, value.n, text)
