"""Figures of what happens along training show what they are given."""

import numpy as np
import pytest

from figures import collapse_path, prototype_stability, style


def stability(moments=4):
    group = {
        "distance": [0.1, None, 0.2, 0.3][:moments],
        "batch_error": [0.05, 0.1, 0.1, 0.1][:moments],
        "moving_error": [0.02, 0.03, 0.03, 0.0][:moments],
        "drift": [None, 0.2, 0.1, 0.1][:moments],
        "reliability": {
            "batch": {"estimate": 0.8, "low": 0.5, "high": 0.9},
            "moving": {"estimate": None, "low": None, "high": None},
        },
        "pairs": 6,
    }
    return {"step": [0, 10, 20, 30], "groups": {"few": group, "many": group}}


def collapse(judged="features"):
    curve = {"optimum": [1.0, 0.8, 0.3], "etf": [1.1, 0.9, None], "lpm embeddings": [0.9, 0.9, 0.9]}
    space = {
        "scatter_ratio": [4.0, 1.0, 0.1],
        "distance": curve,
        "angle": {"all": [90, 91, 92], "minority": [80, 60, None], "majority": [100, 101, 102]},
    }
    still = space | {"scatter_ratio": [None, None, None]}
    foretold = {"optimum": {"angle": 85.0, "says": "apart"}, "lpm embeddings": {"angle": None, "says": "neither"}}
    return {"step": [0, 5, 10], "judged": judged, "features": space, "predictions": still, "foretold": foretold}


def only(marked, axes, gid):
    (line,) = marked(axes, gid)
    return np.asarray(line.get_ydata(), dtype=float)


def test_a_panel_a_group_with_gaps_where_error_explains_the_distance(fits, marked):
    figure = prototype_stability.figure({"ndcl": stability()})
    fits(figure, style.DOUBLE)
    many, few = figure.axes
    assert (many.get_title(), few.get_title()) == ("many-shot, 6 pairs of cells", "few-shot, 6 pairs of cells")
    assert only(marked, few, "distance") == pytest.approx([0.1, np.nan, 0.2, 0.3], nan_ok=True)
    assert only(marked, few, "moving_error") == pytest.approx([0.02, 0.03, 0.03, np.nan], nan_ok=True)
    assert [text.get_text() for text in few.texts] == ["reliability 0.800 in a batch, – moving"]


def test_a_row_a_model_and_groups_that_one_lacks_are_empty(fits):
    other = stability()
    other["groups"] = {"few": other["groups"]["few"]}
    figure = prototype_stability.figure({"ndcl": stability(), "erm": other})
    fits(figure, style.DOUBLE)
    assert len(figure.axes) == 4
    assert [text.get_text() for text in figure.axes[2].texts] == ["no data"]


def test_a_row_of_three_panels_a_model(fits, marked):
    figure = collapse_path.figure({"ndcl": collapse(), "erm": collapse("predictions")})
    fits(figure, style.DOUBLE)
    scatter, distance, angle = figure.axes[3:6]
    assert only(marked, scatter, "features").tolist() == [4.0, 1.0, 0.1]
    assert np.isnan(only(marked, scatter, "predictions")).all()
    assert only(marked, distance, "optimum").tolist() == [1.0, 0.8, 0.3]
    assert only(marked, angle, "minority") == pytest.approx([80, 60, np.nan], nan_ok=True)
    assert only(marked, angle, "foretold optimum").tolist() == [85.0, 85.0]
    assert not marked(angle, "foretold lpm embeddings")
    assert figure.axes[7].get_title() == "Gram error, predictions"


@pytest.mark.parametrize(("module", "details"), [(prototype_stability, stability), (collapse_path, collapse)])
def test_nothing_and_curves_of_another_length_are_refused(module, details):
    with pytest.raises(ValueError, match="none"):
        module.figure({})
    with pytest.raises(ValueError, match="one a step"):
        module.figure({"ndcl": details() | {"step": [0, 1]}})
