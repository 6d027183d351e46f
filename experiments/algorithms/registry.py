"""Algorithms by name, with options read from ``name=value`` words."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from experiments.algorithms.base import Algorithm, TrainingSet
from experiments.algorithms.erm import ERM
from experiments.algorithms.ndcl import NDCL
from experiments.models import Classifier
from geometry.errors import UsageError

ALGORITHMS: dict[str, type[Algorithm]] = {"erm": ERM, "ndcl": NDCL}


def resolve_options(name: str, given: Mapping[str, str | float]) -> dict[str, Any]:
    """The full options of an algorithm: published defaults with the given ones in their place.

    Raises:
        UsageError: unknown algorithm, unknown option, or a value of the wrong type.
    """
    if name not in ALGORITHMS:
        raise UsageError(f"Unknown algorithm {name!r}; known: {', '.join(sorted(ALGORITHMS))}.")
    known = {field.name: field.type for field in fields(ALGORITHMS[name].Options)}
    values = {}
    for key, value in given.items():
        if key not in known:
            raise UsageError(f"Unknown option {key!r} of {name}; known: {', '.join(known) or 'none'}.")
        try:
            values[key] = known[key](value) if isinstance(known[key], type) else value
        except ValueError as error:
            raise UsageError(f"Expected a number for option {key!r} of {name}, got {value!r}.") from error
    return asdict(ALGORITHMS[name].Options(**values))


def build_algorithm(name: str, model: Classifier, training_set: TrainingSet, options: Mapping[str, Any]) -> Algorithm:
    """An algorithm around a model.

    Raises:
        UsageError: unknown algorithm or option.
    """
    resolved = resolve_options(name, options)
    algorithm = ALGORITHMS[name]
    return algorithm(model, training_set, algorithm.Options(**resolved))
