import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geometry.errors import UsageError
from geometry.frames import simplex_etf
from geometry.optimum import solve
from geometry.phase import PhaseDiagram, phase_cell, phase_curve, two_groups
from geometry.thresholds import critical_temperature, threshold

INF = float("inf")
SETTINGS = [
    {},
    {"negatives": 1},
    {"negatives": 16, "q": "plain"},
    {"loss": "lme"},
    {"loss": "exp"},
    {"loss": "supcon"},
    {"collisions": True},
    {"loss": "quadratic", "tau": 1.5},
]


@settings(max_examples=30, deadline=None)
@given(
    majority=st.integers(1, 5),
    minority=st.integers(2, 6),
    log_ratio=st.floats(0.0, 3.5),
    tau=st.floats(0.2, 5.0),
    chosen=st.sampled_from(SETTINGS),
)
def test_a_cell_is_the_full_programs_optimum(majority, minority, log_ratio, tau, chosen):
    ratio, chosen = 10.0**log_ratio, {"tau": tau, **chosen}
    cell = phase_cell(ratio, majority, minority, **chosen)
    full = solve([ratio] * majority + [1.0] * minority, **chosen)
    assert cell.certified
    assert cell.relative_gap < 1e-9
    found = [cell.minority_cosine, cell.cross_cosine]
    # Close to the threshold the angle of the full program is known only to the root of rounding error.
    np.testing.assert_allclose(found, [full.gram[-1, -2], full.gram[0, -1]], atol=1e-6)
    if majority > 1:
        assert cell.majority_cosine == pytest.approx(full.gram[0, 1], abs=1e-6)
    else:
        assert np.isnan(cell.majority_cosine)
    if abs(cell.excess) > 1e-3:
        assert (cell.rank, cell.distinct) == (full.rank, full.distinct)


@pytest.mark.parametrize("chosen", SETTINGS[:4], ids=str)
@pytest.mark.parametrize(("majority", "minority"), [(1, 9), (2, 3), (3, 4)])
def test_forces_balance_at_the_cell(majority, minority, chosen):
    groups = two_groups(20.0, majority, minority, **chosen)
    found = groups.solve()
    x, y = found.majority_length, found.minority_length
    aa, ab, bb = groups.pair_forces(x, y)
    if y < 1.0:
        assert minority * y * bb == pytest.approx(majority * x * ab, rel=1e-9)
    if x < 1.0:
        assert majority * x * aa == pytest.approx(minority * y * ab, rel=1e-9)


def test_equal_proportions_give_the_simplex():
    cell = phase_cell(1.0, 3, 4)
    etf = simplex_etf(7)[0, 1]
    np.testing.assert_allclose([cell.minority_cosine, cell.majority_cosine, cell.cross_cosine], etf, atol=1e-12)
    assert (cell.rank, cell.distinct, cell.collapsed) == (6, 7, False)


COLUMNS = [
    (1, 9, {"tau": 1.0}),
    (1, 9, {"tau": 0.1}),
    (1, 3, {"tau": 0.5, "negatives": 16}),
    (1, 5, {"tau": 0.3, "loss": "supcon"}),
    (2, 3, {"tau": 1.0, "loss": "exp"}),
    (2, 8, {"tau": 0.05}),
    (3, 3, {"tau": 12.0}),
    (3, 3, {"tau": 0.1, "loss": "supcon"}),
    (3, 3, {"loss": "quadratic"}),
]


@pytest.mark.parametrize(("majority", "minority", "chosen"), COLUMNS, ids=str)
def test_a_column_agrees_with_its_threshold_from_both_sides(majority, minority, chosen):
    (point,) = phase_curve(majority, minority, **chosen)
    ratios = point.ratio * np.array([1e-3, 0.5, 0.99, 1 - 1e-8, 1 + 1e-8, 1.01, 10.0, 1e6])
    ratios = ratios[ratios >= 1.0]
    cells = [phase_cell(float(ratio), majority, minority, **chosen) for ratio in ratios]
    assert all(cell.certified for cell in cells)
    cosines = np.array([cell.minority_cosine for cell in cells])
    assert (cosines[ratios < point.ratio] < 1.0).all()
    assert (cosines[ratios > point.ratio] == 1.0).all()
    assert [cell.collapsed for cell in cells] == list(ratios > point.ratio)
    assert (np.diff(cosines) >= 0.0).all()
    after, before = cells[-1], cells[0]
    assert before.rank == majority + minority - 1
    assert after.rank == (1 if after.cross_cosine == -1.0 and majority == 1 else majority)
    assert after.distinct == majority + 1


@pytest.mark.parametrize("majority", [3, 5])
def test_no_false_collapse_at_very_high_ratios(majority):
    limit = threshold(majority, 5).limit_cosine
    for ratio in (1e8, 1e12, 1e16, 1e50, INF):
        cell = phase_cell(ratio, majority, 5)
        assert (cell.certified, cell.collapsed, cell.rank) == (True, False, majority + 4)
        assert cell.minority_cosine == pytest.approx(limit, abs=10.0 / ratio + 1e-11)


def test_a_cosine_that_rounds_to_one_is_no_collapse():
    cell = phase_cell(1e9, 1, 3, loss="quadratic")
    assert 1.0 - 1e-12 < cell.minority_cosine < 1.0
    assert (cell.collapsed, cell.rank, cell.distinct) == (False, 3, 4)


