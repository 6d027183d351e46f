"""Where repelling alone leads: levels, anchors, domains, dimensions, and cross-entropy beside it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.free.experiment import SIMPLEX_TOLERANCE
from experiments.free.page import EXPERIMENT, REACHED, Page, Row, made_by, markdown_table, span
from experiments.free.relation import HEADER as RELATION
from experiments.free.relation import relation
from experiments.free.study import REDUCTIONS, TEMPERATURES, Cell
from geometry.atomic import plain, write_csv, write_json, write_text

COUNTS = {1: (8, 8, 8, 8, 8), 10: (20, 11, 6, 4, 2), 30: (60, 30, 12, 5, 2)}
"""Samples a class by imbalance factor."""
SHARED = {1: (6, 6, 6, 6, 6), 10: (30, 17, 9, 6, 3)}
"""Likewise where every class must reach three domains."""
ONE_FREQUENT = {1.0: ((12, 2, 2, 2, 2), (16, 2, 2, 2, 2)), 0.5: ((18, 2, 2, 2, 2), (22, 2, 2, 2, 2))}
"""On both sides of log-mean-exp's threshold of minority collapse, R* = 7.106 and 9.836 (THEORY.md, section 4)."""
MIDDLE = 0.5
WEIGHTS = (0.1, 1.0)
STARTS = 3

Options = Mapping[str, Any]
FORMS: dict[str, Options] = {
    "samples": {},
    "class means": {"level": "class"},
    "classes weighed alike (ours)": {"level": "balanced"},
}
OTHER = {"other_domains_only": True, "aggregate": "mean"}
CELLS = {"level": "domain-class", "aggregate": "mean"}
DOMAIN_FORMS: dict[str, Options] = {
    "samples, other domains": OTHER,
    "domain-class means": CELLS,
    "domain-class means, other domains": OTHER | CELLS,
}
ALONE = "alone"
SMALL = "dimension below C - 1"
DOMAINS = "alone, 3 domains"
TWO = "alone, 2 domains"
ABSENT = "alone, 3 domains, a class in one"
TRIPLE = "alone, 3 classes"
MINORITIES = "alone, one frequent class"
CLASSIFIED = "with cross-entropy"
BOTH = "with cross-entropy, 3 domains"
SHOWN = (
    *EXPERIMENT,
    "dimension",
    *REACHED,
    "mean_length",
    "distinct",
    "value",
    "simplex_value",
    "program_gap",
    "agreeing",
    "most_start_spread",
    "stationarity",
)
ABOUT = (
    "Free unit vectors, one a sample (float64, random starts and a shaken simplex), five classes in d = 6 dimensions",
    "where nothing else is said, under FixCLR's repelling term alone, or cross-entropy (free classifier rows of mean",
    "squared length 1, logits times 5, averaged over samples) plus a weight times the term. *samples*, *class means*,",
    "*domain-class means*: what repels; *other domains*: only negatives of other domains count; *classes weighed",
    "alike*: a remedy of ours. Verdicts: *simplex*, every cosine of class means within",
    f"{SIMPLEX_TOLERANCE:g} of -1/(C - 1) and every sample as near to its class mean; *angles only*, the first without",
    "the second; *objective*, the loss at the simplex is higher than the one reached; *no room*, d < C - 1. Cosines",
    "are empty where class means vanish. `spread` is the largest distance of a sample from its class mean,",
    "`mean_length` the length of the shortest class mean; `program_gap` is to the certified least loss of the convex",
    "program (for any dimension), where the two are one problem; `agreeing` counts random starts that reach the least",
    "loss found, `most_start_spread` is the largest spread over all of them. table.csv has every column.",
)
TOLD = (("cosines spread", "cosine_std"), ("samples off their means", "spread"))
"""What a sentence tells of the rows, and in which column it stands."""
RELATION_ABOUT = (
    "Five classes of eight samples, from chance (closeness 0) to the simplex (1): unit vectors of R^16, or predictions",
    "softmax of (1 - closeness) * normal + closeness * 6 * one-hot logits; five batches each. `cosine` is that of the",
    "whole gradient with repel-only's (by vectors, or by logits), `repulsion_cosine` that of the part from negatives,",
    "`attraction` the length of the part from positives over the sum of both lengths, `own_class` the cosine of the",
    "descent with plain attraction to the other samples of the class. Means over the batches; lows and highs are in",
    "relation.csv.",
)


def forms() -> tuple[Cell, ...]:
    """The grid."""
    return (*_alone(), *_small(), *_frequent(), *_domains(), *_classified())


def _alone() -> Iterator[Cell]:
    for factor, counts in COUNTS.items():
        for tau in TEMPERATURES:
            for name, options in FORMS.items():
                for reduction in REDUCTIONS if name == "samples" else ("class",):
                    chosen = {**options, "tau": tau, "anchor_reduction": reduction}
                    yield Cell(name, ALONE, "fixclr", chosen, str(factor), counts)
        for reduction in REDUCTIONS:
            chosen = {"aggregate": "mean", "tau": MIDDLE, "anchor_reduction": reduction}
            yield Cell("samples, log-mean-exp", ALONE, "fixclr", chosen, str(factor), counts)


def _small() -> Iterator[Cell]:
    for factor, counts in COUNTS.items():
        for dimension in (2, 3, 4):
            variant = SMALL if dimension < len(counts) - 1 else ALONE
            for tau in TEMPERATURES:
                chosen = {"tau": tau, "aggregate": "mean"}
                yield Cell("samples", variant, "fixclr", chosen, str(factor), counts, dimension)
                if factor == 1:
                    yield Cell("samples, one a class", variant, "fixclr", chosen, "1", (1,) * len(counts), dimension)
            chosen = {"level": "class", "tau": MIDDLE, "anchor_reduction": "class"}
            yield Cell("class means", variant, "fixclr", chosen, str(factor), counts, dimension)


