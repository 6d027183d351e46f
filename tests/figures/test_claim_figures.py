"""Margins, confidence, gradient shares and terms of the bound are drawn as judged."""

import numpy as np
import pytest

from figures import bound_terms, confidence, gradient_share, margins, plane, style
from tests.figures.read_back import legend, points, texts, ticks

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
