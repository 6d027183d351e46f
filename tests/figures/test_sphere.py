"""Class means on the sphere: the vectors have the given cosines, the drawing shows each of them, the GIF is stable."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from PIL import Image

from figures import animation, globe, sphere, style


def collapsing(classes, count=7):
    """From the simplex to one class opposite to all others, which slide down their meridians."""
    polar = np.linspace(np.arccos(-1.0 / (classes - 1)), np.pi, count)[:, None]
    around = 2 * np.pi * np.arange(classes - 1) / (classes - 1)
    others = np.stack(
        np.broadcast_arrays(np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)), 2
    )
    vectors = np.concatenate([np.broadcast_to([0.0, 0.0, 1.0], (count, 1, 3)), others], axis=1)
    grams = vectors @ vectors.transpose(0, 2, 1)
    ratios = np.geomspace(1, 100, count)
    weights = np.ones((count, classes))
    weights[:, 0] = ratios
    return sphere.SpherePath(ratios, weights / weights.sum(axis=1, keepdims=True), grams, float(ratios[-2]))


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 4]))
@settings(max_examples=40, deadline=None)
def test_positions_have_the_given_cosines(seed, classes):
    vectors = np.random.default_rng(seed).normal(size=(3, classes, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    grams = vectors @ vectors.transpose(0, 2, 1)
    placed = sphere.positions(grams)
    np.testing.assert_allclose(placed @ placed.transpose(0, 2, 1), grams, atol=1e-7)
    np.testing.assert_allclose(placed[:, 0], [[0, 0, 1]] * 3, atol=1e-7)
    assert placed[0, 1, 0] >= 0
    assert placed[0, 1, 1] == pytest.approx(0, abs=1e-9)
    assert placed[0, 2, 1] >= -1e-9


@pytest.mark.parametrize("classes", [3, 4])
def test_positions_move_smoothly_from_the_simplex_to_collapse(classes):
    path = collapsing(classes, 200)
    np.testing.assert_allclose(path.vectors @ path.vectors.transpose(0, 2, 1), path.grams, atol=1e-7)
    steps = np.linalg.norm(np.diff(path.vectors, axis=0), axis=2)
    assert steps.max() < 0.02
    np.testing.assert_allclose(path.vectors[-1, 1:], [[0, 0, -1]] * (classes - 1), atol=1e-7)
    if classes == 3:
        np.testing.assert_allclose(path.vectors[:, :, 1], 0, atol=1e-7)  # on a great circle


@pytest.mark.parametrize("classes", [3, 4])
def test_strip_has_a_globe_a_ratio_and_one_panel_of_cosines(classes, fits, marked):
    path = collapsing(classes)
    figure = sphere.strip(path, shown=[0, 3, 5, 6], caption="InfoNCE")
    fits(figure, style.DOUBLE)
    globes, curve = figure.axes[0:8:2], figure.axes[-1]
    assert [axes.get_title() for axes in globes] == ["R = 1", "R = 10", "R = R* = 46.4", "R = 100"]
    for axes, index in zip(globes, (0, 3, 5, 6), strict=True):
        assert len(marked(axes, "way")) == classes
        assert len(marked(axes, "mean")) == classes
        wedges = marked(axes, "share")
        areas = np.array([np.radians(w.theta2 - w.theta1) / 2 * w.r**2 for w in wedges])
        large = path.proportions[index] > 0.05  # the smallest are drawn larger, or they could not be seen
        ratio = areas[large] / path.proportions[index][large]
        np.testing.assert_allclose(ratio, ratio[0])
    names = [[text.get_text() for text in marked(axes, "name")] for axes in globes]
    assert names[0] == list("ABCD"[:classes])
    assert names[-1] == ["A", " ".join("BCD"[: classes - 1])]
    lines = marked(curve, "cosine")
    assert len(lines) == 2  # with the majority, and among minorities
    np.testing.assert_allclose(lines[0].get_ydata(), path.grams[:, 0, 1])
    np.testing.assert_allclose(lines[1].get_ydata(), path.grams[:, 1, 2])
    assert [to_hex(line.get_color()).upper() for line in lines] == list(globe.COLOURS[:2])
    assert len(marked(curve, "shown")) == 2 * 4
    assert [text.get_text() for text in curve.texts] == ["R* = 46.4"]
    assert len(curve.get_legend().get_texts()) == 2


def test_names_of_close_classes_do_not_meet(marked):
    path = collapsing(4, 40)
    figure = sphere.strip(path, shown=[38])
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in marked(figure.axes[0], "name")]
    assert len(boxes) == 4
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_frames_make_a_gif_of_as_many_pictures_and_the_same_bytes(tmp_path):
    path = collapsing(3, 5)
    pictures = list(sphere.frames(path, range(5), caption="InfoNCE", dpi=60))
    assert {picture.shape for picture in pictures} == {(144, 288, 3)}
    first = animation.save_gif(pictures, tmp_path / "a.gif").read_bytes()
    again = list(sphere.frames(path, range(5), caption="InfoNCE", dpi=60))
    assert animation.save_gif(again, tmp_path / "b.gif").read_bytes() == first
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 5
        assert image.info["loop"] == 0
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        for index, picture in enumerate(pictures):
            image.seek(index)
            difference = np.asarray(image.convert("RGB"), dtype=int) - picture
            assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("classes", [3, 4])
def test_a_frame_tells_the_rank_and_whether_classes_have_collapsed(classes):
    path = collapsing(classes)
    states = [
        text.get_text() for index in (0, 6) for text in sphere.frame(path, index).texts if text.get_gid() == "state"
    ]
    assert states == [f"rank {classes - 1}", "rank 1, collapsed"]


def test_equal_pictures_may_be_joined_but_stay_as_long(tmp_path):
    picture = np.full((8, 8, 3), 255, np.uint8)
    other = picture.copy()
    other[2:4] = 0
    animation.save_gif([picture, picture, other], tmp_path / "a.gif", seconds=1, hold=0)
    with Image.open(tmp_path / "a.gif") as image:
        shown = [image.seek(index) or image.info["duration"] for index in range(image.n_frames)]
    assert sum(shown) == pytest.approx(990, abs=1)


def test_what_cannot_be_drawn_is_refused(tmp_path):
    path = collapsing(3)
    with pytest.raises(ValueError, match="at least one ratio"):
        sphere.strip(path, shown=[])
    with pytest.raises(ValueError, match="at least one picture"):
        animation.save_gif([], tmp_path / "a.gif")
    with pytest.raises(ValueError, match="three or four"):
        sphere.SpherePath(path.ratios, path.proportions, np.ones((7, 5, 5)))
    with pytest.raises(ValueError, match="proportions"):
        sphere.SpherePath(path.ratios[:2], path.proportions, path.grams)
