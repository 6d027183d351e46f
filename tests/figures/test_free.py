"""The spread of class cosines that each loss wants."""

import pytest
from matplotlib.colors import to_hex

from figures import free, style


def experiment(loss, anchors, spread, verdict="objective", imbalance="long tail", variant=""):
    return {
        "loss": loss,
        "variant": variant,
        "anchors": anchors,
        "imbalance": imbalance,
        "verdict": verdict,
        "cosine_std": spread,
    }


ROWS = [
    experiment("BCL", "sample", 0.25),
    experiment("BCL", "class", 3e-9, "simplex"),
    experiment("NDCL", "class", 0.4, "tie", variant="raw dissimilarities of predictions, mean over negatives"),
    experiment("BCL", "sample", 1e-12, "simplex", "balanced"),
    experiment("NDCL", "sample", None, variant="raw dissimilarities of predictions, mean over negatives"),
]


def test_a_mark_an_experiment(fits, marked):
    figure = free.figure(ROWS)
    fits(figure, style.DOUBLE)
    tail, balanced = figure.axes
    assert (tail.get_title(), balanced.get_title()) == ("long tail", "balanced")
    marks = marked(tail, "experiment")
    assert [float(mark.get_xdata()[0]) for mark in marks] == [0.25, free.FLOOR, 0.4]
    assert [to_hex(mark.get_color()) for mark in marks] == [
        style.VERMILLION.lower(),
        style.BLUE.lower(),
        style.BLUE.lower(),
    ]
    filled = [mark.get_markerfacecolor() != "white" for mark in marks]
    assert filled == [False, True, False]
    assert marks[2].get_marker() == "x"
    assert len(marked(balanced, "experiment")) == 1
    assert [round(float(mark.get_ydata()[0])) for mark in marks] == [0, 0, 1]


def test_one_experiment_fits(fits):
    fits(free.figure(ROWS[:1]), style.DOUBLE)


def test_refusals():
    with pytest.raises(ValueError, match="none"):
        free.figure([])
    with pytest.raises(ValueError, match="'sample' or 'class'"):
        free.figure([experiment("BCL", "both", 0.1)])
