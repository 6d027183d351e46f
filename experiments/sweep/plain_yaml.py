"""YAML as people write it: 1e-3 is a number (it is a word in YAML 1.1), no key comes twice, and only plain values."""

import re
from typing import Any

import yaml

from geometry.errors import UsageError


class _Loader(yaml.SafeLoader):
    """The safe loader with another idea of numbers and of mappings."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if isinstance(key, list | dict):
            raise UsageError(f"Expected words as the keys of a spec, got {key!r} (line {node.start_mark.line + 1}).")
        if keys.count(key) > 1:
            raise UsageError(f"Expected every key once in a spec, got {key!r} twice (line {node.start_mark.line + 1}).")
    return {key: loader.construct_object(value, deep=True) for key, (_, value) in zip(keys, node.value, strict=True)}


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read_yaml(text: str) -> Any:
    """The plain values of a document.

    Raises:
        UsageError: a key comes twice, or is a list or a mapping.
        yaml.YAMLError: it is no YAML.

    >>> read_yaml("lr: 1e-3")
    {'lr': 0.001}
    """
    return yaml.load(text, Loader=_Loader)  # a SafeLoader: plain values only
