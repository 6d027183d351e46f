"""The strip of Gram matrices: what is drawn, on which scale, and what is missing."""

import numpy as np
import pytest

from figures import gram_strip, style
from figures.gram_strip import ratio_text

RATIOS = (1.0, 10.0, 1e5)


def optimum(classes, cosine):
    gram = np.full((classes, classes), cosine)
    np.fill_diagonal(gram, 1.0)
    return {"gram": gram, "rank": classes - 1, "distinct": classes}


def tails(classes):
    return np.array([1 / np.asarray(ratio) ** (np.arange(classes) / (classes - 1)) for ratio in RATIOS])


@pytest.mark.parametrize("classes", [4, 10])
def test_one_heat_map_a_ratio_and_row_on_one_scale(classes, fits):
    rows = {
        "τ = 1": [optimum(classes, cosine) for cosine in (-0.1, 0.2, 0.5)],
        "τ = 0.1": [optimum(classes, -0.1), None, optimum(classes, 0.3)],
    }
    figure = gram_strip.figure(rows, ratios=RATIOS, proportions=tails(classes), caption="certified")
    fits(figure, figure.get_size_inches()[0])
    assert figure.get_size_inches()[0] <= style.DOUBLE + 0.01
    bars, maps = figure.axes[:3], figure.axes[3:9]
    assert [axes.get_title() for axes in bars] == ["R = 1", "R = 10", "R = 10⁵"]
    assert all(len(axes.patches) == classes for axes in bars)
    drawn = [axes for axes in maps if axes.images]
    assert len(drawn) == 5
    for axes in drawn:
        assert axes.images[0].get_clim() == (-1.0, 1.0)
        assert axes.images[0].get_cmap().name == style.DIVERGING
        assert axes.get_title() == f"rank {classes - 1}, {classes} distinct"
        assert len(axes.texts) == (classes**2 if classes == 4 else 0)
    np.testing.assert_array_equal(drawn[-1].images[0].get_array(), rows["τ = 0.1"][2]["gram"])
    (missing,) = [axes for axes in maps if not axes.images]
    assert [text.get_text() for text in missing.texts] == ["not certified"]
    assert [axes.get_ylabel() for axes in (maps[0], maps[3])] == list(rows)
    assert figure._supxlabel.get_text() == "certified"


def test_disagreeing_shapes_are_refused():
    with pytest.raises(ValueError, match="3 ratios"):
        gram_strip.figure({}, ratios=RATIOS, proportions=np.ones((2, 4)))
    with pytest.raises(ValueError, match="3 optima"):
        gram_strip.figure({"a": [None]}, ratios=RATIOS, proportions=tails(4))
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        gram_strip.figure({"a": [optimum(3, 0), None, None]}, ratios=RATIOS, proportions=tails(4))


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(1, "1"), (24.137, "24.1"), (999.6, "1000"), (9999, "10⁴"), (1e4, "10⁴"), (1.5e7, "1.5 × 10⁷"), (9.99e5, "10⁶")],
)
def test_ratios_are_written_for_people(ratio, text):
    assert ratio_text(ratio) == text
