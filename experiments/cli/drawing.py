"""What the drawing commands share: lists of numbers, certified optima, and what lies beside a figure."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from geometry.errors import UsageError

DRAWINGS = Path("runs/draw")
LABELS = {
    "infonce": "InfoNCE",
    "plain": "plain InfoNCE",
    "lme": "log-mean-exp",
    "supcon": "SupCon",
    "exp": "exponential",
}


def numbers(text: str, option: str) -> list[float]:
    """Positive numbers from a comma-separated list.

    Raises:
        UsageError: none, or one that is no positive finite number.

    >>> numbers("1,10,1e4", "--ratios")
    [1.0, 10.0, 10000.0]
    """
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    if not found or not all(math.isfinite(number) and number > 0 for number in found):
        raise UsageError(f"Expected positive numbers for {option}, such as 1,10,100; got {text!r}.")
    return list(dict.fromkeys(found))


def certified(proportions: Any, settings: dict[str, Any]) -> dict[str, Any] | None:
    """What a figure needs of the optimum, or None when it cannot be certified."""
    from geometry.optimum import UncertifiedError, solve

    try:
        found = solve(proportions, **settings)
    except UncertifiedError:
        return None
    return {name: getattr(found, name) for name in ("gram", "rank", "distinct", "relative_gap", "method", "certified")}


def certificate(cells: Iterable[dict[str, Any] | None]) -> tuple[str, int]:
    """What to say about the proof of a number of optima, and how many have none.

    Raises:
        UncertifiedError: none has one.
    """
    from geometry.optimum import UncertifiedError

    found = list(cells)
    gaps = [cell["relative_gap"] for cell in found if cell is not None]
    if not gaps:
        raise UncertifiedError("No optimum could be certified with these settings, so there is nothing to draw.")
    exponent = math.floor(math.log10(max(*gaps, 1e-16))) + 1
    missing = len(found) - len(gaps)
    superscript = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    text = f"certified within a relative 10{superscript} of the least loss"
    return f"{text}; {missing} without certificate left out" if missing else text, missing


def finish(
    command: Any, name: str, payload: dict[str, Any], header: Sequence[str], rows: Sequence[Any], files: Sequence[Path]
) -> None:
    """Write what was drawn beside the figure, and say where all lies."""
    from experiments.cli.output import emit_json, save_result
    from geometry.atomic import plain

    save_result(command.out, name, plain(payload), header, rows)
    if command.json:
        emit_json({**payload, "files": files})
    else:
        print(
            "\n".join(
                str(path) for path in [*files, *(command.out / f"{name}.{kind}" for kind in ("json", "csv", "tex"))]
            )
        )
