"""A report of models that differ in the classes they hold: every row under its own name, and no half-filled folder."""

from dataclasses import replace

import numpy as np
import pytest

from figures.story import write_report
from figures.story.collapsing import collapsing
from figures.story.desk import Desk, Model, Study
from figures.story.optimal import optimal

NAMES = ("cat", "dog", "hen", "owl")
INTERVAL = {"estimate": 0.4, "low": 0.3, "high": 0.5}
EMPTY = np.zeros((0, 2)), np.zeros(0, int), np.zeros(0, int)


def cosine(first, second):
    """A number that belongs to a pair of classes, whatever their order in a matrix."""
    return 1.0 if first == second else -0.1 * (1 + NAMES.index(first) + NAMES.index(second))


def compared(classes):
    """The payload of ``compare`` on some of the classes, every entry marked by its classes."""
    gram = [[cosine(a, b) for b in classes] for a in classes]
    points = [[0.1 * NAMES.index(name), 0.5] for name in classes]
    entry = {
        "of": "features",
        "target": "optimum",
        "classes": list(classes),
        "learned": gram,
        "optimal": gram,
        "gram_error": INTERVAL,
        "groups": None,
        "grouping": "none",
        "blocks": [{"rms": 1.0}],
        "plane": {"points": [points, points], "shares": [0.5, 0.5]},
        **dict.fromkeys(("relative_error", "alignment", "procrustes"), 0.1),
    }
    optimum = {"loss": "supcon", "tau": 1.0, "relative_gap": 1e-8, "rank": 3, "distinct": 4}
    return {"comparisons": [entry], "verdicts": [], "optimum": optimum, "command": "tailgeom compare"}


def measured(classes):
    metrics = dict.fromkeys(
        ("nc1", "cdnv", "means_cosine", "nc4", "nc3_frobenius", "means_max_equiangularity"), INTERVAL
    )
    groups = {"all": {"classes": list(classes), "metrics": metrics}}
    nc1 = {"trace_ratio": 1.0, "rank": 2.0, "rank_expected": 2.0, "smallest_kept": 0.1}
    return {
        "overall": {"balanced": {"groups": groups, "nc1": nc1}},
        "minority": {"rule": "none"},
        "command": "tailgeom measure",
    }


def desk(folder, command, **payloads):
    study = Study("t", NAMES, ("day",), np.ones((1, 4)), None, None, "", (), {})
    models = {name: Model({command: payload}, (), *EMPTY) for name, payload in payloads.items()}
    return Desk(folder, models, study)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (NAMES, ("cat", "dog", "owl")),
        (("cat", "dog", "owl"), NAMES),
        (("cat", "dog", "owl"), ("cat", "hen", "owl")),  # equally many, not the same
        (("cat", "owl"), ("owl", "cat")),
    ],
)
def test_every_row_stands_under_its_own_class(tmp_path, mine, theirs):
    found = desk(tmp_path, "compare", first=compared(mine), other=compared(theirs))
    optimal(found)
    held = [name for name in NAMES if name in {*mine, *theirs}]
    panels = [axes for axes in found.drawn["gram_features"].axes if axes.images][:6]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == held
    for axes, classes in zip(panels, [mine] * 3 + [theirs] * 3, strict=True):
        matrix = np.ma.filled(axes.images[0].get_array(), np.nan)
        hatched = {(round(p.get_y() + 0.5), round(p.get_x() + 0.5)) for p in axes.patches if p.get_gid() == "absent"}
        for i, first in enumerate(held):
            for j, second in enumerate(held):
                if {first, second} <= {*classes}:
                    expected = 0.0 if axes in (panels[2], panels[5]) else cosine(first, second)
                    assert matrix[i, j] == pytest.approx(expected)
                    assert (i, j) not in hatched
                else:
                    assert np.isnan(matrix[i, j])
                    assert (i, j) in hatched
    plane = found.drawn["plane_features"]
    for axes, classes in zip(plane.axes, (mine, theirs), strict=True):
        drawn = [line.get_xdata()[0] for line in axes.lines if line.get_gid() == "learned"]
        expected = [0.1 * NAMES.index(name) if name in classes else np.nan for name in held]
        np.testing.assert_allclose(drawn, expected)
        assert {text.get_text() for text in axes.texts} == {*classes}


def reference(found):
    """Where the line of full collapse stands in the panel of mean cosines."""
    collapsing(found)
    (axes,) = [a for a in found.drawn["collapse"].axes if a.get_title().startswith("mean cosine")]
    return [line.get_xdata()[0] for line in axes.lines if line.get_gid() == "reference"]


def test_the_line_of_full_collapse_counts_the_classes_that_are_there(tmp_path):
    three = measured(("cat", "dog", "owl"))
    assert reference(desk(tmp_path, "measure", a=measured(NAMES))) == [pytest.approx(-1 / 3)]
    assert reference(desk(tmp_path, "measure", a=three, b=three)) == [-0.5]
    assert reference(desk(tmp_path, "measure", a=measured(NAMES), b=three)) == []
    assert reference(desk(tmp_path, "measure", a=measured(("cat",)))) == []


def test_a_chapter_that_fails_leaves_no_figure_behind(tmp_path):
    whole = desk(tmp_path, "compare", first=compared(NAMES))
    with pytest.raises(KeyError):  # the figure of the counts is drawn, and then a result is missing
        write_report(whole.models, whole.study, tmp_path / "out")
    assert not list(tmp_path.rglob("*.p*"))
    found = replace(whole, folder=tmp_path / "figures", drawn={})
    panels = optimal(found).panels
    assert not any(panel.image_path.exists() for panel in panels)
    found.write()
    assert all(panel.image_path.exists() for panel in panels)
