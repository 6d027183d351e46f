"""Search ranges as a spec writes them."""

from collections.abc import Mapping
from typing import Any

from experiments.algorithms.search import Choice, LogUniform, Range, Uniform
from geometry.errors import UsageError

KINDS = {"log_uniform": LogUniform, "uniform": Uniform}


def parse_range(name: str, given: Any) -> Range:
    """``{log_uniform: [low, high]}``, ``{uniform: [low, high]}`` (``whole: true`` for whole numbers), ``{choice: []}``.

    Raises:
        UsageError: another form, or an empty range; the parameter is named.

    >>> parse_range("beta", {"choice": [0, 0.1]})
    Choice(values=(0, 0.1))
    """
    match given:
        case {"choice": [_, *_] as values} if set(given) == {"choice"} and all(map(_is_value, values)):
            return Choice(tuple(values))
        case {"log_uniform": [low, high]} | {"uniform": [low, high]} if _is_number(low) and _is_number(high):
            kind = next(iter(set(given) - {"whole"}))
            whole = given.get("whole", False)
            if set(given) <= {kind, "whole"} and isinstance(whole, bool):
                try:
                    return KINDS[kind](low, high, whole=whole)
                except UsageError as error:
                    raise UsageError(f"The search range of {name}: {error}") from error
    shown = dict(given) if isinstance(given, Mapping) else given
    raise UsageError(
        f"Expected the search range of {name} as log_uniform: [low, high], uniform: [low, high] or choice: [values], "
        f"got {shown!r}."
    )


def _is_value(value: Any) -> bool:
    return isinstance(value, bool | int | float | str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
