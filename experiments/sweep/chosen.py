"""The hyper-parameters that an earlier sweep's search came to: chosen once, then run with as many seeds as wanted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.config import OptimConfig
from experiments.table.records import Place, read_records
from experiments.table.selection import select, split_hyperparameters
from geometry.errors import DataError


@dataclass(frozen=True)
class Chosen:
    """What a finished search chose by balanced source validation.

    Attributes:
        search: its directory.
        draws: the hyper-parameters of the best draw, for every place.
    """

    search: Path
    draws: Mapping[Place, str]

    def training(self, base: OptimConfig, place: Place) -> OptimConfig:
        """A variant's training with the chosen values in the place of its own.

        Raises:
            DataError: the search has no such row.
        """
        if place not in self.draws:
            raise DataError(f"Expected {' / '.join(place)} in the search {self.search}; it has no such row.")
        options, training = split_hyperparameters(self.draws[place])
        return replace(base, **training, options=options)


def read_chosen(search: Path) -> Chosen:
    """The choices of a finished search; over its seeds, where it had several, a draw's validation is their mean.

    Raises:
        DataError: no results there, or some that are still missing.
        UsageError: draws that differ between the search's seeds, so that none is best on average.
    """
    records = read_records([search])
    if not records.runs:
        raise DataError(f"Expected the results of a search in {search}, found no run; run that sweep first.")
    if missing := sum(records.unfinished.values()):
        raise DataError(f"Expected a finished search in {search}, {missing} of its runs are missing; finish it first.")
    _, choices = select(records.runs, "mean")
    return Chosen(search, {choice.place: choice.hyperparameters for choice in choices})
