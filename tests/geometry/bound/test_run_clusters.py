import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, rankdata, spearmanr, ttest_1samp

from geometry.bound.run_clusters import Clusters, correlation, kendall, partial_correlation

RNG = np.random.default_rng(0)
CODE = np.repeat(np.arange(4), 12)
X, Y = RNG.normal(size=48), RNG.normal(size=48)
Y = Y + 0.5 * X


def clusters(code=CODE, resamples=200):
    return Clusters(code, resamples, np.random.default_rng(1), 0.95)


def test_correlations_are_those_of_each_cluster_alone():
    expected = [spearmanr(X[g == CODE], Y[g == CODE]).statistic for g in range(4)]
    assert clusters().correlations(X, Y) == pytest.approx(expected)
    tau = [kendalltau(X[g == CODE], Y[g == CODE]).statistic for g in range(4)]
    assert clusters().correlations(X, Y, kendall) == pytest.approx(tau)


def test_the_mean_over_clusters_has_the_t_interval():
    inside = np.array([0.2, 0.5, np.nan, 0.3])
    found, p = clusters().mean(inside, np.array([12, 12, 0, 12]), "")
    assert found.n == 36
    oracle = ttest_1samp([0.2, 0.5, 0.3], 0.0)
    ends = oracle.confidence_interval(0.95)
    assert (found.estimate, found.low, found.high, p) == pytest.approx(
        (1 / 3, max(ends.low, -1), ends.high, oracle.pvalue)
    )
    wide, _ = clusters().mean(np.array([-0.9, 0.9]), np.array([24, 24]), "")
    assert (wide.low, wide.high) == (-1.0, 1.0)


@pytest.mark.parametrize("value", [0.8, 0.0])
def test_clusters_that_are_all_alike_have_no_interval_and_no_p_value(value):
    found, p = clusters().mean(np.array([value, value + 1e-16, value, np.nan]), np.full(4, 12), "")
    assert found.estimate == pytest.approx(value)
    assert np.isnan([found.low, found.high, p]).all()
    assert found.method == "no interval: 3 clusters without scatter"


def test_clusters_of_few_runs_have_no_p_value():
    inside, sizes = np.array([0.2, 0.5, np.nan, 0.3]), np.array([12, 6, 3, 12])
    assert np.isfinite(clusters().mean(inside, sizes, "")[1])  # the cluster of three has no correlation
    found, p = clusters().mean(inside, sizes - [0, 1, 0, 0], "")
    assert np.isnan(p)
    assert found.low == clusters().mean(inside, sizes, "")[0].low
    assert "no test: fewer than 6 runs" in found.method


@pytest.mark.parametrize(("count", "runs", "rate"), [(2, 4, 0.0), (2, 6, 0.025), (4, 6, 0.057), (3, 12, 0.052)])
def test_rejections_of_pure_noise(count, runs, rate):
    """The rates that `Clusters.mean` states, and no p-value of 0: of 1000 draws, four standard deviations."""
    rng = np.random.default_rng([count, runs])
    over, sizes = clusters(np.repeat(np.arange(count), runs), 20), np.full(count, runs)
    # Spearman's correlation of permutations of 0..n-1, which no noise without ties can leave.
    ranks = np.arange(runs) - (runs - 1) / 2
    inside = rng.permuted(np.tile(ranks, (1000, count, 1)), axis=2) @ ranks / (ranks @ ranks)
    p = np.array([over.mean(row, sizes, "")[1] for row in inside])
    assert not (p == 0.0).any()
    assert abs((p <= 0.05).mean() - rate) <= 4 * np.sqrt(0.05 * 0.95 / 1000)
    if runs == 4:
        assert np.isnan(p).all()
        assert np.mean((np.ptp(inside, axis=1) < 1e-12) & (np.abs(inside[:, 0]) > 1e-12)) > 0.07


def test_redrawn_clusters_against_the_plain_loop():
    inside = clusters().correlations(X, Y)
    pooled, within = clusters().redrawn(X, Y, inside)
    assert pooled.estimate == pytest.approx(spearmanr(X, Y).statistic)
    assert within.estimate == pytest.approx(inside.mean())
    drawn = np.random.default_rng(1).multinomial(4, np.full(4, 0.25), size=200)
    repeated = [np.repeat(np.arange(48), row[CODE]) for row in drawn]
    whole = [spearmanr(X[index], Y[index]).statistic for index in repeated]
    assert (pooled.low, pooled.high) == pytest.approx(tuple(np.percentile(whole, [2.5, 97.5])))
    assert (within.low, within.high) == pytest.approx(tuple(np.percentile(drawn @ inside / 4, [2.5, 97.5])))


def test_one_cluster_has_no_interval():
    one = clusters(np.zeros(48, dtype=np.intp))
    for found in one.redrawn(X, Y, one.correlations(X, Y)):
        assert np.isfinite(found.estimate)
        assert np.isnan(found.low)
        assert "one cluster" in found.method


def test_partial_correlation_of_a_number_is_the_textbook_formula():
    z = 0.7 * X + 0.7 * Y + RNG.normal(size=48)
    r_xy, r_xz, r_yz = (pearsonr(rankdata(a), rankdata(b)).statistic for a, b in ((X, Y), (X, z), (Y, z)))
    expected = (r_xy - r_xz * r_yz) / np.sqrt((1 - r_xz**2) * (1 - r_yz**2))
    assert partial_correlation(X, Y, z, categorical=False) == pytest.approx(expected)


def test_partial_correlation_of_categories_centres_the_ranks_in_each():
    u, v = (rankdata(a) - np.array([rankdata(a)[g == CODE].mean() for g in range(4)])[CODE] for a in (X, Y))
    assert partial_correlation(X, Y, CODE, categorical=True) == pytest.approx(u @ v / np.sqrt((u @ u) * (v @ v)))


def test_what_is_constant_once_held_fixed_has_no_partial_correlation():
    assert np.isnan(partial_correlation(CODE.astype(float), Y, CODE, categorical=True))
    assert np.isnan(partial_correlation(X, Y, X, categorical=False))
    assert np.isnan(partial_correlation(X[:3], Y[:3], CODE[:3].astype(float), categorical=False))


def test_too_few_runs_and_no_spread_are_undefined():
    assert np.isnan(correlation(X[:3], Y[:3]))
    assert np.isnan(kendall(np.ones(48), Y))
    assert np.isnan(clusters().correlations(np.full(48, np.nan), Y)).all()
