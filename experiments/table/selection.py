"""Which hyper-parameter draw a table reports: the one with the best balanced source validation accuracy."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

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


CHOSEN = (
    "dataset", "setting", "held_out", "algorithm", "seeds", "draw", "of", "missing", "validation", "optimizer", "lr",
    "weight_decay", "options", "training",
)  # fmt: skip


def chosen_rows(choices: Iterable[Choice], unfinished: Mapping[tuple[Place, int], int]) -> list[list[Any]]:
    """Every choice in the columns of :data:`CHOSEN`: options of the algorithm and the rest of its training as JSON.

    Args:
        choices: made by :func:`select`.
        unfinished: draws that are still missing, by place and seed.
    """
    rows = []
    for choice in choices:
        options, training = split_hyperparameters(choice.hyperparameters)
        own = [training.pop(name, None) for name in ("optimizer", "lr", "weight_decay")]
        missing = sum(unfinished.get((choice.place, seed), 0) for seed in choice.seeds)
        seeds = " ".join(map(str, choice.seeds))
        told = [json.dumps(part, sort_keys=True) for part in (options, training)]
        rows.append([*choice.place, seeds, choice.draw, choice.of, missing, choice.validation, *own, *told])
    return rows


SUMMARY = ("algorithm", "choices", "among", "defaults", "optimizer", "lr", "weight decay")


def summary(choices: Iterable[Choice]) -> list[tuple[str, list[tuple[Any, ...]]]]:
    """For every data set and setting where there was a choice: what each row's search came to, under :data:`SUMMARY`.

    ``choices`` were made among so many draws each, ``defaults`` times for draw 0; lr and weight decay are their
    smallest, median and largest.
    """
    groups: dict[tuple[str, str], dict[str, list[Choice]]] = {}
    for choice in choices:
        groups.setdefault(choice.place[:2], {}).setdefault(choice.place.algorithm, []).append(choice)
    found = []
    for (dataset, setting), rows in groups.items():
        if all(choice.of == 1 for mine in rows.values() for choice in mine):
            continue
        lines = []
        for name, mine in rows.items():
            training = [split_hyperparameters(choice.hyperparameters)[1] for choice in mine]
            optimizers = Counter(told["optimizer"] for told in training if "optimizer" in told)
            lines.append(
                (
                    name,
                    len(mine),
                    _range([choice.of for choice in mine]),
                    sum(choice.draw == 0 for choice in mine),
                    ", ".join(f"{word} {times}" for word, times in sorted(optimizers.items())) or "–",
                    _spread([told["lr"] for told in training if "lr" in told]),
                    _spread([told["weight_decay"] for told in training if "weight_decay" in told]),
                )
            )
        found.append((f"{dataset}, {setting}: chosen by balanced source validation", lines))
    return found


def split_hyperparameters(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of the algorithm, and the training beside them, from the text of a run's hyper-parameters.

    >>> split_hyperparameters('{"alpha": 0.1} {"lr": 0.01}')
    ({'alpha': 0.1}, {'lr': 0.01})
    >>> split_hyperparameters('{"lr": 0.01, "options": {"alpha": 0.1}}')  # of a run by itself
    ({'alpha': 0.1}, {'lr': 0.01})
    """
    decoder, parts, rest = json.JSONDecoder(), [], text.strip()
    while rest.startswith("{"):
        part, end = decoder.raw_decode(rest)
        parts.append(part)
        rest = rest[end:].lstrip()
    if len(parts) == 1:
        alone = "options" in parts[0] or "lr" in parts[0]
        parts = [parts[0].pop("options", {}), parts[0]] if alone else [parts[0], {}]
    return (parts[0], parts[1]) if parts else ({}, {})


def _range(values: Sequence[int]) -> str:
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)} to {max(values)}"


def _spread(values: Sequence[float]) -> str:
    """Smallest, median, largest."""
    if not values:
        return "–"
    shown = [f"{value:.2g}" for value in (min(values), median(values), max(values))]
    return shown[0] if len(set(shown)) == 1 else " / ".join(shown)


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
