import numpy as np
import pytest
from scipy.special import rel_entr

from geometry.bound.prior import estimate_prior_shift, kl_divergence, total_variation
from geometry.errors import DataError


def shift(first, second, **options):
    return estimate_prior_shift(
        first, second, where="target | sources", basis="evaluated samples", rng=np.random.default_rng(0), **options
    )


def test_distances_equal_oracles():
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
    events = [[bool(bits >> k & 1) for k in range(6)] for bits in range(64)]
    assert float(total_variation(p, q)) == pytest.approx(max(p[e].sum() - q[e].sum() for e in np.array(events)))
    assert float(kl_divergence(p, q)) == pytest.approx(rel_entr(p, q).sum())
    assert float(kl_divergence([0.0, 1.0], [0.5, 0.5])) == pytest.approx(np.log(2))


def test_estimate_with_intervals_and_cost():
    errors = np.array([0.1, 0.6, 0.3]), np.array([50, 20, 9])
    result = shift([50, 50, 0], [90, 5, 5], errors=errors)
    assert result.total_variation.estimate == pytest.approx(0.45)
    assert result.total_variation.low < 0.45 < result.total_variation.high
    assert result.total_variation.n == 200
    assert result.cost.estimate == pytest.approx(0.45 * 0.5)
    assert result.cost.low < result.cost.estimate < result.cost.high
    assert len(list(result.rows())) == 3


def test_the_cost_is_taken_on_the_classes_with_a_source_error():
    rates, sizes = np.array([0.1, 0.6, np.nan]), np.array([50, 20, 0])
    result = shift([30, 30, 40], [60, 20, 20], errors=(rates, sizes))
    assert result.total_variation.estimate == pytest.approx(0.3)
    assert result.cost.estimate == pytest.approx((0.75 - 0.5) * 0.5)
    assert "cost on the 2 classes with a source error, 1 classes left out" in result.note
    assert list(result.rows())[-1].note == result.note
    # The theorem's step holds there: sum_k (p - q)_k e_k <= TV x range.
    assert result.cost.estimate + 1e-12 >= (0.5 - 0.75) * 0.1 + (0.5 - 0.25) * 0.6
    assert "left out" not in shift([30, 30, 0], [60, 20, 0], errors=(rates, sizes)).note
    for first, second in (([0, 0, 5], [5, 5, 5]), ([5, 5, 5], [0, 0, 5])):
        lost = shift(first, second, errors=(rates, sizes))
        assert np.isnan(lost.cost.estimate)
        assert "undefined" in lost.cost.method
    none = shift([5, 5, 5], [5, 5, 5], errors=(np.full(3, np.nan), np.zeros(3, int)))
    assert np.isnan(none.cost.estimate)
    assert none.cost.n == 0


def test_redraws_that_lose_a_class_are_counted():
    result = shift([20, 20], [40, 2])
    draws = np.random.default_rng(0)
    draws.multinomial(40, [0.5, 0.5], size=200)
    lost = int((draws.multinomial(42, [40 / 42, 2 / 42], size=200)[:, 1] == 0).sum())
    assert lost > 0
    assert f"infinite KL in {lost} of 200 redraws" in result.note
    assert f"{200 - lost} resamples" in result.kl.method


def test_equal_histograms_are_zero_apart_with_the_noise_shown():
    result = shift([30, 30], [30, 30])
    assert result.total_variation.estimate == 0.0
    assert result.total_variation.low == 0.0
    assert result.total_variation.high > 0.05


def test_intervals_hold_their_estimates_even_next_to_zero():
    result = shift([300, 290, 310], [305, 290, 305], errors=(np.array([0.1, 0.1, 0.11]), np.array([90, 90, 90])))
    for value in (result.total_variation, result.kl, result.cost):
        assert value.low <= value.estimate <= value.high


def test_designed_counts_are_exact():
    result = shift([10, 90], [50, 50], redraw=(False, False))
    assert result.total_variation.estimate == pytest.approx(0.4)
    assert np.isnan(result.total_variation.low)
    assert "designed" in result.total_variation.method
    one = shift([10, 90], [50, 50], redraw=(True, False))
    both = shift([10, 90], [50, 50])
    assert one.total_variation.high - one.total_variation.low < both.total_variation.high - both.total_variation.low


def test_a_class_the_sources_lack_makes_the_divergence_infinite():
    result = shift([5, 5], [10, 0])
    assert np.isinf(result.kl.estimate)
    assert "infinite" in result.note
    assert result.total_variation.estimate == pytest.approx(0.5)


def test_empty_and_misshapen_histograms():
    assert np.isnan(shift([0, 0], [1, 1]).total_variation.estimate)
    with pytest.raises(DataError, match="one length"):
        shift([1, 2], [1, 2, 3])
