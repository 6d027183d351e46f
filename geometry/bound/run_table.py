"""The table of a study: runs by terms, with what each run was."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geometry.errors import DataError

Array = NDArray[np.float64]
Needs = Literal["sources", "target inputs", "target labels"]


@dataclass(frozen=True, eq=False)
class Term:
    """One column: a bound term over the runs.

    Attributes:
        name: what it is.
        values: ``(R,)``, NaN where a run has none; infinities count as the largest values.
        needs: what measuring it takes; a term that takes ``target labels`` is an oracle.
        trivial: why it goes with the outcome by construction; empty where it does not.
    """

    name: str
    values: Array
    needs: Needs = "sources"
    trivial: str = ""


@dataclass(frozen=True, eq=False)
class Runs:
    """A table of R runs.

    Attributes:
        held_out: R names of held-out domains.
        setting: R names of imbalance settings.
        model: R names of algorithms (with their hyper-parameters, where they vary).
        seed: R seeds.
        terms: the columns.
        outcomes: ``(R,)`` values of each outcome, for example target error, by name.
        control: name of the term that partial correlations hold fixed, for example the balanced risk of the sources.
    """

    held_out: tuple[str, ...]
    setting: tuple[str, ...]
    model: tuple[str, ...]
    seed: tuple[int, ...]
    terms: tuple[Term, ...]
    outcomes: Mapping[str, Array]
    control: str = ""

    def __post_init__(self) -> None:
        columns = [self.held_out, self.setting, self.model, self.seed, *self.outcomes.values()]
        lengths = {len(column) for column in columns} | {len(term.values) for term in self.terms}
        if len(lengths) != 1:
            raise DataError(f"Expected columns of one length, got lengths {sorted(lengths)}.")
        if len({term.name for term in self.terms}) != len(self.terms):
            raise DataError("Expected every term once.")
