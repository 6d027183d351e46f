"""Average ranks of the rows over data sets, settings and held-out domains."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.table.aggregate import AVERAGE, Entry, larger_is_better
from geometry.friedman import RankTest, friedman


@dataclass(frozen=True)
class Ranking:
    """A rank test with its names.

    Attributes:
        metric: that was ranked.
        algorithms: rows, in the order of ``test.average_ranks``.
        test: Friedman and Nemenyi over the held-out domains of every data set and setting.
    """

    metric: str
    algorithms: tuple[str, ...]
    test: RankTest


def rank(entries: Sequence[Entry], metric: str, *, level: float = 0.05) -> Ranking | None:
    """Rank the rows in every (data set, setting, held-out domain) by their means over seeds; None for a single row.

    The blocks of one data set share images, so they are not independent and the test's p-value is too small by an
    unknown amount; it is the field's usual one.

    Args:
        entries: numbers of the tables.
        metric: to rank by.
        level: of the critical difference.
    """
    mine = [entry for entry in entries if entry.metric == metric and entry.place.held_out != AVERAGE]
    rows = list(dict.fromkeys(entry.place.algorithm for entry in mine))
    if len(rows) < 2:
        return None
    blocks: dict[tuple[str, ...], dict[str, float]] = {}
    for entry in mine:
        blocks.setdefault(entry.place[:3], {})[entry.place.algorithm] = entry.mean
    scores = [[block.get(row, float("nan")) for row in rows] for block in blocks.values()]
    return Ranking(metric, tuple(rows), friedman(scores, larger_is_better=larger_is_better(metric), level=level))
