"""The study's table, and what it says."""

from collections.abc import Sequence

from experiments.free.experiment import SIMPLEX_TOLERANCE
from experiments.free.page import EXPERIMENT, REACHED, Page, Row, span

SHOWN = (*EXPERIMENT, *REACHED, "distinct", "simplex_excess", "agreeing", "stationarity")
ABOUT = (
    "Per-sample unit vectors (or logits in a ball, or the layer-peeled model's features and classifier) optimised",
    "directly under each loss, full batch, float64, from random starts and from a shaken simplex. Verdicts:",
    "",
    f"- *simplex*: every cosine of class means within {SIMPLEX_TOLERANCE:g} of -1/(C - 1), every sample within",
    f"  {SIMPLEX_TOLERANCE:g} of its class mean; *angles only*: the first without the second;",
    "- *objective*: the loss at the simplex, with prototypes or classifiers at their best, is higher than the one",
    "  reached, so that it is not the search; *tie*: it is the same;",
    "- *search*: the loss at the simplex is lower, and no start found it.",
    "",
    "`cosine_std` and `cosine_mean` are over pairs of classes; `spread` is the largest distance of a sample from",
    "its class mean; `distinct` counts class vectors; `simplex_excess` is (loss at the simplex - loss reached) /",
    "|loss at the simplex|; `agreeing` counts the random starts that reach the least loss found (fewer than all:",
    "there are local minima); `stationarity` is the tangential gradient over the largest curvature. table.csv has",
    "every column.",
)
"""What the page says of its columns."""
SAID = {
    "simplex": "The simplex in every experiment",
    "angles only": "The simplex's angles in every experiment, without collapse of the samples",
    "objective": "Never the simplex: its loss is higher than the one reached, in every experiment",
    "tie": "The simplex and other geometries alike, in every experiment",
    "search": "No start as low as the simplex, in any experiment",
    "no room": "No room for a simplex",
    "mixed": "It depends",
}


def findings(rows: Sequence[Row]) -> list[str]:
    """What the rows say, from their numbers alone: balanced counts, then imbalanced ones; losses by what they reach."""
    parts = {
        "Balanced": [row for row in rows if row["imbalance"] == "balanced"],
        "Imbalanced": [row for row in rows if row["imbalance"] != "balanced"],
    }
    return [f"{title}. {sentence}" for title, part in parts.items() for sentence in _by_verdict(part)]


def _by_verdict(rows: Sequence[Row]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for kind in dict.fromkeys((row["loss"], row["variant"], row["anchors"]) for row in rows):
        mine = [row for row in rows if (row["loss"], row["variant"], row["anchors"]) == kind]
        verdicts = {row["verdict"] for row in mine}
        name = f"{' '.join(part for part in kind[:2] if part)} ({kind[2]}-averaged{_remark(mine)})"
        groups.setdefault(verdicts.pop() if len(verdicts) == 1 else "mixed", []).append(name)
    return [f"{text}: {'; '.join(groups[word])}." for word, text in SAID.items() if word in groups]


def _remark(rows: Sequence[Row]) -> str:
    """How far the cosines spread where they do, and how often no random start found what a shaken simplex did."""
    told = []
    spreads = [row["cosine_std"] for row in rows if row["verdict"] == "objective" and row["cosine_std"] is not None]
    if spreads:
        told.append(f"cosines spread by {span(spreads)}")
    nearby = sum(row["agreeing"] == 0 for row in rows)
    if nearby:
        told.append(f"in {nearby} of {len(rows)} found from near the simplex only")
    return "".join(f", {text}" for text in told)


write_table = Page("What any loss wants of free vectors", ABOUT, SHOWN, findings, digits=3).write
