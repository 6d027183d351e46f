"""The summary of a study on one page: a row a claim, a column a model, and in each cell how often it held."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from figures import style
from figures.numbers import UNDEFINED, interval

OUTCOMES = ("holds", "undecided", "does not hold")
COLOURS = {"holds": style.SKY, "undecided": "#EDEDED", "does not hold": style.ORANGE}
SIGNS = {"holds": "+", "undecided": "?", "does not hold": "−"}
ROW, COLUMN = 0.25, 0.5  # inches
LABEL = 2.6  # inches that the claims take


@style.styled
def figure(models: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]) -> Figure:
    """Draw verdicts of many runs of many models.

    A cell is divided in proportion to the verdicts of the model's runs, from left to right: holds (+), undecided (?),
    does not hold (-). Above stands the sign they share, or how many hold, are undecided and do not hold; below the
    median over runs of the number that decides. A claim that was not tested on a model is hatched.

    Args:
        models: name -> runs -> their verdicts as plain values (``check``, ``subject``, ``verdict``, ``estimate``).

    Raises:
        ValueError: no verdict at all.
    """
    claims = list(dict.fromkeys(claim(v) for runs in models.values() for verdicts in runs for v in verdicts))
    if not claims:
        raise ValueError("Expected at least one verdict, got none.")
    width = LABEL + COLUMN * max(len(models), 3)
    drawn = style.new_figure(width, ROW * len(claims) + 1.15)
    axes = drawn.subplots()
    for x, runs in enumerate(models.values()):
        for y, name in enumerate(claims):
            found = [v for verdicts in runs for v in verdicts if claim(v) == name]
            if not found:
                style.absent_cell(axes, x, y)
                continue
            _cell(axes, x, y, found)
    axes.set(xlim=(-0.5, len(models) - 0.5), ylim=(len(claims) - 0.5, -0.5))
    axes.set_xticks(range(len(models)), [style.shorten(name, 22) for name in models], rotation=50, ha="left")
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(claims)), [_label(name) for name in claims])
    axes.tick_params(length=0)
    axes.tick_params(axis="y", labelsize=6)
    for side in axes.spines.values():
        side.set_visible(False)
    handles = [Patch(color=COLOURS[name], label=f"{SIGNS[name]}  {name}") for name in OUTCOMES]
    drawn.legend(handles=handles, loc="outside lower center", ncols=3)
    return drawn


def claim(verdict: Mapping[str, Any]) -> tuple[str, str]:
    """What two verdicts share when they are on one claim."""
    return verdict["check"], verdict.get("subject", "")


def _label(name: tuple[str, str]) -> str:
    check, subject = name
    return style.shorten(f"{check.replace('_', ' ')}: {subject}" if subject else check.replace("_", " "), 58)


def _cell(axes: Any, x: int, y: int, found: Sequence[Mapping[str, Any]]) -> None:
    left = x - 0.5
    shares = {name: sum(v["verdict"] == name for v in found) / len(found) for name in OUTCOMES}
    for name, share in shares.items():
        axes.add_patch(Rectangle((left, y - 0.5), share, 1.0, facecolor=COLOURS[name], linewidth=0))
        left += share
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1.0, 1.0, fill=False, edgecolor="white", linewidth=1.5))
    alone = next((name for name in OUTCOMES if shares[name] == 1), None)
    text = SIGNS[alone] if alone else "/".join(f"{round(shares[name] * len(found))}" for name in OUTCOMES)
    known = [value for v in found if np.isfinite(value := interval(v["estimate"])[0])]
    middle = f"{np.median(known):.2g}".replace("-", "−") if known else UNDEFINED
    axes.text(x, y, f"{text}\n{middle}", ha="center", va="center", fontsize=5, linespacing=1.1)
