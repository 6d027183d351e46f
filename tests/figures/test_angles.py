"""Learned against optimal angles: the points, their marks, the diagonal."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from figures import angles, style

GROUPS = ("many", "many", "medium", "few", "few")


def cosines(seed, size=5):
    return np.corrcoef(np.random.default_rng(seed).normal(size=(size, 4)))


def drawn(axes):
    """Points by kind of pair."""
    lines = {line.get_gid(): line for line in axes.lines}
    assert np.ptp(np.subtract(*lines.pop("diagonal").get_xydata().T)) == 0
    return lines


def test_every_pair_is_a_point_of_its_kind(fits):
    learned, optimal = cosines(0), cosines(1)
    figure = angles.figure({"ERM": {"learned": learned, "optimal": optimal, "groups": GROUPS, "rms": 12.345}})
    fits(figure, style.SINGLE)
    found = drawn(figure.axes[0])
    assert {kind: len(line.get_xydata()) for kind, line in found.items()} == {
        "pairs many-many": 1, "pairs many-few": 4, "pairs few-few": 1, "pairs mixed with medium": 4,
    }  # fmt: skip
    (point,) = found["pairs few-few"].get_xydata()
    np.testing.assert_allclose(point, np.degrees(np.arccos([optimal[3, 4], learned[3, 4]])))
    assert len({to_hex(line.get_color()) for line in found.values()}) == 4
    assert len({line.get_marker() for line in found.values()}) == 4
    assert [text.get_text() for text in figure.axes[0].texts] == ["rms 12.3°"]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["many-many", "many-few", "few-few", "mixed with medium"]


def test_panels_share_one_scale_and_wrap(fits):
    panels = {f"target {n}": {"learned": cosines(n), "optimal": cosines(n + 10), "groups": GROUPS} for n in range(5)}
    figure = angles.figure(panels, reference="optimum")
    fits(figure, style.DOUBLE)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == list(panels)
    assert len({axes.get_xlim() for axes in shown}) == 1
    for axes in shown:
        points = np.concatenate([line.get_xydata() for line in drawn(axes).values()])
        assert len(points) == 10
        assert (points >= axes.get_xlim()[0]).all()
        assert (points <= axes.get_xlim()[1]).all()


def test_without_groups_there_is_one_kind_and_no_legend(fits):
    figure = angles.figure({"x": {"learned": cosines(0), "optimal": cosines(1)}})
    fits(figure, style.SINGLE)
    assert list(drawn(figure.axes[0])) == ["pairs"]
    assert figure.legends == []


def test_undefined_pairs_are_counted():
    learned = cosines(0).tolist()
    learned[0][1] = learned[1][0] = None
    figure = angles.figure({"x": {"learned": learned, "optimal": cosines(1)}})
    assert figure.axes[0].get_title() == "x, 1 pairs undefined"


def test_many_pairs_are_drawn_as_an_image():
    figure = angles.figure({"x": {"learned": cosines(0, 40), "optimal": cosines(1, 40)}})
    assert drawn(figure.axes[0])["pairs"].get_rasterized()


def test_bad_shapes():
    with pytest.raises(ValueError, match="two square matrices of one shape for x"):
        angles.figure({"x": {"learned": np.eye(3), "optimal": np.eye(4)}})
    with pytest.raises(ValueError, match="at least one panel"):
        angles.figure({})
