from geometry.thresholds import CurvePoint, threshold, threshold_curve


def test_rows_are_thresholds():
    rows = threshold_curve(2, 3, taus=(tau for tau in (0.5, 1.0)), ks=(1, None), loss="lme", collisions=True)
    assert [(row.negatives, row.tau) for row in rows] == [(1, 0.5), (1, 1.0), (None, 0.5), (None, 1.0)]
    expected = threshold(2, 3, tau=1.0, loss="supcon")
    assert rows[-1] == CurvePoint(1.0, None, expected.r_star, expected.limit_cosine, expected.windows)


def test_never_is_a_row_too():
    (row,) = threshold_curve(3, 3, taus=[1.0])
    assert row.r_star is None
    assert row.limit_cosine < 1.0
