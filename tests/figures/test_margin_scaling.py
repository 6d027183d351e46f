import numpy as np
import pytest

from figures import margin_scaling, style


def details(value, *, scale="logit", log_slope=None):
    value = np.asarray(value, dtype=float)
    known = [None if np.isnan(v) else v for v in value]
    mean = {
        "value": known,
        "low": [None if v is None else v - 0.1 for v in known],
        "high": [None if v is None else v + 0.1 for v in known],
        "slope": {"estimate": 0.5, "low": 0.2, "high": 0.8},
        "log_slope": {"estimate": log_slope, "low": log_slope, "high": log_slope},
    }
    return {
        "scale": scale,
        "decides": "unseen",
        "parts": {"unseen": {"mean": mean, "low": {"value": [None if v is None else v - 1 for v in known]}}},
        "counts": [300, 100, 30, 10, 3, 0],
        "shots": ["many", "many", "medium", "medium", "few", "few"],
    }


def test_classes_are_drawn_at_their_counts_with_the_fit(fits, marked):
    values = [3.0, 2.0, 1.5, -0.5, np.nan, 1.0]  # one below zero, one absent, one never trained
    figure = margin_scaling.figure({"ERM": details(values)})
    fits(figure, style.DOUBLE)
    left, right = figure.axes
    drawn = np.array([np.ravel(line.get_xydata()) for line in marked(left, "class")])
    np.testing.assert_allclose(drawn, [[300, 3.0], [100, 2.0], [30, 1.5], [10, -0.5]])
    (fit,) = marked(left, "fit")
    x, y = fit.get_xdata(), fit.get_ydata()
    assert (y[1] - y[0]) / np.log(x[1] / x[0]) == pytest.approx(0.5)
    assert y.mean() == pytest.approx(0.5 * (np.log(x).mean() - np.log([300, 100, 30, 10]).mean()) + 1.5)
    assert len(marked(right, "class")) == 3
    assert [text.get_position()[0] for text in marked(right, "not positive")] == [10]
    assert any("1 of 4 not positive" in text.get_text() for text in right.texts)


def test_guides_have_slope_minus_a_quarter(marked):
    figure = margin_scaling.figure({"ERM": details([3.0, 2.0, 1.5, 1.0, 0.5, 1.0], log_slope=0.3)})
    right = figure.axes[1]
    guides = [line for line in right.lines if line.get_gid() is None]
    for line in guides:
        x, y = line.get_data()
        assert np.log(y[1] / y[0]) / np.log(x[1] / x[0]) == pytest.approx(-0.25)
    assert any("exponent 0.3" in text.get_text() for text in right.texts)
    without = margin_scaling.figure({"ERM": details([3.0, 2.0, 1.5, 1.0, 0.5, 1.0])})  # one class carries the slope
    assert "no exponent" in [text.get_text() for text in without.axes[1].texts]


def test_no_positive_margin_and_absent_parts_are_said(fits):
    figure = margin_scaling.figure({"a": details([-1.0] * 6), "b": details([1.0, 2, 3, 4, 5, 6])}, part="unseen")
    fits(figure, style.DOUBLE)
    assert "no positive class margin" in [text.get_text() for text in figure.axes[1].texts]
    absent = margin_scaling.figure({"a": details([1.0] * 6)}, part="train")
    assert all(text.get_text() == "no data" for axes in absent.axes for text in axes.texts)


def test_scales_must_agree():
    with pytest.raises(ValueError, match="one scale"):
        margin_scaling.figure({"a": details([1.0] * 6), "b": details([1.0] * 6, scale="geometric")})
    with pytest.raises(ValueError, match="one scale"):
        margin_scaling.figure({})
