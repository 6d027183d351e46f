"""Random generators that belong to a name, so that one part of the data never moves the randomness of another."""

import hashlib

import numpy as np


def named_generator(seed: int, *names: str | int) -> np.random.Generator:
    """The generator that belongs to ``seed`` and a path of names.

    The stream depends on the names alone, never on their position among others: adding a domain or a class
    leaves the shuffles of every other cell as they were.

    Args:
        seed: any integer.
        *names: what the randomness is for, for example ``"split", "sketch", "dog"``.

    >>> a, b = named_generator(0, "split", "photo", "dog"), named_generator(0, "split", "photo", "dog")
    >>> bool(a.random() == b.random())
    True
    """
    # A JSON-free, unambiguous spelling: ("a", "bc") and ("ab", "c") must not meet.
    text = repr((int(seed), *(str(name) for name in names)))
    digest = hashlib.sha256(text.encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype="<u4"))
