"""Which hyper-parameter draw a table reports: the one with the best balanced source validation accuracy."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from experiments.table.records import Place, Run
from geometry.errors import UsageError

SELECTIONS = ("seed", "mean", "defaults")
BY = "validation_balanced_accuracy"


@dataclass(frozen=True)
class Choice:
    """A draw that was chosen.

    Attributes:
        place: data set, setting, held-out domain, row of the table.
        seeds: that it was chosen for.
        draw: its number.
        of: draws it was chosen among.
        validation: its mean balanced source validation accuracy; NaN where not measured.
        hyperparameters: what it stands for.
    """

    place: Place
    seeds: tuple[int, ...]
    draw: int
    of: int
    validation: float
    hyperparameters: str


def select(runs: Iterable[Run], how: str = "seed") -> tuple[list[Run], list[Choice]]:
    """One run for each place and seed, chosen without looking at the target.

    * ``seed``: for each seed the draw that is best on its validation set; a seed is a repetition of the whole search,
      as in DomainBed.
    * ``mean``: one draw for all seeds, the best on average; asks for the same draws at every seed.
    * ``defaults``: draw 0, nothing is searched.

    A tie goes to the lower number, so to the defaults.

    Raises:
        UsageError: unknown ``how``; no defaults; draws that differ between seeds under ``mean``; two runs that only
            their directories tell apart.
    """
    if how not in SELECTIONS:
        raise UsageError(f"Unknown selection {how!r}; known: {', '.join(SELECTIONS)}.")
    places: dict[Place, list[Run]] = defaultdict(list)
    for run in runs:
        places[run.place].append(run)
    chosen: list[Run] = []
    choices: list[Choice] = []
    for place, candidates in places.items():
        _require_distinct(candidates)
        groups = _by_seed(candidates) if how == "seed" else [_on_average(candidates, place, how)]
        for picked in groups:
            chosen += picked
            rivals = {run.hyperparameters for run in candidates if how == "mean" or run.seed == picked[0].seed}
            choices.append(
                Choice(
                    place=place,
                    seeds=tuple(sorted(run.seed for run in picked)),
                    draw=picked[0].draw,
                    of=1 if how == "defaults" else len(rivals),
                    validation=fmean(run.number(BY) for run in picked),
                    hyperparameters=picked[0].hyperparameters,
                )
            )
    return chosen, choices


def _by_seed(candidates: Sequence[Run]) -> list[list[Run]]:
    seeds: dict[int, list[Run]] = defaultdict(list)
    for run in candidates:
        seeds[run.seed].append(run)
    return [[max(found, key=lambda run: (_score(run.number(BY)), -run.draw))] for _, found in sorted(seeds.items())]


def _on_average(candidates: Sequence[Run], place: Place, how: str) -> list[Run]:
    draws: dict[tuple[int, str], list[Run]] = defaultdict(list)
    for run in candidates:
        draws[run.draw, run.hyperparameters].append(run)
    if how == "defaults":
        found = [run for run in candidates if run.draw == 0]
        if not found:
            raise UsageError(f"No run of {' / '.join(place)} has the default hyper-parameters; use --select seed.")
        return found
    seeds = {run.seed for run in candidates}
    complete = {key: found for key, found in draws.items() if {run.seed for run in found} == seeds}
    if not complete:
        raise UsageError(
            f"No draw of {' / '.join(place)} was run with every seed, so none is best on average; use --select seed."
        )
    best = max(complete, key=lambda key: (_score(fmean(run.number(BY) for run in complete[key])), -key[0]))
    return complete[best]


def _score(value: float) -> float:
    return value if math.isfinite(value) else -1.0


def _require_distinct(candidates: Sequence[Run]) -> None:
    seen: dict[tuple[int, int, str], Run] = {}
    for run in candidates:
        twin = seen.setdefault((run.draw, run.seed, run.hyperparameters), run)
        if twin is not run:
            raise UsageError(f"{twin.path} and {run.path} are the same run (same row, draw and seed); leave one out.")
