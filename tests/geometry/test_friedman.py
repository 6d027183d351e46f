"""Friedman and Nemenyi against SciPy and Demsar's published numbers."""

import numpy as np
import pytest
from scipy import stats

from geometry.errors import DataError
from geometry.friedman import critical_difference, friedman, indistinguishable

# Demsar (2006), table 5(a): two-tailed Nemenyi critical values for 2 to 10 classifiers.
Q05 = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)
Q10 = (1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920)

# Demsar (2006), table 6: AUC of C4.5 with m, cf, both tuned or neither on 14 data sets.
AUC = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)


@pytest.mark.parametrize(("level", "table"), [(0.05, Q05), (0.10, Q10)])
def test_published_critical_values(level, table):
    for k, expected in enumerate(table, start=2):
        # The table was rounded from infinite-df studentized ranges of its day; 2e-3 is its own error.
        assert critical_difference(k, 1, level) / np.sqrt(k * (k + 1) / 6) == pytest.approx(expected, abs=2e-3)


def test_published_example():
    found = friedman(AUC)
    assert found.average_ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
    # Without the correction for ties, as printed: chi2 = 9.28, F = 3.69.
    n, k = AUC.shape
    plain = 12 * n / (k * (k + 1)) * ((found.average_ranks**2).sum() - k * (k + 1) ** 2 / 4)
    assert plain == pytest.approx(9.28, abs=0.01)
    assert (n - 1) * plain / (n * (k - 1) - plain) == pytest.approx(3.69, abs=0.01)
    assert found.statistic >= plain


def test_against_scipy():
    scores = np.random.default_rng(0).integers(0, 5, size=(9, 4))
    found, reference = friedman(scores), stats.friedmanchisquare(*scores.T)
    assert found.statistic == pytest.approx(reference.statistic)
    assert found.p_value == pytest.approx(reference.pvalue)
    assert found.f_p_value == pytest.approx(stats.f.sf(found.f_statistic, 3, 24))


def test_smaller_is_better():
    scores = np.random.default_rng(1).random((6, 3))
    assert friedman(-scores, larger_is_better=False).average_ranks == pytest.approx(friedman(scores).average_ranks)


def test_incomplete_blocks_are_dropped_and_counted():
    scores = np.random.default_rng(2).random((6, 3))
    holed = np.vstack([scores, [[1.0, np.nan, 0.0]]])
    found = friedman(holed)
    assert (found.blocks, found.dropped) == (6, 1)
    assert found.statistic == friedman(scores).statistic


def test_degenerate_cases_say_undefined():
    empty = friedman([[np.nan, 1.0]])
    assert empty.blocks == 0
    assert np.isnan(empty.average_ranks).all()
    assert np.isnan(friedman([[1.0, 2.0, 3.0]]).p_value)
    assert np.isnan(friedman([[1.0, 1.0, 1.0]] * 4).p_value)
    perfect = friedman([[1.0, 2.0, 3.0]] * 4)
    assert np.isnan(perfect.f_p_value)
    assert perfect.statistic == 8.0
    with pytest.raises(DataError, match="algorithms"):
        friedman([1.0, 2.0])


def test_groups_are_all_maximal_sets():
    rng = np.random.default_rng(3)
    for _ in range(50):
        ranks, spread = rng.random(6) * 5, rng.random() * 3
        windows = [frozenset(j for j in range(6) if ranks[i] <= ranks[j] <= ranks[i] + spread) for i in range(6)]
        maximal = {w for w in windows if len(w) > 1 and not any(w < other for other in windows)}
        assert {frozenset(group) for group in indistinguishable(ranks, spread)} == maximal


def test_family_wise_error_of_nemenyi():
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(300):
        found = friedman(rng.random((15, 5)))
        wrong += float(np.ptp(found.average_ranks)) > found.critical_difference
    assert wrong <= 30  # mean 15, standard deviation 3.8
