"""``name=value`` words of a command line as values by name."""

from collections.abc import Mapping, Sequence
from typing import Any

from geometry.errors import UsageError

Value = bool | int | float | str


def named_values(words: Sequence[str], flag: str) -> dict[str, Value]:
    """``name=value`` words as a mapping; a value is a whole number, a number, true or false, or else a word.

    Raises:
        UsageError: a word is not of that form, or a name comes twice.

    >>> named_values(["c=2", "ratio=0.5", "shuffle=true"], "--setting-options")
    {'c': 2, 'ratio': 0.5, 'shuffle': True}
    """
    found: dict[str, Value] = {}
    for word in words:
        name, separator, text = (part.strip() for part in word.partition("="))
        if not (name and separator and text):
            raise UsageError(f"Expected name=value after {flag}, got {word!r}.")
        if name in found:
            raise UsageError(f"Expected every name once after {flag}, got {name!r} twice.")
        found[name] = _value(text)
    return found


def _value(text: str) -> Value:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def differences(new: Mapping[str, Any], old: Mapping[str, Any], prefix: str = "") -> list[str]:
    """By which entries two configurations differ, inner ones by their path.

    >>> differences({"optim": {"lr": 0.1}}, {"optim": {"lr": 0.2}})
    ['optim.lr: 0.2 there, 0.1 asked']
    """
    found = []
    for key in sorted(set(new) | set(old)):
        here, there = new.get(key), old.get(key)
        if isinstance(here, dict) and isinstance(there, dict):
            found += differences(here, there, f"{prefix}{key}.")
        elif here != there:
            found.append(f"{prefix}{key}: {there!r} there, {here!r} asked")
    return found
