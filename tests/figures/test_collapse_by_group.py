"""Collapse by shot group: what is drawn is what was given, undefined values are left out."""

import math

import pytest

from figures import collapse_by_group, style

METRICS = {"nc1": "NC1", "nc4": "NC4", "never": "never measured"}


def row(algorithm, metric, group, mean, spread=0.1):
    return {"algorithm": algorithm, "metric": metric, "group": group, "mean": mean, "standard_error": spread}


ROWS = [
    row("erm", "nc1", "few", 3.0),
    row("erm", "nc1", "all", 2.0),
    row("ndcl", "nc1", "all", 1.0, None),
    row("ndcl", "nc1", "few", math.nan),
    row("ndcl", "nc4", "all", 0.5),
    row("erm", "nc1", "minority", 9.0),
    row("erm", "cdnv", "all", 7.0),
]


def marks(axes, group):
    return sorted((line.get_ydata()[0], line.get_xdata()[0]) for line in axes.lines if line.get_gid() == group)


def test_every_defined_mean_is_drawn_on_its_algorithms_line():
    figure = collapse_by_group.figure(ROWS, metrics=METRICS, title="digits")
    first, second = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in (first, second)] == ["NC1", "NC4"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["erm", "ndcl"]
    assert [x for _, x in marks(first, "all")] == [2.0, 1.0]
    assert [x for _, x in marks(first, "few")] == [3.0]
    assert [round(y) for y, _ in marks(first, "all")] == [0, 1]
    assert not marks(first, "minority")
    assert [x for _, x in marks(second, "all")] == [0.5]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["all", "few-shot"]


def test_bars_are_one_standard_error_to_either_side_where_it_is_known():
    axes = collapse_by_group.figure(ROWS, metrics=METRICS).axes[0]
    spans = sorted(
        tuple(line.get_xdata()) for line in axes.lines if line.get_gid() is None and len(line.get_xdata()) == 2
    )
    bars = [span for span in spans if span != (0, 1)]  # lines between algorithms span the axes
    assert bars == [pytest.approx((1.9, 2.1)), pytest.approx((2.9, 3.1))]


def test_nothing_defined_is_refused_and_many_rows_fit_a_page(tmp_path):
    with pytest.raises(ValueError, match="Expected a defined value"):
        collapse_by_group.figure([row("erm", "nc1", "all", math.nan)], metrics=METRICS)
    many = [row(f"algorithm {i}", "nc1", group, i) for i in range(40) for group in style.GROUP_ORDER]
    drawn = collapse_by_group.figure(many, metrics=METRICS)
    style.save(drawn, tmp_path / "many")
    assert drawn.get_size_inches()[1] < 10
