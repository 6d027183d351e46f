"""What a reader must know to read the numbers of a table, sentence by sentence."""

import math
import re
from collections import Counter
from collections.abc import Sequence

from experiments.table.aggregate import Entry
from experiments.table.ranks import Ranking
from experiments.table.records import Records
from experiments.table.render import heading
from experiments.table.selection import Choice

SELECTED = {"seed": "for each seed", "mean": "once for all seeds", "defaults": "not at all: defaults"}


def unfinished_search(records: Records) -> list[str]:
    """A warning where hyper-parameter draws are missing, so that rows are chosen among unequal numbers of them."""
    if not records.unfinished:
        return []
    rows = ", ".join(dict.fromkeys(place.algorithm for place, _ in records.unfinished))
    return [
        f"UNFINISHED SEARCH: {sum(records.unfinished.values())} hyper-parameter draws are missing in "
        f"{len(records.unfinished)} cells (row, held-out domain, seed), so rows are chosen among unequal numbers of "
        f"draws: {rows}."
    ]


def chosen(choices: Sequence[Choice], select: str) -> str:
    """How hyper-parameters were chosen."""
    most = max(choice.of for choice in choices)
    blind = sum(math.isnan(choice.validation) for choice in choices)
    if blind == len(choices):
        drawn = f" {most} hyper-parameter draws cannot be told apart, and the defaults stand." if most > 1 else ""
        return f"No validation images: every run is shown at its last checkpoint.{drawn}"
    told = f"Hyper-parameters chosen by balanced source validation {SELECTED[select]}; at most {most} of them a row."
    if blind:
        told += f" {blind} of {len(choices)} choices had no validation images: last checkpoint, defaults."
    return told


def absent(records: Records) -> list[str]:
    """Runs that failed or are missing."""
    failed, missing = (sum(s[name] for s in records.states.values()) for name in ("failed", "missing"))
    if not failed and not missing:
        return []
    reasons = Counter(_kind(error) for error in records.errors.values())
    words = "; ".join(f"{kind} ({number} runs)" if number > 1 else kind for kind, number in reasons.most_common())
    told = f" Errors: {words.removesuffix('.')}. Each in full in its sweep's sweep.json." if reasons else ""
    return [f"Failed runs: {failed}; missing runs: {missing}.{told}"]


def _kind(error: str) -> str:
    """What errors of one kind have in common: the words before the details, without numbers."""
    return re.sub(r"\d+", "...", error.split(":")[0])


def tests(entries: Sequence[Entry], test: str, units: str, level: float) -> list[str]:
    """What the tests are, and what they cannot tell.

    Args:
        entries: with their comparisons.
        test: its name; ``bootstrap`` for that over samples.
        units: of averages in tests over runs.
        level: of decisions.
    """
    made = [c for e in entries for c in (e.baseline, e.against_best) if c is not None]
    if not made:
        return []
    holm = f"Holm-corrected over the rows of a column at {1 - level:.3g}."
    if test == "bootstrap":
        lines = [
            "Paired bootstrap of the target samples inside each class, those that splits share together, so about "
            f"other images and these trained models; of accuracy and balanced accuracy; {holm}"
        ]
    else:
        lines = [f"Paired two-sided {test} tests on the same splits and seeds (averages: {units} as units), {holm}"]
    alike = [test == "t" and c.units > 1 and c.p_value != c.p_value for c in made]  # NaN
    if any(alike):
        lines.append(
            f"{sum(alike)} of {len(made)} tests are undefined: all units differ alike, so that t has no scatter to "
            "judge by; nothing is marked by them."
        )
    powerless = sum(c.powerless and not same for c, same in zip(made, alike, strict=True) if test != "bootstrap")
    if powerless:
        lines.append(
            f"{powerless} of {len(made)} tests have too few units to reject after the correction, whatever the "
            "numbers (see least p); nothing is marked by them. More seeds help, or --test t, which takes the "
            "differences for normal."
        )
    dropped = sum(c.dropped for c in made)
    return lines + ([f"{dropped} pairs are incomplete and take no part in the tests."] if dropped else [])


def ranking(found: Ranking) -> list[str]:
    """Average ranks and their test."""
    test = found.test
    order = sorted(zip(test.average_ranks.tolist(), found.algorithms, strict=True))
    ranks = ", ".join(f"{name} {rank:.2f}" for rank, name in order)
    davenport = "" if test.f_p_value != test.f_p_value else f" (Iman-Davenport p = {test.f_p_value:.2g})"
    lines = [f"Average ranks by {heading(found.metric)} over {test.blocks} held-out domains: {ranks}."]
    if test.p_value == test.p_value:  # not NaN
        lines.append(
            f"Friedman chi-square {test.statistic:.2f}, p = {test.p_value:.2g}{davenport}; "
            f"Nemenyi's critical difference {test.critical_difference:.2f} at {test.level:.3g}. "
            "Domains of one data set share images, so the blocks are not independent."
        )
    if test.dropped:
        lines.append(f"{test.dropped} held-out domains lack a row and are left out of the ranks.")
    return lines
