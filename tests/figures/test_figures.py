"""What every figure draws: the data, not the pixels."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex

from figures import (
    bound_terms,
    collapse,
    confidence,
    contact_sheet,
    counts,
    gradient_share,
    gram,
    margins,
    plane,
    style,
    training_curves,
)

DOMAINS = ("optdigits", "mnist", "printed", "textured")


def texts(axes):
    return [text.get_text() for text in axes.texts]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def points(artists):
    """``(n, 2)`` data of single-point lines."""
    return np.array([np.ravel(artist.get_xydata()) for artist in artists], dtype=float).reshape(-1, 2)


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


# --- Gram matrices


def test_gram_panels_share_one_symmetric_scale(study, fits, marked):
    data = study.gram()
    figure = gram.figure(data, class_names=study.classes)
    fits(figure, style.DOUBLE)
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 6
    assert [axes.get_title().split("\n")[0] for axes in panels[:3]] == list(gram.COLUMNS)
    limits = {(axes.images[0].norm.vmin, axes.images[0].norm.vmax) for axes in panels}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low == -high
    learned, optimal, difference = (axes.images[0].get_array() for axes in panels[3:])
    np.testing.assert_allclose(learned, data["NDCL"]["learned"])
    np.testing.assert_allclose(difference, learned - optimal)
    assert panels[0].images[0].get_array().mask.sum() == 2 * study.k - 1 == len(marked(panels[0], "absent"))
    assert len(texts(panels[4])) == (study.k**2 if study.k == 7 else 0)
    assert panels[2].get_title().endswith("error 0.31 [0.27, 0.35]")
    assert [panels[0].get_ylabel(), panels[3].get_ylabel()] == ["ERM", "NDCL"]


def test_gram_prints_no_negative_zero_and_survives_undefined_and_wrong_data(fits):
    data = {"ERM": {"learned": [[1, -0.001], [-0.001, 1]], "optimal": [[1, 0], [0, 1]]}}
    assert texts(gram.figure(data, class_names="ab").axes[0]) == ["1.00", ".00", ".00", "1.00"]
    nothing = [[None, None], [None, None]]
    fits(gram.figure({"ERM": {"learned": nothing, "optimal": nothing}}, class_names="ab"), style.DOUBLE)
    with pytest.raises(ValueError, match=r"optimal Gram matrix of shape \(2, 2\) for ERM, got \(3, 3\)"):
        gram.figure({"ERM": {"learned": np.eye(2), "optimal": np.eye(3)}}, class_names="ab")


# --- the plane


def test_plane_joins_learned_to_optimal(study, fits, marked):
    data = study.plane()
    figure = plane.figure(data, class_names=study.classes, shots=study.shots)
    fits(figure, style.DOUBLE)
    for axes, (name, model) in zip(figure.axes, data.items(), strict=True):
        learned, optimal = (np.array(model[part], dtype=float) for part in ("learned", "optimal"))
        np.testing.assert_allclose(points(marked(axes, "learned")), learned)
        np.testing.assert_allclose(points(marked(axes, "optimal")), optimal)
        assert len(marked(axes, "joint")) == np.isfinite(learned).all(axis=1).sum()
        assert axes.get_title().startswith(f"{name}, 52 % of variance")
        assert sorted(texts(axes)) == (sorted(study.classes) if study.k <= 24 else [])
    assert figure.axes[1].get_title().endswith("1 class absent")
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    assert legend(figure)[-2:] == ["learned", "optimal"]


def test_names_in_the_plane_do_not_collide(fits):
    same = [[0.1, 0.05 * (i % 2)] for i in range(12)]
    figure = plane.figure({"ERM": {"learned": same, "optimal": same}}, class_names=[f"class {i}" for i in range(12)])
    fits(figure, style.SINGLE)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        plane.figure({"ERM": {"learned": [[1]], "optimal": [[1, 1]]}}, class_names="a")


# --- margins


def test_margin_curves(pacs, fits, marked):
    data = pacs.margins()
    figure = margins.figure(data)
    fits(figure, style.DOUBLE)
    left, right = figure.axes
    curves = {line.get_label(): line.get_xydata() for line in left.lines if line.get_label() in style.GROUP_ORDER}
    assert list(curves) == ["all", "many", "medium", "few"]
    np.testing.assert_allclose(curves["few"][:, 1], data["ERM"]["groups"]["few"]["estimate"])
    assert "medium" not in [line.get_label() for line in right.lines]
    assert any(list(line.get_xdata()) == [0, 0] for line in left.lines)
    errors = points(marked(right, "error"))
    wanted = [data["NDCL"]["groups"][g]["estimate"][50] for g in ("all", "many", "few")]
    np.testing.assert_allclose(errors, [[0, value] for value in wanted])
    assert left.get_xlabel() == "margin δ (probability)"
    assert legend(figure) == ["all classes", "many-shot", "medium-shot", "few-shot"]


def test_one_model_fits_one_column(pacs, fits):
    fits(margins.figure({"ERM": pacs.margins()["ERM"]}), style.SINGLE)
    fits(plane.figure({"ERM": pacs.plane()["ERM"]}, class_names=pacs.classes, shots=pacs.shots), style.SINGLE)
    shares = {"ERM": pacs.gradient()["ERM"]}
    fits(gradient_share.figure(shares, class_names=pacs.classes, shots=pacs.shots), style.SINGLE)


def test_margin_curves_of_one_model_with_undefined_points(fits):
    data = {"ERM": {"delta": [-1, 0, 1], "groups": {"all": [None, 0.2, 1.0]}}}
    figure = margins.figure(data, scale="distance (radians)")
    fits(figure, style.SINGLE)
    assert figure.axes[0].get_xlabel() == "distance (radians)"
    data["ERM"]["groups"]["all"] = [0.1]
    with pytest.raises(ValueError, match="3 points for group all, got 1"):
        margins.figure(data)


# --- confidence


def test_confidence_scatter_holds_every_sample_or_a_stated_number(pacs, fits):
    data = pacs.confidence(300)
    figure = confidence.figure(data)
    fits(figure, style.DOUBLE)
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels) == ["ERM, source", "ERM, target", "NDCL, source", "NDCL, target"]
    entry = data["ERM"]["source"]
    few = next(c for c in panels["ERM, source"].collections if c.get_label() == "few")
    mine = np.array(entry["groups"]) == "few"
    np.testing.assert_allclose(few.get_offsets()[:, 0], np.array(entry["distance"])[mine])
    np.testing.assert_allclose(few.get_offsets()[:, 1], np.array(entry["confidence"])[mine])
    assert texts(panels["ERM, source"]) == ["Spearman 0.912 [0.901, 0.923]\nn = 300"]
    assert texts(panels["NDCL, target"]) == ["no data"]
    thinned = confidence.figure(data, most_points=50).axes[0]
    assert sum(len(c.get_offsets()) for c in thinned.collections) == 50


def test_confidence_without_groups_or_spearman(fits):
    data = {"ERM": {"target": {"confidence": [0.5, 0.9], "distance": [0.0, 1.0], "groups": None, "spearman": None}}}
    figure = confidence.figure(data)
    fits(figure, style.SINGLE)
    assert not figure.legends
    data["ERM"]["target"]["distance"] = [0.0]
    with pytest.raises(ValueError, match="ERM, target, got 2, 1, 2"):
        confidence.figure(data)


def test_confidence_by_space_has_an_axis_for_each_unit(fits):
    points = {"confidence": [0.9, 0.2], "distance": [3.0, -1.0], "label": [0, 1], "domain": [0, 0]}
    rho, half = {"estimate": 0.9, "low": 0.8, "high": 0.95, "n": 40}, {"estimate": 0.7, "low": 0.6, "high": 0.8}
    verdicts = [
        {"check": "other", "details": {"space": "feature space"}},
        {"check": "confidence_boundary", "details": {}},
    ]
    for space in confidence.UNITS:
        details = {"space": space, "scatter": points, "correlations": {"signed": {"all": rho}}}
        verdicts.append({"check": "confidence_boundary", "details": details})
    halves = {"all": {"probability": half}}
    verdicts.append({"check": "confidence_boundary", "details": {"space": "input space", "halves": halves}})
    data = confidence.by_space(verdicts, ["many", "few"])
    assert list(data) == ["feature space", "input space"]
    assert data["input space"]["groups"] == ["many", "few"]
    figure = confidence.figure({"ERM": data, "NDCL": data}, label=confidence.UNITS)
    fits(figure, style.DOUBLE)
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", *confidence.UNITS.values()]
    assert texts(figure.axes[1]) == ["Spearman 0.90 [0.80, 0.95]\nP(low nearer) 0.70 [0.60, 0.80]\nn = 40"]
    assert texts(figure.axes[0]) == ["Spearman 0.90 [0.80, 0.95]\nn = 40"]
    assert confidence.by_space(verdicts[:2]) == {}


# --- gradient shares


def test_gradient_shares_and_their_ratio(study, fits, marked):
    data = study.gradient()
    figure = gradient_share.figure(data, class_names=study.classes, shots=study.shots)
    fits(figure, style.DOUBLE)
    order = np.argsort(-np.array(data["ERM"]["anchors"]), kind="stable")
    upper, lower = figure.axes[0], figure.axes[2]
    anchors = np.array(data["ERM"]["anchors"])[order]
    np.testing.assert_allclose(points(marked(upper, "anchors"))[:, 1], anchors)
    shares = [data["ERM"]["gradient"][i] for i in order]
    kept = [i for i, share in enumerate(shares) if share is not None]
    estimates = np.array([shares[i]["estimate"] for i in kept])
    np.testing.assert_allclose(points(marked(upper, "gradient")), np.c_[kept, estimates])
    np.testing.assert_allclose(points(marked(lower, "ratio")), np.c_[kept, estimates / anchors[kept]])
    assert len(marked(lower, "absent")) == study.k - len(kept) == 1


def test_gradient_share_of_a_class_without_anchors(fits, marked):
    data = {"NDCL": {"anchors": [1.0, 0.0, None], "gradient": [1.0, 0.0, None]}}
    figure = gradient_share.figure(data, class_names="abc")
    fits(figure, style.SINGLE)
    np.testing.assert_allclose(points(marked(figure.axes[1], "ratio")), [[0, 1]])
    with pytest.raises(ValueError, match="Expected 2 shares for NDCL, got 3"):
        gradient_share.figure(data, class_names="ab")


# --- collapse


def test_collapse_forest(pacs, fits, marked):
    data = pacs.collapse()
    figure = collapse.figure(data, labels={"nc1": "NC1"}, log=("nc1", "cdnv"), references={"minority_cosine": 1.0})
    fits(figure, style.DOUBLE)
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    assert list(panels) == ["NC1", "cdnv", "minority_cosine", "nc4", "nc2_norms", "nc2_angles", "rank"]
    nc1 = points(marked(panels["NC1"], "estimate"))
    wanted = [data[model]["nc1"][g]["estimate"] for model in data for g in style.GROUP_ORDER]
    np.testing.assert_allclose(nc1[:, 0], wanted)
    assert len(marked(panels["NC1"], "interval")) == 8
    assert panels["NC1"].get_xscale() == "log"
    assert len(marked(panels["cdnv"], "undefined")) == 1
    assert len(marked(panels["minority_cosine"], "undefined")) == 2
    assert marked(panels["minority_cosine"], "reference")[0].get_xdata()[0] == 1.0
    assert not marked(panels["rank"], "interval")
    assert ticks(panels["NC1"].yaxis) == ["all", "many-shot", "medium-shot", "few-shot"]
    assert ticks(panels["nc2_norms"].yaxis) == ["all"]
    assert legend(figure) == ["ERM", "NDCL", "full collapse"]


def test_collapse_with_a_metric_of_one_model_or_of_none(fits, marked):
    figure = collapse.figure({"ERM": {"nc1": None}, "NDCL": {"nc1": 0.0, "rank": 3}}, log=("nc1",))
    fits(figure, style.DOUBLE)
    assert len(marked(figure.axes[0], "undefined")) == 2
    assert len(marked(figure.axes[1], "undefined")) == 1
    with pytest.raises(ValueError, match="at least one"):
        collapse.figure({"ERM": {}})


def test_a_narrow_logarithmic_axis_still_has_numbers(fits):
    figure = collapse.figure({"ERM": {"nc1": {"all": 0.22, "few": 0.31}}}, log=("nc1",))
    fits(figure, style.SINGLE)
    low, high = figure.axes[0].get_xlim()
    assert any(low <= float(label) <= high for label in ticks(figure.axes[0].xaxis))


# --- terms of the bound


def test_bound_terms_print_what_they_draw(pacs, fits, marked):
    data = pacs.bound()
    figure = bound_terms.figure(data, labels={"source_risk": "source risk"})
    fits(figure, style.DOUBLE)
    dots, printed = figure.axes
    assert ticks(dots.yaxis)[0] == "source risk"
    assert len(ticks(dots.yaxis)) == 7
    estimates = points(marked(dots, "estimate"))
    wanted = [
        v if isinstance(v, float) else v["estimate"] for model in data.values() for v in list(model.values())[:-1]
    ]
    np.testing.assert_allclose(estimates[:, 0], wanted)
    np.testing.assert_allclose(np.round(estimates[:, 1]), [*range(6), *range(6)])
    assert len(marked(dots, "interval")) == 10
    assert [artist.get_xdata()[0] for artist in marked(dots, "null")] == [0.12, 0.12]
    assert texts(printed)[:2] == ["ERM", "0.041 [0.035, 0.047]"]
    assert texts(printed).count("–") == 2
    boxes = [text.get_window_extent() for text in printed.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_bound_terms_refuse_nothing():
    with pytest.raises(ValueError, match="at least one term"):
        bound_terms.figure({"ERM": {}})
