from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.data.catalogue import Catalogue
from geometry.errors import DataError, UsageError

CELLS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=40)


def catalogue(cells):
    domain, label = np.array(cells, dtype=np.int64).reshape(-1, 2).T
    paths = tuple(f"{d}/{k}/{i}.png" for i, (d, k) in enumerate(cells))
    return Catalogue("toy", Path("."), ("a", "b", "c"), ("w", "x", "y", "z"), paths, domain, label)


@given(CELLS)
def test_cells_agree_with_a_plain_loop(cells):
    data = catalogue(cells)
    for d in range(3):
        for k in range(4):
            expected = [i for i, cell in enumerate(cells) if cell == (d, k)]
            assert data.sizes[d, k] == len(expected)
            assert data.indices(d, k).tolist() == expected


def test_select_keeps_names_and_order():
    data = catalogue([(0, 1), (2, 3), (1, 1)]).select([2, 0])
    assert data.paths == ("1/1/2.png", "0/1/0.png")
    assert data.domain.tolist() == [1, 0]
    assert data.domains == ("a", "b", "c")
    assert len(data) == 2


def test_unknown_domain_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"'sketch'.*a, b, c"):
        catalogue([(0, 0)]).domain_position("sketch")


def test_labels_out_of_range_are_refused():
    with pytest.raises(DataError, match="label"):
        Catalogue("toy", Path("."), ("a",), ("w",), ("p",), np.array([0]), np.array([1]))
    with pytest.raises(DataError, match="shape"):
        Catalogue("toy", Path("."), ("a",), ("w",), ("p",), np.array([0, 0]), np.array([0]))
