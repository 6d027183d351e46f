"""Imbalance settings: named generators of training counts per source domain and class."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from experiments.data.imbalance import CountTable, require_whole
from experiments.data.randomness import named_generator
from experiments.data.settings.long_tail import long_tail, step
from experiments.data.settings.opposed import cross, duality
from experiments.data.settings.plain import balanced, exponential, natural
from experiments.data.settings.profile import Counts
from experiments.data.settings.total_heavy_tail import total_heavy_tail
from geometry.errors import DataError, UsageError

Setting = Callable[..., Counts]

SETTINGS: dict[str, Setting] = {
    "TotalHeavyTail": total_heavy_tail,
    "Duality": duality,
    "Cross": cross,
    "LongTail": long_tail,
    "Step": step,
    "exponential": exponential,
    "balanced": balanced,
    "natural": natural,
}


def resolve_parameters(setting: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a setting, with its own values for those that are not given.

    Raises:
        UsageError: an unknown setting or parameter (the known ones are listed).
    """
    if setting not in SETTINGS:
        raise UsageError(f"Unknown setting {setting!r}; known are {', '.join(SETTINGS)}.")
    known = {
        name: option.default
        for name, option in inspect.signature(SETTINGS[setting]).parameters.items()
        if option.kind is inspect.Parameter.KEYWORD_ONLY
    }
    if unknown := sorted(set(parameters) - set(known)):
        raise UsageError(f"Setting {setting} has no parameter {unknown[0]!r}; it has {', '.join(known)}.")
    return known | dict(parameters)


def make_counts(
    setting: str,
    sizes: ArrayLike,
    domains: Sequence[str],
    classes: Sequence[str],
    *,
    validation: int,
    seed: int = 0,
    **parameters: float,
) -> CountTable:
    """The training counts that a setting gives to the source domains.

    Args:
        setting: a name in :data:`SETTINGS`.
        sizes: ``(M_s, K)`` images of the source domains, validation included; 0 where a domain has none of a class.
        domains: names of the M_s source domains.
        classes: names of the K classes.
        validation: images per cell set aside for validation before anything else.
        seed: what the setting may draw from.
        **parameters: the setting's own parameters, for example ``c=2``.

    Raises:
        UsageError: an unknown setting or parameter (the known ones are listed), a parameter out of range.
        DataError: a cell with too few images, named.
    """
    resolved = resolve_parameters(setting, parameters)
    validation = require_whole(validation, "a number of validation images")
    table = np.asarray(sizes, dtype=np.int64)
    if table.shape != (len(domains), len(classes)) or table.size == 0:
        raise DataError(f"Expected sizes of {len(domains)} domains x {len(classes)} classes, got {table.shape}.")
    available = np.where(table > 0, table - validation, 0)
    for domain, label in np.argwhere((table > 0) & (available < 1)):
        raise DataError(
            f"Domain {domains[domain]!r}, class {classes[label]!r} has {table[domain, label]} images; {validation} to "
            f"validate and at least 1 to train are asked for. Ask for fewer validation images."
        )
    # Ties between class sizes are settled by name, so the counts must not depend on the order of the columns.
    rank = np.argsort(np.argsort(list(classes)))
    counts = SETTINGS[setting](available, rank, named_generator(seed, "setting", setting), **resolved)
    result = CountTable(
        setting, tuple(domains), tuple(classes), counts, int(seed), {**resolved, "validation": validation}
    )
    result.require_available(table, validation)
    return result
