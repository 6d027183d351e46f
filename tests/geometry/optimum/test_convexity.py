import numpy as np
import pytest

from geometry.errors import UsageError
from geometry.optimum import Exponential, Hinge, InfoNCE, LossWarning, MeanLoss, UncertifiedError, check_loss, solve
from geometry.optimum.mean_loss import Loss, TailMeans


class Falling(MeanLoss):
    """Convex, but smaller for easier positives."""

    name = "falling"

    def inner(self, t):
        e = np.exp(-t)
        return e, -e, e


class Concave(MeanLoss):
    name = "concave"

    def inner(self, t):
        e = np.exp(-t)
        return -e, e, -e


class Sum(Loss):
    """A psi that is no function of a mean, from nothing but the four things that a Loss must give."""

    name = "sum"
    parts = (InfoNCE(negatives=4), Exponential())

    def expectation(self, t, w):
        return sum(part.expectation(t, w) for part in self.parts)

    def slopes(self, t, w):
        return sum(part.slopes(t, w) for part in self.parts)

    def slope_changes(self, t, w, change):
        return sum(part.slope_changes(t, w, change) for part in self.parts)


class TwoKinks(MeanLoss):
    """mean max(0, 1.2 + t) + max(0, 1.8 + t), a piecewise linear psi of one's own."""

    name = "two-kinks"
    kinked = True
    floor = 0.0
    attains_floor = True
    margins = np.array([1.2, 1.8])

    def inner(self, t):
        above = self.margins + t[..., None]
        return np.maximum(above, 0).sum(-1), (above >= 0).sum(-1).astype(float), np.zeros_like(t)

    def inner_expression(self, t):
        import cvxpy

        return sum(cvxpy.pos(margin + t) for margin in self.margins)

    def tail_means(self, t, w):
        return TailMeans(self.margins, np.ones(2), np.ones(2))


def test_a_falling_loss_is_told_what_it_loses():
    with pytest.warns(LossWarning, match="positives need not align.*an encoder may do better") as record:
        check = check_loss(Falling(), 1.0)
    assert (check.convex, check.non_decreasing, check.consistent) == (True, False, True)
    assert len(record) == 1
    assert "collapse to their class means" in str(record[0].message)


def test_a_falling_loss_still_has_its_program_solved():
    """Its least value is at coinciding classes, e^0 = 1, not at the antipodal worst."""
    with pytest.warns(LossWarning):
        optimum = solve([4, 2, 1], loss=Falling())
    assert optimum.value == pytest.approx(1.0, rel=1e-9)
    np.testing.assert_allclose(optimum.gram, np.ones((3, 3)), atol=1e-6)


def test_a_concave_loss_is_never_certified():
    with pytest.warns(LossWarning, match="the certificate proves nothing and samples need not collapse"):
        assert not check_loss(Concave(), 1.0).convex
    with pytest.warns(LossWarning), pytest.raises(UncertifiedError, match="is not convex"):
        solve([4, 2, 1], loss=Concave())
    with pytest.warns(LossWarning):
        assert not solve([4, 2, 1], loss=Concave(), require_certificate=False).certified


def test_a_loss_that_is_no_function_of_a_mean():
    assert check_loss(Sum(), 0.5).consistent
    optimum = solve([5, 3, 1], loss=Sum(), tau=0.5)
    assert optimum.certified
    assert optimum.loss == "sum"
    with pytest.raises(UsageError, match="no conic form"):
        solve([5, 3, 1], loss=Sum(), method="conic")


def test_a_piecewise_linear_loss_of_ones_own():
    assert check_loss(TwoKinks(), 1.0).convex
    optimum = solve([5, 3, 2, 1], loss=TwoKinks(), tau=1.0)
    assert optimum.certified
    assert optimum.relative_gap < 1e-6


def test_tail_means_that_do_not_sum_to_the_loss_are_refused():
    class Wrong(TwoKinks):
        def tail_means(self, t, w):
            return TailMeans(self.margins, np.ones(2), np.array([1.0, 1.1]))

    with pytest.raises(UsageError, match="tail means"):
        check_loss(Wrong(), 1.0)
    with pytest.raises(UsageError, match="not piecewise linear"):
        InfoNCE().tail_means(np.zeros(2), np.full(2, 0.5))
    assert check_loss(Hinge(0.8), 1.0).consistent
