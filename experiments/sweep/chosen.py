"""The hyper-parameters that an earlier sweep's search came to: chosen once, then run with as many seeds as wanted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from experiments.algorithms.registry import resolve_options
from experiments.config import OptimConfig
from experiments.table.records import Place, read_records
from experiments.table.selection import select, split_hyperparameters
from geometry.errors import DataError, UsageError


@dataclass(frozen=True)
class Chosen:
    """What a finished search chose by balanced source validation.

    Attributes:
        search: its directory.
        draws: the hyper-parameters of the best draw, for every place.
        defaults: those of draw 0, which a spec that repeats the search has too, for every place that ran it.
    """

    search: Path
    draws: Mapping[Place, str]
    defaults: Mapping[Place, str]

    def training(self, base: OptimConfig, place: Place) -> OptimConfig:
        """A variant's training with the chosen values in the place of its own.

        Raises:
            DataError: the search has no such row.
            UsageError: the variant's own training or options, before any choice, are not those that were searched from.
        """
        if place not in self.draws:
            raise DataError(f"Expected {' / '.join(place)} in the search {self.search}; it has no such row.")
        self._require_searched_from(base, place)
        options, training = split_hyperparameters(self.draws[place])
        return replace(base, **training, options=options)

    def _require_searched_from(self, base: OptimConfig, place: Place) -> None:
        """Refuse what the choice would otherwise replace without a word."""
        options, training = split_hyperparameters(self.defaults.get(place, ""))
        own = resolve_options(base.algorithm, base.options)
        given = {**own, **{name: getattr(base, name) for name in training}}
        for name, value in {**options, **training}.items():
            if name in given and given[name] != value:
                raise UsageError(
                    f"Expected {name} {value!r} for {place.algorithm}, as in the search {self.search}, got "
                    f"{given[name]!r}; what a search chose replaces it."
                )


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
    defaults = {run.place: run.hyperparameters for run in records.runs if run.draw == 0}
    return Chosen(search, {choice.place: choice.hyperparameters for choice in choices}, defaults)
