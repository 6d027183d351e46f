"""Paired tests against enumeration, SciPy, and their error rate."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from geometry.errors import DataError, UsageError
from geometry.significance import MOST_EXACT, TESTS, bootstrap_test, holm, paired_test


def enumerated(differences):
    """Share of all sign patterns as far from zero as the one seen."""
    d = np.asarray(differences, dtype=np.float64)
    seen = abs(d.sum()) - 1e-12 * np.abs(d).sum()
    return np.mean([abs(np.dot(signs, d)) >= seen for signs in product((-1, 1), repeat=d.size)])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=2, max_size=10))
def test_sign_flips_are_all_counted(differences):
    found = paired_test(differences, np.zeros(len(differences)))
    assert found.p_value == pytest.approx(enumerated(differences), abs=1e-15)
    assert found.p_value >= found.least_p_value


def test_sign_flips_of_real_numbers():
    d = np.random.default_rng(0).normal(0.4, 1.0, 13)
    assert paired_test(d, np.zeros(13)).p_value == enumerated(d)
    reference = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert paired_test(d, np.zeros(13)).p_value == pytest.approx(reference.pvalue)


def test_drawn_patterns_agree_with_all_of_them(monkeypatch):
    import geometry.significance as significance

    d = np.random.default_rng(1).normal(0.4, 1.0, 20)
    exact = paired_test(d, np.zeros(20)).p_value
    monkeypatch.setattr(significance, "MOST_EXACT", 5)
    drawn = significance.paired_test(d, np.zeros(20), rng=np.random.default_rng(0)).p_value
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
    with pytest.raises(UsageError, match="random generator"):
        significance.paired_test(d, np.zeros(20))


def test_the_largest_exact_test():
    d = np.ones(MOST_EXACT)
    assert paired_test(d, 0 * d).p_value == 2.0 ** (1 - MOST_EXACT)


def test_t_is_students():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 1, 9), rng.normal(0, 1, 9)
    found, reference = paired_test(a, b, test="t"), stats.ttest_rel(a, b)
    assert found.p_value == pytest.approx(reference.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(reference.confidence_interval(0.95)))


def test_wilcoxon_is_exact_and_takes_ties():
    d = np.random.default_rng(2).normal(0.5, 1, 12)
    zeros = np.zeros(12)
    assert paired_test(d, zeros, test="wilcoxon").p_value == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)
    tied = np.array([1.0, 1.0, -1.0, 2.0, 0.0, 3.0])
    ranks = np.sign(tied) * stats.rankdata(np.abs(tied))
    assert paired_test(tied, np.zeros(6), test="wilcoxon").p_value == enumerated(ranks)


@pytest.mark.parametrize("test", TESTS)
def test_order_of_the_two_and_of_the_pairs(test):
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=8), rng.normal(size=8)
    order = rng.permutation(8)
    found, back, moved = (
        paired_test(a, b, test=test),
        paired_test(b, a, test=test),
        paired_test(a[order], b[order], test=test),
    )
    assert found.p_value == pytest.approx(back.p_value)
    assert found.p_value == pytest.approx(moved.p_value)
    assert found.difference == pytest.approx(-back.difference)


@pytest.mark.parametrize("test", TESTS)
def test_undefined_pairs_are_dropped_and_counted(test):
    nan = float("nan")
    found = paired_test([1.0, 2.0, nan, 3.5], [0.5, nan, 1.0, 1.0], test=test)
    assert (found.units, found.dropped) == (2, 2)
    assert found.difference == 1.5
    alone = paired_test([1.0], [0.5], test=test)
    assert np.isnan(alone.p_value)
    assert alone.least_p_value == 1.0
    assert "fewer than two" in alone.method
    assert np.isnan(paired_test([nan], [nan], test=test).difference)


@pytest.mark.parametrize("test", TESTS)
def test_equal_algorithms_do_not_differ(test):
    assert paired_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], test=test).p_value == 1.0


@pytest.mark.parametrize("unit", [1.0, 0.01, 1e4])
def test_the_same_gain_in_every_run_is_undefined_for_t(unit):
    """The differences are 10, 10, 10 units up to rounding: t would be infinite, its interval of no width."""
    a, b = unit * np.array([70.0, 71.0, 72.0]), unit * np.array([60.0, 61.0, 62.0])
    found = paired_test(a, b, test="t")
    assert found.difference == pytest.approx(10 * unit)
    assert np.isnan([found.p_value, found.low, found.high]).all()
    assert found.method == "undefined: no scatter between the units"
    assert holm([found.p_value, 0.04])[1] == 0.04
    flipped = paired_test(a, b)
    assert flipped.p_value == 0.25
    assert np.isnan([flipped.low, flipped.high]).all()
    assert "no interval" in flipped.method
    nothing = paired_test(a, a, test="t")
    assert (nothing.p_value, nothing.low, nothing.high) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("test", TESTS)
def test_percent_and_fractions_test_alike(test):
    """Differences on a grid tie exactly in percent; as fractions rounding must not part them."""
    a, b = [74, 64, 68, 63, 60, 70, 66, 67], [67, 62, 70, 61, 61, 71, 65, 72]
    pairs = [(np.array(a), np.array(b)), *np.random.default_rng(0).integers(60, 75, size=(60, 2, 8))]
    for first, second in pairs:
        whole, share = (paired_test(first / by, second / by, test=test) for by in (1, 100))
        assert share.p_value == pytest.approx(whole.p_value, rel=1e-9, nan_ok=True)
        assert share.least_p_value == whole.least_p_value
    ranks = np.sign(np.subtract(a, b)) * stats.rankdata(np.abs(np.subtract(a, b)))
    assert paired_test(np.divide(a, 100), np.divide(b, 100), test="wilcoxon").p_value == enumerated(ranks)


@pytest.mark.parametrize("test", TESTS)
def test_cluster_means_that_differ_by_rounding_do_not_differ(test):
    a, b = np.array([0.3, 0.1, 0.2, 0.6]), np.array([0.2, 0.2, 0.5, 0.3])
    assert (a - b)[:2].sum() != 0.0  # rounding
    found = paired_test(a, b, clusters=[0, 0, 1, 1], test=test)
    assert found.difference == 0.0
    assert found.p_value == found.least_p_value or (found.p_value, test) == (1.0, "t")


def test_five_seeds_cannot_reach_five_percent():
    found = paired_test([5, 6, 7, 8, 9], [1, 1, 1, 1, 1])
    assert found.p_value == found.least_p_value == 0.0625


def test_clusters_count_once():
    a, b = np.array([1.0, 3.0, 10.0, 5.0]), np.zeros(4)
    found = paired_test(a, b, clusters=["photo", "photo", "sketch", "art"])
    assert found.units == 3
    assert found.difference == pytest.approx((2 + 10 + 5) / 3)
    assert found.p_value == 0.25


@pytest.mark.parametrize("test", TESTS)
def test_error_rate_under_the_null(test):
    rng = np.random.default_rng(4)
    values = rng.normal(size=(1000, 2, 8))
    p = np.array([paired_test(a, b, test=test).p_value for a, b in values])
    # 1000 tests at 5 %: mean 50, standard deviation 6.9.
    assert 25 <= (p <= 0.05).sum() <= 71
    strong = np.array([paired_test(a + 3, b, test=test).p_value for a, b in values[:100]])
    assert (strong <= 0.05).mean() > 0.9


def test_a_domain_effect_needs_domains_as_units():
    """Gains that hold only on average over domains: runs as units reject far too often, domains do not."""
    rng = np.random.default_rng(5)
    domains = np.repeat(np.arange(8), 4)
    by_run, by_domain = [], []
    for _ in range(120):
        gains = rng.normal(size=8)[domains] + 0.2 * rng.normal(size=32)
        by_run.append(paired_test(gains, np.zeros(32)).p_value <= 0.05)
        by_domain.append(paired_test(gains, np.zeros(32), clusters=domains).p_value <= 0.05)
    assert np.mean(by_run) > 0.2
    assert np.mean(by_domain) < 0.11  # mean 0.05, standard deviation 0.02


def test_a_bootstrap_is_two_sided_and_never_certain():
    above = np.linspace(0.01, 1.0, 499)
    for sign in (1, -1):
        found = bootstrap_test(sign * 0.5, sign * above, units=255, method="test")
        assert found.p_value == found.least_p_value == 2 / 500
        assert found.low <= found.difference <= found.high
    assert bootstrap_test(0.0, np.zeros(99), units=255, method="test").p_value == 1.0
    undefined = bootstrap_test(float("nan"), above, units=0, method="test")
    assert np.isnan(undefined.p_value)
    assert np.isnan(undefined.difference)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_by_its_definition(p_values):
    found = holm(p_values)
    m = len(p_values)
    order = sorted(range(m), key=lambda i: p_values[i])
    worst = 0.0
    for step, i in enumerate(order):
        worst = max(worst, min(1.0, (m - step) * p_values[i]))
        assert found[i] == pytest.approx(worst)


def test_holm_published_example():
    # Holm (1979)'s procedure on p = .01, .04, .03, .005 (four hypotheses).
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(holm([np.nan, np.nan])).all()
    assert holm([]).size == 0


def test_bad_input_is_named():
    with pytest.raises(UsageError, match="Unknown test"):
        paired_test([1, 2], [1, 2], test="z")
    with pytest.raises(DataError, match="pairs"):
        paired_test([1, 2], [1, 2, 3])
