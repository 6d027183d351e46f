"""YAML as people write it, and what of it no spec may have."""

import pytest

from experiments.sweep.plain_yaml import read_yaml
from geometry.errors import UsageError


@pytest.mark.parametrize(("text", "value"), [("1e-3", 0.001), ("5E4", 5e4), (".5e1", 5.0), ("1e", "1e"), ("3", 3)])
def test_a_number_is_what_people_write_as_one(text, value):
    found = read_yaml(f"lr: {text}")["lr"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2", r"'c' twice \(line 3\)"),
        ("? [a]\n: 1", r"Expected words as the keys of a spec, got \['a'\] \(line 1\)"),
        ("? {a: 1}\n: 2", "Expected words as the keys"),
    ],
)
def test_keys_are_words_and_come_once(text, said):
    with pytest.raises(UsageError, match=said):
        read_yaml(text)
