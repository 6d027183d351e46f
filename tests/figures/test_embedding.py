import sys
import types
import warnings

import numpy as np
import pytest

from figures import embedding, style
from figures.embedding import embed

DOMAINS = ("optdigits", "mnist", "printed", "textured")


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(60, 5)) * [5, 3, 1, 0.5, 0.1]


def pretend(monkeypatch, fit):
    """Put a stand-in for umap in place; return the keyword arguments it is built with."""
    given = {}

    class UMAP:
        def __init__(self, **options):
            given.update(options)

        def fit_transform(self, array):
            return fit(array)

    monkeypatch.setitem(sys.modules, "umap", types.SimpleNamespace(UMAP=UMAP))
    return given


def test_umap_is_seeded_and_runs_on_one_thread(features, monkeypatch):
    def fit(array):
        warnings.warn("n_jobs value 1 overridden to 1 by setting random_state. Use no seed.", UserWarning, stacklevel=1)
        return array[:, 1:3]

    given = pretend(monkeypatch, fit)
    result = embed(features, seed=7)
    assert (given["random_state"], given["n_jobs"], given["n_neighbors"]) == (7, 1, 15)
    assert (result.method, result.note) == ("umap", "UMAP of 60 samples, seed 7.")
    np.testing.assert_array_equal(result.coordinates, features[:, 1:3])


def test_other_warnings_of_umap_are_not_silenced(features, monkeypatch):
    def fit(array):
        warnings.warn("the graph is not connected", UserWarning, stacklevel=1)
        return array[:, :2]

    pretend(monkeypatch, fit)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        embed(features, seed=0)
    assert [str(warning.message) for warning in caught] == ["the graph is not connected"]


def test_without_umap_the_note_says_why(features, monkeypatch):
    def fit(array):
        raise TypeError("k >= N")

    pretend(monkeypatch, fit)
    assert embed(features, seed=0).note.endswith("60 samples (UMAP failed: TypeError).")
    monkeypatch.setitem(sys.modules, "umap", None)
    result = embed(features, seed=0)
    assert result.method == "pca"
    assert result.note.endswith("(UMAP is not installed).")
    assert embed(features[:6], seed=0).note.endswith("6 samples (UMAP needs at least 20).")


def test_pca_is_the_best_plane_and_does_not_depend_on_signs(features):
    result = embed(features, seed=0, method="pca")
    centred = features - features.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    plane = vectors[:, -2:]
    np.testing.assert_allclose(
        result.coordinates @ result.coordinates.T, centred @ plane @ plane.T @ centred.T, atol=1e-9
    )
    assert f"{100 * values[-2:].sum() / values.sum():.0f} % of variance" in result.note
    order = np.random.default_rng(1).permutation(60)
    np.testing.assert_allclose(embed(features[order], seed=0, method="pca").coordinates, result.coordinates[order])


def test_a_subsample_is_drawn_by_the_seed(features):
    first, again, other = (embed(features, seed=seed, method="pca", most=20) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.index, again.index)
    assert len(first.index) == len(first.coordinates) == 20
    assert (np.diff(first.index) > 0).all()
    assert (first.index != other.index).any()
    assert "20 of 60 samples" in first.note


@pytest.mark.parametrize("shape", [(1, 4), (5, 1), (2, 2), (1, 1)])
def test_degenerate_features_have_a_picture(shape):
    result = embed(np.ones(shape), seed=0)
    np.testing.assert_array_equal(result.coordinates, np.zeros((shape[0], 2)))
    assert "no variance" in result.note


@pytest.mark.parametrize("bad", [np.zeros(3), np.zeros((0, 3)), np.full((3, 2), np.nan)])
def test_bad_features_are_refused(bad):
    with pytest.raises(ValueError, match="finite features"):
        embed(bad, seed=0)


def test_unknown_method_is_refused(features):
    with pytest.raises(ValueError, match="umap or pca, got 'tsne'"):
        embed(features, seed=0, method="tsne")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Tensorflow not installed")
def test_the_real_umap_keeps_clusters_apart():
    pytest.importorskip("umap")
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    features = 20 * np.eye(10)[labels] + rng.normal(size=(120, 10))
    first = embed(features, seed=0)
    assert first.method == "umap"
    np.testing.assert_array_equal(embed(features, seed=0).coordinates, first.coordinates)
    distances = np.linalg.norm(first.coordinates[:, None] - first.coordinates, axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).all()


def test_each_sample_is_drawn_by_class_and_by_domain(study, fits, marked):
    data = study.embedding()
    figure = embedding.figure(
        data,
        class_names=study.classes,
        domain_names=DOMAINS,
        held_out="textured",
        class_counts=study.counts().sum(axis=0),
    )
    fits(figure, style.DOUBLE)
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles == ["ERM, by class", "NDCL, by class", "ERM, by domain", "NDCL, by domain"]
    points = np.array(data["NDCL"]["coordinates"])
    for axes, gid in ((figure.axes[1], "class"), (figure.axes[3], "domain")):
        drawn = np.concatenate([c.get_offsets() for c in marked(axes, gid)])
        np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(points, axis=0))
    domains = np.array(data["NDCL"]["domains"])
    hollow = [c for c in marked(figure.axes[3], "domain") if len(c.get_facecolor()) == 0]
    assert len(hollow) == 1
    np.testing.assert_allclose(hollow[0].get_offsets(), points[domains == 3])
    hollow = [c for c in marked(figure.axes[1], "class") if len(c.get_facecolor()) == 0]
    assert sum(len(c.get_offsets()) for c in hollow) == (domains == 3).sum()
    assert [axes.get_xlabel() for axes in figure.axes[2:4]] == ["PC 1", "UMAP 1"]
    if study.k <= 10:
        names = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
        assert names == [style.shorten(name) for name in study.classes]


def test_one_model_without_a_target(study, fits):
    data = {"ERM": study.embedding(100)["ERM"]}
    figure = embedding.figure(data, class_names=study.classes, domain_names=DOMAINS)
    fits(figure, style.DOUBLE)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["ERM, by class", "ERM, by domain"]
    assert not any("target" in text.get_text() for text in figure.axes[1].get_legend().get_texts())
    data["ERM"]["labels"] = [0]
    with pytest.raises(ValueError, match="ERM, got 100, 1, 100"):
        embedding.figure(data, class_names=study.classes, domain_names=DOMAINS)


def test_what_is_not_drawn_is_marked_in_the_legend(fits):
    data = {"coordinates": np.eye(3, 2), "labels": [0, 2, 2], "domains": [1, 1, 1], "method": "pca"}
    names = {"class_names": ["cat", "dog", "owl"], "domain_names": ["day", "night"]}
    for models in ({"one": data}, {"one": data, "other": data}):
        figure = embedding.figure(models, **names, held_out="night")
        fits(figure, style.DOUBLE)
        legends = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
        classes, domains = ([text.get_text() for text in legend.get_texts()] for legend in legends)
        assert classes == ["cat", "dog (none)", "owl"]
        assert domains == ["day (none)", "night (target, hollow)"]
    other = data | {"labels": [1, 1, 1]}  # drawn in one panel at least
    figure = embedding.figure({"one": data, "other": other}, **names)
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == names["class_names"]
