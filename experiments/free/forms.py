"""Which forms of ECL's loss reach the simplex: shares, denominators, prototypes, its other losses, anchor averages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.free.classified import DEFAULTS
from experiments.free.experiment import SIMPLEX_TOLERANCE
from experiments.free.page import EXPERIMENT, REACHED, Page, Row, span
from experiments.free.study import REDUCTIONS, TEMPERATURES, Cell

COUNTS = {1: (20, 20, 20, 20, 20), 10: (20, 11, 6, 4, 2), 100: (200, 63, 20, 6, 2)}
"""Samples a class by imbalance factor, exponential between; no class of one sample."""
ALONE = (16, 8, 4, 2, 1)
CHECKED = 10  # imbalance factor at which all samples are let free as well
MIDDLE = 0.5  # temperature of the two smaller parts
STARTS = 3

Options = Mapping[str, Any]
Form = tuple[str, Options]
FORMS: dict[str, Form] = {
    "BCL": ("bcl", {}),
    "BCL, separate denominators": ("bcl", {"denominator": "separate"}),
    "ECL": ("ecl", {}),
    "ECL, separate denominators": ("ecl", {"denominator": "separate"}),
    "prototype share 0.2": ("ecl", {"prototype_share": 0.2}),
    "prototype share 0.8": ("ecl", {"prototype_share": 0.8}),
    "ECL, linear prototypes": ("ecl", {"prototypes": "linear"}),
    "ECL + CC-GE": ("ecl", {"duality": 1.0}),
    "ECL + LC": ("ecl", {"compensation": 1.0}),
    "ECL + LC + CC-GE": ("ecl", {"compensation": 1.0, "duality": 1.0}),
    "ECL + LC (scale 3) + CC-GE": ("ecl", {"compensation": 1.0, "duality": 1.0, "scale": 3.0}),
}
"""Name of each form, and the loss and options that it is."""
LINEAR = "ECL + LC + CC-GE, linear prototypes"
"""Its least loss is that of free prototypes (THEORY.md), and its descent is slow: at the highest temperature only."""
SEVERAL = ("BCL", "ECL", "ECL, separate denominators", "ECL + LC + CC-GE")
"""Forms with every sample free."""
WHOLE = "one vector a class"
FREE = "every sample free"
SINGLETON = "a class of one sample"
PLURAL = {"sample": "samples", "class": "classes"}
SHOWN = (
    *EXPERIMENT,
    *REACHED,
    "alignment",
    "value",
    "simplex_value",
    "simplex_excess",
    "agreeing",
    "stationarity",
)
ABOUT = (
    "Free unit vectors (float64, random starts and a shaken simplex) under every form of the balanced contrast,",
    f"with and without ECL's other losses. *{WHOLE}*: a vector stands for all samples of its class; *{FREE}*:",
    f"none does; *{SINGLETON}*: as the first, with one. Verdicts: *simplex*, every cosine within",
    f"{SIMPLEX_TOLERANCE:g} of -1/(C - 1) and every sample as near to its class mean; *angles only*, the first",
    "without the second; *objective*, the loss at the simplex, prototypes and classifier at their best, is higher",
    "than the one reached. `alignment` is the smallest cosine of a class mean and its prototype; `simplex_excess`",
    "is (loss at the simplex - loss reached) / |loss at the simplex|; `agreeing` counts the random starts that",
    "reach the least loss found. table.csv has every column: `least_start_std` and `most_start_std` are over",
    "random starts.",
)
"""What the page says of its columns."""


def forms() -> tuple[Cell, ...]:
    """The grid: every form on collapsed classes, and two smaller parts that say what collapse and singletons change."""
    return (*_collapsed(), *_free(), *_alone())


def _collapsed() -> Iterator[Cell]:
    linear = {**FORMS["ECL + LC + CC-GE"][1], "prototypes": "linear"}
    for factor, counts in COUNTS.items():
        for tau in TEMPERATURES:
            chosen = FORMS | ({LINEAR: ("ecl", linear)} if tau == max(TEMPERATURES) else {})
            yield from _every_form(chosen, WHOLE, {"tau": tau, "samples": "collapsed"}, str(factor), counts)


def _free() -> Iterator[Cell]:
    yield from _every_form(
        {name: FORMS[name] for name in SEVERAL}, FREE, {"tau": MIDDLE}, str(CHECKED), COUNTS[CHECKED]
    )


def _alone() -> Iterator[Cell]:
    contrasts = {name: form for name, form in FORMS.items() if not set(form[1]) & set(DEFAULTS)}
    yield from _every_form(contrasts, SINGLETON, {"tau": MIDDLE, "samples": "collapsed"}, "16", ALONE)


def _every_form(
    chosen: Mapping[str, Form], variant: str, common: Options, imbalance: str, counts: tuple[int, ...]
) -> Iterator[Cell]:
    for name, (loss, options) in chosen.items():
        for reduction in REDUCTIONS:
            settings = {**options, **common, "anchor_reduction": reduction}
            yield Cell(name, variant, loss, settings, imbalance, counts)


def findings(rows: Sequence[Row]) -> list[str]:
    """What the rows say, a sentence a part of the grid, anchor average and verdict, from their numbers alone."""
    sentences = []
    for variant in (WHOLE, FREE, SINGLETON):
        for reduction in REDUCTIONS:
            mine = [row for row in rows if (row["variant"], row["anchors"]) == (variant, reduction)]
            mine = [row for row in mine if row["imbalance"] != "1"]
            reached, missed = [], []
            for name in dict.fromkeys(row["loss"] for row in mine):
                same = [row for row in mine if row["loss"] == name]
                simplex = sum(row["verdict"] == "simplex" for row in same)
                spreads = [row["cosine_std"] for row in same if row["verdict"] != "simplex"]
                if not spreads:
                    reached.append(name)
                    continue
                never = f", the simplex in {simplex} of {len(same)}" if simplex else ""
                missed.append(f"{name} (cosines spread by {span(spreads)}{never})")
            for words, names in (("the simplex is reached by", reached), ("the simplex is not reached by", missed)):
                if names:
                    part = f"Imbalanced, {variant}, anchors averaged over {PLURAL[reduction]}"
                    sentences.append(f"{part}: {words} {'; '.join(names)}.")
    return sentences


write_forms = Page("Which forms of ECL's loss reach the simplex", ABOUT, SHOWN, findings).write
