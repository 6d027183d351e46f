"""The figure of hard negatives: what is drawn is what was given."""

import numpy as np

from figures import hard_negatives


def spread(value):
    return {"estimate": value, "low": value - 0.05, "high": value + 0.05}


def given(samples=40):
    rng = np.random.default_rng(0)
    nearer = {kind: {"all": spread(0.7), "few": None} for kind in ("random", "real", "plain")}
    negative = {
        "edges": np.linspace(0, 1, 11).tolist(),
        "share": [spread(0.6)] * 9 + [None],
        "negatives": [40, 10, 5, 5, 5, 5, 5, 5, 20, 0],
    }
    kinds = {
        kind: {"quantiles": [None, *np.linspace(-1, 1, 100).tolist()]} for kind in ("synthesised", "random", "real")
    }
    picture = {
        "components": rng.normal(size=(samples, 3)).tolist(),
        "variance": [0.5, 0.2, 0.1],
        "kind": (np.arange(samples) % 4).tolist(),
        "coefficient": rng.random(samples).tolist(),
    }
    return nearer, negative, kinds, picture


def marked(figure, gid):
    return [line for axes in figure.axes for line in axes.lines if line.get_gid() == gid]


def test_comparisons_coefficients_and_distances():
    nearer, negative, kinds, _ = given()
    figure = hard_negatives.figure(nearer, negative, kinds)
    assert len(figure.axes) == 3
    assert [float(line.get_xdata()[0]) for line in marked(figure, "nearer")] == [0.7] * 3
    assert len(marked(figure, "outside")) == 9
    (curve,) = marked(figure, "synthesised")
    assert curve.get_ydata().min() >= 5
    assert curve.get_ydata().max() <= 95
    figure.draw_without_rendering()


def test_every_sample_of_the_picture_is_drawn_in_each_embedding():
    nearer, negative, kinds, picture = given()
    coordinates = np.random.default_rng(1).normal(size=(40, 2))
    figure = hard_negatives.figure(nearer, negative, kinds, picture=picture, embedding=coordinates)
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if any(c.get_gid() == "sample" for c in axes.collections)]
    assert len(panels) == 2
    for axes in panels:
        assert sum(len(c.get_offsets()) for c in axes.collections) == 40
    assert {axes.get_title() for axes in panels} == {"principal components (70 % of variance)", "UMAP"}


def test_one_component_is_a_line():
    nearer, negative, kinds, picture = given(8)
    picture |= {"components": np.arange(8.0)[:, None].tolist(), "variance": [1.0]}
    figure = hard_negatives.figure(nearer, negative, kinds, picture=picture)
    figure.draw_without_rendering()
    assert len([axes for axes in figure.axes if axes.collections]) >= 1
