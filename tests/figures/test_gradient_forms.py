"""Few over many by form: what is drawn is what was given."""

import numpy as np
import pytest

from figures import gradient_forms


def details(plain, equal, *, zero=0.5, alone=0.4, repulsion=(0.1, 0.4), training=False):
    def spread(value):
        return None if value is None else {"estimate": value, "low": 0.8 * value, "high": 1.25 * value}

    groups = {
        "few": {"zero_fraction": spread(zero), "zero_alone": alone, "repulsion": repulsion[0]},
        "many": {"zero_fraction": spread(0.0), "zero_alone": None, "repulsion": repulsion[1]},
    }
    found = {"amplification": spread(plain), "equal_counts": {"ratio": spread(equal)}, "groups": groups}
    if training:
        found["training"] = {"step": [0, 10, 40], "amplification": [spread(1.0), spread(0.5), spread(None)]}
    return found


def marks(figure, gid):
    return [line for axes in figure.axes for line in axes.lines if line.get_gid() == gid]


def all_axes(figure):
    figure.draw_without_rendering()
    return figure.axes


def test_each_form_has_both_ratios_and_the_closed_form():
    figure = gradient_forms.figure({"ndcl": details(0.1, 0.5), "supcon": details(2.0, 4.0)})
    drawn = [float(line.get_xdata()[0]) for line in marks(figure, "ratio")]
    assert drawn == [0.1, 0.5, 2.0, 4.0]
    assert [float(line.get_xdata()[0]) for line in marks(figure, "closed")] == pytest.approx([0.25, 0.25])
    assert [t.get_text() for t in all_axes(figure)[0].get_yticklabels()] == ["ndcl", "supcon"]


def test_zero_gradients_are_split_by_their_reason():
    figure = gradient_forms.figure({"ndcl": details(0.1, 0.5, zero=0.6, alone=0.5)})
    bars = figure.axes[1].patches
    assert [bar.get_width() for bar in bars] == pytest.approx([0.3, 0.3])


def test_undefined_and_zero_ratios_are_no_points():
    figure = gradient_forms.figure({"ndcl": details(0.0, None, zero=None, alone=None, repulsion=(None, None))})
    assert marks(figure, "ratio") == []
    assert marks(figure, "closed") == []
    assert any("0" in text.get_text() for text in figure.axes[0].texts)


def test_the_course_of_training_is_drawn_where_it_is_known():
    figure = gradient_forms.figure({"ndcl": details(0.1, 0.5, training=True), "supcon": details(1.0, 1.0)})
    (course,) = marks(figure, "course")
    np.testing.assert_allclose(course.get_ydata(), [1.0, 0.5, np.nan])
    assert len(all_axes(figure)) == 3


def test_no_form_is_refused():
    with pytest.raises(ValueError, match="at least one form"):
        gradient_forms.figure({})
