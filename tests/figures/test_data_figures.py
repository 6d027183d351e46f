"""Contact sheets, class counts and training curves show the data and the training that they were given."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex

from figures import contact_sheet, counts, style, training_curves
from tests.figures.read_back import DOMAINS, legend, texts, ticks

# --- contact sheet


def test_contact_sheet_shows_each_image_and_hatches_missing_cells(pacs, fits, marked):
    images = pacs.images()
    figure = contact_sheet.figure(images, samples=4)
    fits(figure, style.DOUBLE)
    for axes, (domain, cells) in zip(figure.axes, images.items(), strict=True):
        assert axes.get_title() == domain
        assert len(axes.images) == sum(min(4, len(cell)) for cell in cells.values())
        assert len(marked(axes, "absent")) == len(pacs.classes) - sum(len(cell) > 0 for cell in cells.values())
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), images["optdigits"]["dog"][0])
    assert ticks(figure.axes[0].yaxis) == list(pacs.classes)


def test_contact_sheet_of_many_classes_says_how_many_it_shows(fits, study):
    figure = contact_sheet.figure(study.images(), samples=2, most_classes=8)
    fits(figure, style.DOUBLE)
    assert len(ticks(figure.axes[0].yaxis)) == min(8, study.k)
    assert figure.get_supxlabel() == ("" if study.k <= 8 else f"8 of {study.k} classes")


def test_contact_sheet_refuses_what_is_no_image():
    with pytest.raises(ValueError, match=r"\(n, H, W, 3\) for x, class a, got \(2, 8, 8\)"):
        contact_sheet.figure({"x": {"a": np.zeros((2, 8, 8), np.uint8)}})
    with pytest.raises(ValueError, match="at least one domain"):
        contact_sheet.figure({})


# --- counts


def test_counts_are_drawn_in_pooled_order(study, fits, marked):
    table = study.counts()
    figure = counts.figure(
        table, class_names=study.classes, domain_names=DOMAINS, shots=study.shots, held_out="textured"
    )
    fits(figure, style.DOUBLE)
    bars, cells = figure.axes[:2]
    order = np.argsort(-table.sum(axis=0), kind="stable")
    np.testing.assert_allclose([bar.get_height() for bar in bars.patches], table.sum(axis=0)[order])
    drawn = cells.images[0].get_array()
    np.testing.assert_array_equal(drawn.filled(0), table[:, order])
    assert drawn.mask.sum() == (table == 0).sum() == len(marked(cells, "absent"))
    assert [str(n) for n in table[:3, order].ravel()] == [text for text in texts(cells) if text.isdigit()]
    assert "held out: not trained on" in texts(cells)
    assert [text for text in texts(bars) if text in style.GROUP_ORDER] == ["many", "medium", "few"]
    assert {to_hex(bar.get_facecolor()).upper() for bar in bars.patches} == {
        style.group_mark(group).colour for group in study.shots
    }


def test_counts_without_groups_and_with_an_absent_class(fits):
    figure = counts.figure([[5, 0, 0], [3, 0, 1]], class_names="abc", domain_names="xy")
    fits(figure, style.DOUBLE)
    assert texts(figure.axes[0]) == ["8", "1", "0"]
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        counts.figure([[1, 2, 3]], class_names="ab", domain_names="x")
    with pytest.raises(ValueError, match="2 classes, got 1"):
        counts.figure([[1, 2]], class_names="ab", domain_names="x", shots=["many"])


# --- training curves


def test_training_curves_draw_what_was_recorded(pacs, fits):
    metrics = pacs.metrics(60)
    figure = training_curves.figure(metrics)
    fits(figure, style.DOUBLE)
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    assert list(panels) == [
        "total loss", "cross-entropy term", "contrastive term", "alignment term",
        "validation, balanced", "target", "target, balanced", "target, many-shot", "target, few-shot",
    ]  # fmt: skip
    assert [line.get_label() for line in panels["contrastive term"].lines] == ["NDCL"]
    line = panels["target, few-shot"].lines[0]
    wanted = [(r["step"], r["target/few"]) for r in metrics["ERM"] if r.get("target/few") is not None]
    np.testing.assert_allclose(line.get_xydata(), wanted)
    assert panels["total loss"].get_ylabel() == "loss (nats)"
    assert panels["validation, balanced"].get_ylabel() == "accuracy (%)"
    assert figure.get_supxlabel() == "training step"
    assert legend(figure) == ["ERM", "NDCL"]


def test_long_training_curves_are_smoothed_and_say_so(pacs):
    metrics = {"ERM": [{"step": s, "loss": float(s % 2)} for s in range(400)]}
    figure = training_curves.figure(metrics)
    raw, smooth = figure.axes[0].lines
    assert len(raw.get_xdata()) == 400
    np.testing.assert_allclose(smooth.get_ydata(), 0.5)
    assert smooth.get_xdata()[0] == 4
    assert smooth.get_xdata()[-1] == 394
    assert "moving mean" in figure.get_supxlabel()


def test_training_curves_skip_undefined_records_and_refuse_nothing_at_all():
    rows = [{"step": 0, "loss": None}, {"step": 1, "loss": math.nan}, {"step": 2, "loss": 0.5}]
    line = training_curves.figure({"ERM": rows}).axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xydata(), [[2, 0.5]])
    with pytest.raises(ValueError, match="loss/ce"):
        training_curves.figure({"ERM": [{"step": 1}]})
