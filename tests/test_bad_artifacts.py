"""Broken artifacts, and requests that an artifact cannot serve, get one clear sentence and exit code 2 or 3."""

import json
import pickle

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.one_sentence import DATA, USAGE, one_sentence


@pytest.fixture
def artifact(tmp_path):
    """A valid artifact directory to break."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 4
    arrays = {
        "features": rng.normal(size=(40, 6)) + 3 * np.eye(4, 6)[labels],
        "labels": labels,
        "logits": rng.normal(size=(40, 4)),
    }
    path = tmp_path / "artifact"
    path.mkdir()
    save_file(arrays, path / "arrays.safetensors")
    (path / "manifest.json").write_text(json.dumps({"format": "tailgeom-artifact/1", "classes": list("abcd")}))
    return path


ANALYSES = ("measure", "compare", "bound", "check")


@pytest.mark.parametrize("command", ANALYSES)
def test_artifact_missing_or_none_given(tailgeom, tmp_path, command):
    code, _, err = tailgeom(command, tmp_path / "nothing")
    assert code == DATA
    assert "nothing" in one_sentence(err)
    code, _, err = tailgeom(command)
    assert code == USAGE
    assert "ARTIFACT" in one_sentence(err)


def broken(path, **changes):
    arrays = dict(load_file(path / "arrays.safetensors")) | changes
    save_file(arrays, path / "arrays.safetensors")


@pytest.mark.parametrize("command", ANALYSES)
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("labels", np.arange(39) % 4, "labels"),
        ("labels", np.arange(40) % 5, "0..3"),
        ("labels", np.full(40, 0.5), "integers"),
        ("features", np.full((40, 6), np.nan), "NaN"),
        ("features", np.zeros(40), "features"),
        ("logits", np.zeros((40, 3)), "logits"),
        ("domains", np.full(40, -1), "domains"),
    ],
)
def test_artifact_with_wrong_arrays(tailgeom, artifact, command, name, value, said):
    broken(artifact, **{name: value})
    code, out, err = tailgeom(command, artifact, "--json")
    assert code == DATA
    assert out == ""
    assert said in one_sentence(err)


@pytest.mark.parametrize("command", ANALYSES)
def test_a_pickle_is_never_loaded(tailgeom, tmp_path, command):
    trap = tmp_path / "loaded"
    code = f"open({str(trap)!r}, 'w')"

    class Trap:
        def __reduce__(self):
            return (eval, (code,))

    np.savez(tmp_path / "x.npz", features=np.array([Trap()], dtype=object), labels=np.zeros(1))
    (tmp_path / "x.safetensors").write_bytes(pickle.dumps(Trap()))
    for file in ("x.npz", "x.safetensors"):
        returned, _, err = tailgeom(command, "--features", tmp_path / file)
        assert returned == DATA
        assert file in one_sentence(err)
        assert not trap.exists()


def test_a_report_names_every_run_once(tailgeom, trained):
    code, _, err = tailgeom("report", trained, trained)
    assert code == USAGE
    assert "twice" in one_sentence(err)
    assert tailgeom("report")[0] == USAGE


def test_names_that_look_like_markup_are_only_names(tailgeom, artifact, tmp_path):
    names = ["[red]a[/x]", "$^$", "<b>&_", "d,%"]
    arrays = dict(load_file(artifact / "arrays.safetensors"))
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(4, 6))
    head = {"head_weight": weight, "head_bias": np.zeros(4), "logits": arrays["features"] @ weight.T}
    save_file(arrays | head, artifact / "arrays.safetensors")
    manifest = {"format": "tailgeom-artifact/1", "classes": names, "shot_thresholds": {"many": 20, "few": 2}}
    (artifact / "manifest.json").write_text(json.dumps(manifest))
    for command in ANALYSES:
        code, _, err = tailgeom(command, artifact, "--resamples", "20", "--out", tmp_path / "out")
        assert code == 0, err
    assert "[red]a[/x]" in tailgeom("compare", artifact)[1]
    code, _, err = tailgeom("report", artifact, "--embedding", "pca", "--out", tmp_path / "report")
    assert code == 0, err
    page = (tmp_path / "report" / "report.html").read_text()
    assert "<b>&_" not in page.partition('<script type="application/json"')[0]


def test_extract_never_replaces_what_is_not_an_artifact(tailgeom, trained, tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    for out in (tmp_path, tmp_path / "thesis.txt", trained):
        code, _, err = tailgeom("extract", trained, "--out", out)
        assert code == USAGE
        assert "another place" in one_sentence(err)
    assert (tmp_path / "thesis.txt").read_text() == "years"
    assert (trained / "done").exists()


def test_the_artifact_can_be_the_current_folder(tailgeom, artifact, monkeypatch):
    monkeypatch.chdir(artifact)
    assert tailgeom("measure", ".", "--resamples", "20")[0] == 0


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("classes", "abcd"),
        ("classes", ["a", "a", "b", "c"]),
        ("classes", ["a", "", "b", "c"]),
        ("domains", {"all": 1}),
        ("provenance", "me"),
        ("provenance", {"data": [1]}),
        ("shot_thresholds", {"many": "x", "few": 1}),
        ("shot_thresholds", {"many": 1, "few": 2}),
        ("train_counts", [[1, 2], [3]]),
        ("train_counts", [[1e30, 1, 1, 1]]),
        ("held_out", "nowhere"),
    ],
)
def test_manifest_with_wrong_entries(tailgeom, artifact, entry, value):
    manifest = json.loads((artifact / "manifest.json").read_text())
    (artifact / "manifest.json").write_text(json.dumps(manifest | {entry: value}))
    code, _, err = tailgeom("measure", artifact)
    assert code == DATA
    one_sentence(err)


def test_labels_that_are_ids_and_features_beyond_float64(tailgeom, tmp_path):
    for name, arrays in {
        "ids": {"features": np.eye(3), "labels": np.array([0, 1, 10**9])},
        "huge": {"features": np.eye(3) * 1e200, "labels": np.arange(3)},
        "scalar": {"features": np.eye(3), "labels": np.array(0)},
    }.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        for command in ANALYSES:
            code, _, err = tailgeom(command, tmp_path / f"{name}.npz")
            assert code == DATA
            one_sentence(err)


def test_damaged_archives(tailgeom, artifact, tmp_path):
    np.savez_compressed(
        tmp_path / "x.npz", features=np.random.default_rng(0).normal(size=(50, 9)), labels=np.arange(50) % 3
    )
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[200:1200] = b"x" * 1000
    (tmp_path / "x.npz").write_bytes(content)
    np.save(tmp_path / "y.npy", np.eye(3))
    (tmp_path / "y.npy").rename(tmp_path / "y.npz")
    (tmp_path / "z.npz").write_text("text")
    arrays = artifact / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:300])
    for path in (tmp_path / "x.npz", tmp_path / "y.npz", tmp_path / "z.npz", artifact):
        code, _, err = tailgeom("measure", path)
        assert code == DATA
        one_sentence(err)


@pytest.mark.parametrize(
    "words", [("--seed", "-1"), ("--resamples", "3"), ("--resamples", "1e3"), ("--resamples", "10000000000")]
)
def test_numbers_out_of_range(tailgeom, artifact, words):
    for command in ANALYSES:
        code, _, err = tailgeom(command, artifact, *words)
        assert code == USAGE
        one_sentence(err)


def test_manifest_that_is_no_manifest(tailgeom, artifact):
    (artifact / "manifest.json").write_text("{")
    code, _, err = tailgeom("measure", artifact)
    assert code == DATA
    assert "manifest.json" in one_sentence(err)


def test_unknown_split_lists_the_known(tailgeom, artifact):
    code, _, err = tailgeom("measure", artifact, "--split", "tset")
    assert code == USAGE
    assert "tset" in one_sentence(err)