@pytest.mark.parametrize(
    ("majority", "chosen", "critical", "above"),
    [
        (3, {}, 11.06, True),
        (3, {"negatives": 1}, 6.00, True),
        (3, {"loss": "exp"}, 12.25, True),
        (3, {"loss": "lme"}, 9.65, True),
        (5, {}, 59.3, True),
        (3, {"loss": "supcon"}, 0.2051, False),
        (10, {"loss": "supcon"}, 0.0301, False),
    ],
    ids=str,
)
def test_critical_temperatures_of_the_limit(majority, chosen, critical, above):
    (point,) = phase_curve(majority, 9, ratio=INF, temperatures=(0.02, 1000), **chosen)
    assert point.tau == pytest.approx(critical, rel=2e-3)
    assert point.tau == pytest.approx(critical_temperature(majority, **chosen).tau_c, rel=1e-9)
    assert point.collapsed_above is above
    for factor, collapsed in ((0.999, not above), (1.001, above)):
        cell = phase_cell(INF, majority, 9, tau=point.tau * factor, **chosen)
        assert (cell.collapsed, cell.certified) == (collapsed, True)


@pytest.mark.parametrize(
    ("majority", "loss", "ratio"), [(1, "infonce", 30.0), (2, "infonce", 40.0), (3, "supcon", 1e7)]
)
def test_critical_temperature_inverts_the_threshold(majority, loss, ratio):
    for point in phase_curve(majority, 3, ratio=ratio, temperatures=(0.05, 2.0), loss=loss):
        assert threshold(majority, 3, loss=loss, tau=point.tau).r_star == pytest.approx(ratio, rel=1e-8)


def test_columns_without_a_boundary():
    (always,) = phase_curve(2, 4, ratio=INF, temperatures=(0.1, 10))
    (never,) = phase_curve(5, 4, ratio=INF, temperatures=(0.1, 10))
    assert np.isnan([always.tau, never.tau]).all()
    assert (always.collapsed_above, never.collapsed_above) == (True, False)
    (ratio,) = phase_curve(5, 4)
    assert np.isnan(ratio.ratio)
    assert not ratio.collapsed_above
    assert "never" in ratio.reason


@pytest.mark.parametrize(
    "cell",
    [
        {"majority": 3, "loss": "linear", "collisions": True},
        {"majority": 3, "loss": "supcon", "negatives": 1},
        {"majority": 1, "loss": "quadratic", "tau": 0.4},
    ],
    ids=str,
)
def test_optima_that_are_not_unique_stay_empty_with_the_reason(cell):
    found = phase_cell(30.0, minority=4, **cell)
    assert not found.certified
    assert np.isnan(found.minority_cosine)
    assert (found.rank, found.distinct, found.collapsed) == (None, None, None)
    assert found.reason.startswith("not unique")


def test_what_cannot_be_certified_stays_empty_with_the_reason():
    found = phase_cell(20.0, 1, 3, tolerance=1e-18)
    assert np.isnan(found.minority_cosine)
    assert found.rank is None
    assert found.reason == "the relative gap is above 1e-18"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ratio": 0.5}, "at least 1, got 0.5"),
        ({"ratio": float("nan")}, "at least 1"),
        ({"ratio": 1e200}, "at most 1e\\+100"),
        ({"ratio": INF, "tau": 0.005}, "limit of infinite R is out of reach"),
        ({"tau": 0.001}, "underflow"),
        ({"tau": -1.0}, "positive temperature"),
        ({"minority": 1}, "two minority classes"),
        ({"loss": "hinge"}, "hinge is not unique"),
        ({"loss": "square"}, "Unknown loss"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        phase_cell(**{"ratio": 10.0, "majority": 1, "minority": 3, **arguments})


def test_bad_temperatures_are_refused():
    for temperatures in ((), (1.0,), (2.0, 1.0), (0.0, 1.0)):
        with pytest.raises(UsageError, match="lowest and a highest"):
            phase_curve(3, 3, ratio=10.0, temperatures=temperatures)


def test_a_diagram_counts_the_cells_beyond_its_curve():
    ratios = (1.0, 10.0, 100.0)
    cells = tuple((phase_cell(ratio, 1, 9), phase_cell(ratio, 3, 7)) for ratio in ratios)
    curve = (phase_curve(1, 9), phase_curve(3, 7))
    assert PhaseDiagram("tau", cells, curve).disagreements == 0
    assert PhaseDiagram("tau", cells, curve).collapsed_cells == 1
    assert PhaseDiagram("tau", cells, curve[::-1]).disagreements == 2


def test_a_window_of_collapse_has_two_ends():
    """Log-mean-exp, three majority classes, low temperature: minorities share a vector and part again."""
    begins, ends = phase_curve(3, 3, loss="lme", tau=0.1)
    assert (begins.collapsed_above, ends.collapsed_above) == (True, False)
    for ratio, collapsed in ((0.98 * begins.ratio, False), (1.02 * begins.ratio, True), (0.98 * ends.ratio, True)):
        assert phase_cell(ratio, 3, 3, loss="lme", tau=0.1).collapsed is collapsed
    assert phase_cell(1.02 * ends.ratio, 3, 3, loss="lme", tau=0.1).collapsed is False
