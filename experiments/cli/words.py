"""Commands as the words a shell would need to repeat them."""

import shlex
from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any


def flags(*parts: Any, leave_out: Collection[str] = ()) -> list[str]:
    """``--name value`` for every field of some dataclasses that is not at its default.

    >>> from experiments.data_config import DataConfig
    >>> flags(DataConfig(seed=3, skip_broken=True))
    ['--skip-broken', '--seed', '3']
    """
    words: list[str] = []
    for part in parts:
        for field in fields(part):
            value = getattr(part, field.name)
            if field.name in leave_out or value == field.default:
                continue
            words.append(f"--{field.name.replace('_', '-')}")
            if value is not True:
                words += map(str, value) if isinstance(value, tuple) else [str(value)]
    return words


def command_line(name: str, *words: object) -> str:
    """``tailgeom NAME WORDS``, quoted where a shell needs it."""
    return shlex.join(["tailgeom", *name.split(), *map(str, words)])


def joined(lines: Sequence[str]) -> str:
    """Several commands, one a line; empty ones are left out."""
    return "\n".join(line for line in lines if line)
