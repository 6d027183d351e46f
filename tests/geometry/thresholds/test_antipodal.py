import numpy as np
import pytest
from scipy.optimize import brentq

from geometry.errors import UsageError
from geometry.optimum import solve
from geometry.thresholds import antipodal_collapse, threshold

MINORITIES = [8.0, 3.0, 1.0]


@pytest.mark.parametrize("options", [{}, {"negatives": 1}, {"negatives": 4}, {"loss": "lme"}, {"loss": "exp"},
                                     {"loss": "supcon"}, {"collisions": True}, {"loss": "linear"}])  # fmt: skip
def test_unequal_minorities_switch_with_the_solver(options):
    def slack(log_ratio):
        return antipodal_collapse([np.exp(log_ratio), *MINORITIES], **options).slack

    ratio = np.exp(brentq(slack, np.log(8.1), np.log(1e4)))
    for factor in (0.97, 1.03):
        optimum = solve([factor * ratio, *MINORITIES], method="burer-monteiro", **options)
        least = optimum.gram[1:, 1:].min()
        assert antipodal_collapse([factor * ratio, *MINORITIES], **options).optimal == (factor > 1)
        assert (least > 1 - 1e-6) == (factor > 1)


@pytest.mark.parametrize("options", [{}, {"negatives": 4}, {"loss": "supcon"}, {"loss": "hinge", "margin": 2.5}])
def test_equal_minorities_are_the_step_model(options):
    ratio = threshold(1, 4, **options).r_star
    assert antipodal_collapse([1.001 * ratio, 1, 1, 1, 1], **options).optimal
    assert not antipodal_collapse([1, 0.999 * ratio, 1, 1, 1], **options).optimal


def test_the_majority_class_may_stand_anywhere():
    found = antipodal_collapse([3, 900, 10])
    assert (found.optimal, found.majority_class) == (True, 1)
    assert found.pair_forces.max() == 1.0


@pytest.mark.parametrize("proportions", [[5, 5, 1], [5, 1]])
def test_bad_proportions(proportions):
    with pytest.raises(UsageError, match="one most frequent class"):
        antipodal_collapse(proportions)


def test_hardest_is_refused():
    with pytest.raises(UsageError, match="not determined"):
        antipodal_collapse([50, 2, 1], loss="hardest", negatives=4)
