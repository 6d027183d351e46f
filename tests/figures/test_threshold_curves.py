"""Threshold curves: lines where there is a threshold, marks in a band where there is none."""

import math

import numpy as np
import pytest

from figures import style, threshold_curves
from figures.threshold_curves import Panel

TAUS = (0.1, 0.5, 1.0, 5.0, 20.0)


def against_tau():
    curves = {"k = 1": [1e5, 50.0, 18.0, 9.0, 8.0], "k = ∞": [None, None, 24.0, math.nan, 8.0]}
    return Panel(TAUS, curves, "temperature τ", "InfoNCE", {"k = 1": [9e4, 40.0, math.nan, math.nan, math.nan]})


def against_k():
    return Panel((1, 10, 100, math.inf), {"τ = 1": [10.0, 20.0, 30.0, 31.0]}, "number of negatives k")


def test_a_panel_draws_every_curve_on_logarithmic_axes(fits, marked):
    figure = threshold_curves.figure([against_tau(), against_k()], caption="1 majority class")
    fits(figure, style.DOUBLE)
    tau, k = figure.axes
    assert [(axes.get_xscale(), axes.get_yscale()) for axes in figure.axes] == [("log", "log")] * 2
    assert tau.get_title() == "InfoNCE"
    assert (tau.get_xlabel(), k.get_xlabel()) == ("temperature τ", "number of negatives k")
    assert tau.get_ylabel() == "collapse threshold R*"
    first, second = marked(tau, "curve")
    np.testing.assert_allclose(first.get_ydata(), [1e5, 50, 18, 9, 8])
    np.testing.assert_allclose(second.get_ydata(), [np.nan, np.nan, 24, np.nan, 8])
    assert [text.get_text() for text in tau.get_legend().get_texts()] == ["k = 1", "k = ∞"]
    assert (
        len({line.get_color() for line in (first, second)}) == len({line.get_marker() for line in (first, second)}) == 2
    )
    (dotted,) = marked(tau, "asymptote")
    assert dotted.get_color() == first.get_color()


def test_never_is_a_mark_in_a_band_above_all_curves(marked):
    figure = threshold_curves.figure([against_tau(), against_k()])
    figure.draw_without_rendering()
    tau, _ = figure.axes
    first, second = marked(tau, "never")
    assert len(first.get_xdata()) == 0
    np.testing.assert_allclose(second.get_xdata(), TAUS[:2])  # not at NaN, which is only unknown
    (band,) = marked(tau, "band")
    assert (second.get_ydata() > band.get_y()).all()
    highest = tau.transAxes.inverted().transform(tau.transData.transform((1.0, 1e5)))[1]
    assert highest < band.get_y()
    assert [axes.texts[-1].get_text() for axes in figure.axes] == ["never collapses", "collapses everywhere"]


def test_without_never_there_is_no_band(marked):
    (axes,) = threshold_curves.figure([against_k()]).axes
    assert not marked(axes, "band")
    assert not axes.texts


def test_the_limit_of_many_negatives_stands_apart(marked):
    (axes,) = threshold_curves.figure([against_k()]).axes
    (curve,), (limit,) = marked(axes, "curve"), marked(axes, "limit")
    np.testing.assert_allclose(curve.get_xdata(), [1, 10, 100])
    assert limit.get_xdata()[0] > 100
    assert limit.get_ydata()[0] == 31
    assert [label.get_text() for label in axes.get_xticklabels()][-1] == "∞"


def test_nothing_but_never_can_be_drawn(fits):
    panel = Panel((1.0, 2.0), {"a": [None, None]}, "x")
    fits(threshold_curves.figure([panel]), style.DOUBLE)


def test_bad_panels_are_refused():
    with pytest.raises(ValueError, match="at least one panel"):
        threshold_curves.figure([])
    with pytest.raises(ValueError, match="2 thresholds for a"):
        Panel((1.0, 2.0), {"a": [1.0]}, "x")
    for places in ((2.0, 1.0), (0.0, 1.0), (1.0, 1.0)):
        with pytest.raises(ValueError, match="increasing"):
            Panel(places, {"a": [1.0, 1.0]}, "x")