def _frequent() -> Iterator[Cell]:
    for tau, both in ONE_FREQUENT.items():
        for counts in both:
            yield Cell("samples", MINORITIES, "fixclr", {"tau": tau}, str(counts[0] // counts[-1]), counts)


def _domains() -> Iterator[Cell]:
    for factor, counts in SHARED.items():
        for name, options in DOMAIN_FORMS.items():
            for number, variant in ((2.0, TWO), (3.0, DOMAINS)):
                for tau in TEMPERATURES if name == "samples, other domains" and number == 3 else (MIDDLE,):
                    chosen = {**options, "domains": number, "tau": tau}
                    yield Cell(name, variant, "fixclr", chosen, str(factor), counts)
    for name in ("samples, other domains", "domain-class means"):
        chosen = {**DOMAIN_FORMS[name], "domains": 3.0, "layout": "alone", "tau": MIDDLE}
        yield Cell(name, ABSENT, "fixclr", chosen, "1", SHARED[1])
    for number in (3.0, 4.0):
        chosen = {**OTHER, "domains": number, "tau": MIDDLE}
        yield Cell("samples, other domains", f"{TRIPLE}, {number:g} domains", "fixclr", chosen, "1", (12, 12, 12))


def _classified() -> Iterator[Cell]:
    for factor, counts in COUNTS.items():
        chosen = {"classifier": 1.0, "weight": 0.0, "tau": MIDDLE}
        yield Cell("cross-entropy", CLASSIFIED, "fixclr", chosen, str(factor), counts)
        for weight in WEIGHTS:
            for tau in TEMPERATURES:
                for name, options in FORMS.items():
                    if tau == MIDDLE or "ours" not in name:
                        chosen = {**options, "classifier": 1.0, "weight": weight, "tau": tau}
                        yield Cell(f"{name}, weight {weight:g}", CLASSIFIED, "fixclr", chosen, str(factor), counts)
    for factor, counts in SHARED.items():
        for weight in WEIGHTS:
            for name in ("samples, other domains", "domain-class means"):
                chosen = {**DOMAIN_FORMS[name], "classifier": 1.0, "weight": weight, "domains": 3.0, "tau": MIDDLE}
                yield Cell(f"{name}, weight {weight:g}", BOTH, "fixclr", chosen, str(factor), counts)


def drawn(rows: Sequence[Row]) -> list[Row]:
    """The rows of the figure: the middle temperature and room for the simplex, as :data:`COUNTS` or :data:`SHARED`."""
    chosen = (ALONE, DOMAINS, CLASSIFIED, BOTH)
    return [
        row
        for row in rows
        if row["variant"] in chosen
        and row["tau"] == MIDDLE
        and row["dimension"] == len(COUNTS[1]) + 1
        and "log-mean-exp" not in row["loss"]  # the same geometry
    ]


def findings(rows: Sequence[Row]) -> list[str]:
    """What the rows say, a sentence a form, imbalanced counts apart from balanced ones, from their numbers alone."""
    kinds = dict.fromkeys((row["variant"], row["loss"], row["anchors"], row["imbalance"] == "1") for row in rows)
    sentences = []
    for variant, loss, anchors, balanced in kinds:
        mine = [
            row
            for row in rows
            if (row["variant"], row["loss"], row["anchors"], row["imbalance"] == "1")
            == (variant, loss, anchors, balanced)
        ]
        verdicts = [row["verdict"] for row in mine]
        counted = ", ".join(f"{word} in {verdicts.count(word)} of {len(mine)}" for word in dict.fromkeys(verdicts))
        told = [f"{words} by {span(row[name] for row in mine)}" for words, name in TOLD]
        lost = sum(row["mean_length"] < SIMPLEX_TOLERANCE for row in mine)
        told += [f"class means vanish in {lost}"] if lost else []
        part = f"{variant[0].upper()}{variant[1:]}, {'balanced' if balanced else 'imbalanced'}"
        averaged = "" if "means" in loss or "ours" in loss or loss == "cross-entropy" else f" ({anchors}-averaged)"
        sentences.append(f"{part}: {loss}{averaged}: {counted}; {'; '.join(told)}.")
    return sentences


_PAGE = Page("Where FixCLR's repelling leads", ABOUT, SHOWN, findings)


def write_forms(
    directory: Path, rows: Sequence[Row], *, command: str, seed: int, seconds: float
) -> list[dict[str, Any]]:
    """Table and page of the study, those of the relation to other losses, and ``results.json`` with both.

    Returns:
        The rows of the relation.
    """
    _PAGE.write(directory, rows, command=command, seed=seed, seconds=seconds)
    beside = relation(seed=seed)
    write_csv(directory / "relation.csv", RELATION, [[row[name] for name in RELATION] for row in beside])
    shown = [name for name in RELATION if not name.endswith(("_low", "_high"))]
    lines = [
        "# FixCLR's repelling beside other losses, on the same batches",
        "",
        *made_by(command, seed, seconds),
        "",
        *RELATION_ABOUT,
        "",
        *markdown_table(shown, ([_cell(row[name]) for name in shown] for row in beside)),
        "",
    ]
    write_text(directory / "relation.md", "\n".join(lines))
    made = {"command": command, "seed": seed, "seconds": seconds}
    write_json(directory / "results.json", {"made_by": made, "rows": plain(list(rows)), "relation": plain(beside)})
    return beside


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
