import numpy as np
import pytest

from figures import phase, style


def diagram(against="tau", columns=(0.1, 1.0, 10.0), rows=(1.0, 10.0, 100.0, 1000.0), **more):
    """A map collapsed above the middle of its rows, with one cell that is not certified."""
    shape = len(rows), len(columns)
    collapsed = np.arange(shape[0])[:, None] >= shape[0] // 2 + 0 * np.arange(shape[1])
    cosines = np.where(collapsed, 1.0, np.linspace(-0.2, 0.7, np.prod(shape)).reshape(shape)).tolist()
    ranks = np.where(collapsed, 1, 9).tolist()
    states = collapsed.tolist()
    cosines[0][0] = ranks[0][0] = states[0][0] = None
    curve = [{"column": i, "value": float(np.sqrt(rows[-2] * rows[1]))} for i in range(len(columns))]
    curve[-1]["value"] = None
    return {
        "against": against,
        "columns": list(columns),
        "rows": list(rows),
        "minority_cosine": cosines,
        "rank": ranks,
        "collapsed": states,
        "curve": curve,
        **more,
    }


KINDS = {
    "tau": diagram(loss="infonce", majority=1, minority=9, negatives="inf"),
    "negatives": diagram("negatives", (1, 16, "inf"), loss="infonce", majority=2, minority=3, tau=0.5),
    "majority": diagram("majority", (1, 2, 3), (0.1, 1.0, 10.0), loss="lme", minority=5, ratio="inf", negatives="16"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_map_is_drawn(kind, fits, marked):
    data = KINDS[kind]
    figure = phase.figure(data)
    fits(figure, style.DOUBLE)
    panels = figure.axes[:2]
    assert [axes.get_title() for axes in panels] == ["cosine between minority classes", "rank of the class vectors"]
    for axes, name in zip(panels, ("minority_cosine", "rank"), strict=True):
        drawn = axes.collections[0].get_array()
        np.testing.assert_allclose(drawn.filled(np.nan), np.array(data[name], dtype=float))
        assert drawn.mask.sum() == len(marked(axes, "absent")) == 1
        assert len(marked(axes, "dots")) == len(data["columns"])
        assert axes.get_yscale() == "log"
    assert panels[0].collections[0].get_clim() == (np.nanmin(np.array(data["minority_cosine"], dtype=float)), 1.0)
    assert panels[0].get_xlabel() == phase.LABELS[kind]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[1:] == ["minority classes on one vector", "no certificate"]


def test_the_threshold_is_drawn_where_it_is(marked):
    (line,) = marked(phase.figure(KINDS["tau"]).axes[0], "threshold")
    np.testing.assert_allclose(line.get_xdata(), [0.1, 1.0, 10.0])
    np.testing.assert_allclose(line.get_ydata(), [np.sqrt(1000.0), np.sqrt(1000.0), np.nan])
    steps = marked(phase.figure(KINDS["majority"]).axes[0], "threshold")
    np.testing.assert_allclose([step.get_xdata() for step in steps], [[-0.5, 0.5], [0.5, 1.5]])
    np.testing.assert_allclose([step.get_ydata() for step in steps], 1.0)


def test_cells_are_bounded_halfway_between_their_settings():
    mesh = phase.figure(KINDS["tau"]).axes[0].collections[0]
    corners = mesh.get_coordinates()
    np.testing.assert_allclose(np.log10(corners[0, :, 0]), [-1.5, -0.5, 0.5, 1.5])
    np.testing.assert_allclose(np.log10(corners[:, 0, 1]), [-0.5, 0.5, 1.5, 2.5, 3.5])


def test_ticks_and_titles_are_words():
    figure = phase.figure(KINDS["negatives"])
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "16", "∞"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["10⁰", "10¹", "10²", "10³"]
    assert figure.get_suptitle() == "infonce, 2 majority classes and 3 minority classes, τ = 0.5"
    assert phase.figure(KINDS["majority"]).get_suptitle() == "lme, 5 minority classes, R → ∞, k = 16"
    bar = phase.figure(KINDS["tau"]).axes[3]
    assert [label.get_text() for label in bar.get_yticklabels()] == ["1", "9"]


@pytest.mark.parametrize(
    "data",
    [
        diagram(columns=(1.0,), rows=(1.0, 2.0)),
        diagram("majority", tuple(range(1, 13)), (0.1, 1.0), rank=[[*range(1, 13)], [*range(2, 14)]]),
        diagram(minority_cosine=[[None] * 3] * 4, rank=[[None] * 3] * 4, collapsed=[[None] * 3] * 4, curve=[]),
    ],
    ids=["one column", "many ranks", "nothing certified"],
)
def test_extreme_maps_are_drawn(data, fits):
    if data["rows"] == [1.0, 2.0]:
        data["curve"] = [{"column": 0, "value": 1.5}]
    fits(phase.figure(data), style.DOUBLE)


def test_a_matrix_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"rank matrix of shape \(4, 3\), got \(1, 1\)"):
        phase.figure(diagram(rank=[[1]]))
