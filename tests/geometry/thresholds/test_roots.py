import numpy as np
import pytest

from geometry.thresholds.roots import collapse_intervals


def test_intervals_between_sign_changes():
    first, last = collapse_intervals(lambda x: (x - 2.0) * (x - 30.0) * (x - 500.0), 0.0, 6.0)
    assert (first.low, first.high) == pytest.approx((2.0, 30.0))
    assert last.low == pytest.approx(500.0)
    assert last.high == np.inf


def test_everywhere_and_nowhere():
    (everywhere,) = collapse_intervals(lambda _: 1.0, -1.0, 3.0)
    assert (everywhere.low, everywhere.high) == (0.1, np.inf)
    assert collapse_intervals(lambda _: -1.0, 0.0, 3.0) == ()
