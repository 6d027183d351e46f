from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.data.cache import cache_root
from experiments.data.digits import digits


@pytest.fixture
def make_tree(tmp_path):
    """Write a tree of small images: ``make_tree({"photo": {"dog": 3}})`` returns its root."""

    def make(cells, root=None, size=(5, 4), extension="png"):
        root = Path(root or tmp_path / "tree")
        rng = np.random.default_rng(0)
        for domain, classes in cells.items():
            for name, count in classes.items():
                folder = root / domain / name
                folder.mkdir(parents=True)
                for number in range(count):
                    pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{number:03d}.{extension}")
        return root

    return make


@pytest.fixture(scope="session")
def digit_cache(shared_cache):
    """The cache of all tests, with the digit set in it."""
    digits()
    return cache_root()


@pytest.fixture(scope="session")
def digit_set(digit_cache):
    return digits()
