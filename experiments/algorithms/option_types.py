"""Values of options: from words to the types that options are annotated with, and those types in words."""

from dataclasses import Field, field
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from experiments.algorithms.search import Value

LATER = "later"


def later(default: Any) -> Any:
    """The field of an option that its algorithm did not have at first: at its default a run is as it was without it."""
    return field(default=default, metadata={LATER: True})


def is_recorded(option: Field[Any], value: Any) -> bool:
    """Whether the value of an option belongs to what a run is known by: all do but defaults of later options.

    >>> from dataclasses import fields, make_dataclass
    >>> options = make_dataclass("Options", [("tau", float, 1.0), ("views", int, later(0))])
    >>> [is_recorded(option, value) for option in fields(options) for value in (0, 1)]
    [True, True, False, True]
    """
    return not option.metadata.get(LATER) or value != option.default


def converted(value: Value, wanted: Any) -> Value:
    """A value as the type that an option is annotated with.

    Raises:
        ValueError: it is none.

    >>> converted("3", int), converted("equal", float | Literal["equal"])
    (3, 'equal')
    """
    if get_origin(wanted) in (UnionType, Union):
        for one in get_args(wanted):
            try:
                return converted(value, one)
            except ValueError:
                continue
        raise ValueError
    if get_origin(wanted) is Literal:
        if value not in get_args(wanted):
            raise ValueError
        return value
    if wanted is bool:
        if value not in (True, False, "true", "false"):
            raise ValueError
        return value in (True, "true")
    if isinstance(value, bool):  # bool is an int: true is no number here
        raise ValueError
    if wanted is int and not float(value).is_integer():
        raise ValueError
    return wanted(float(value)) if wanted is int else wanted(value)


def in_words(wanted: Any) -> str:
    """The type of an option in words.

    >>> in_words(float | Literal["bcl", "equal"])
    'a number, bcl or equal'
    """
    if get_origin(wanted) in (UnionType, Union):
        parts = [part for one in get_args(wanted) for part in _words(one)]
    else:
        parts = _words(wanted)
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"


def _words(wanted: Any) -> list[str]:
    if get_origin(wanted) is Literal:
        return list(get_args(wanted))
    return ["a whole number" if wanted is int else "true or false" if wanted is bool else "a number"]
