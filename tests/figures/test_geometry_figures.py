"""Gram matrices, the plane of class vectors and the collapse metrics are drawn as measured."""

import itertools

import numpy as np
import pytest

from figures import collapse, gram, plane, style
from tests.figures.read_back import legend, points, texts, ticks

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


@pytest.mark.parametrize("low", [0.0123, 0.1, 0.47, 0.9])
@pytest.mark.parametrize("ratio", [1.02, 1.3, 2.0, 3.0, 4.9, 5.1, 12.0, 40.0])
def test_numbers_on_a_narrow_logarithmic_axis_do_not_overprint(low, ratio):
    intervals = [{"estimate": x, "low": x, "high": x} for x in (low, low * ratio)]
    models = {str(i): dict.fromkeys(("cdnv", "b", "c"), value) for i, value in enumerate(intervals)}
    figure = collapse.figure(models, log=("cdnv",))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    first, last = axes.get_xlim()
    labels = [text for text in axes.get_xticklabels() if first <= text.get_position()[0] <= last]
    boxes = [text.get_window_extent() for text in labels if text.get_text()]
    assert len(boxes) >= 2 - (ratio < 1.1)
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))
