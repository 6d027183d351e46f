"""Bad input gets one clear sentence and a stable exit code: 2 usage, 3 data missing or broken; never a traceback."""

import json
import pickle
import resource
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

USAGE, DATA = 2, 3


def one_sentence(err):
    """The last line is the one message; progress may stand above it."""
    assert "Traceback" not in err
    *above, message = err.rstrip().splitlines()
    assert message.startswith("tailgeom: ")
    assert not [line for line in above if line.startswith("tailgeom: ")]
    assert message.endswith((".", ")", "kept"))
    return message


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


def train(tailgeom, tmp_path, *words):
    return tailgeom("train", "--out", tmp_path / "run", "--steps", "2", "--device", "cpu", *words)


# ---------------------------------------------------------------- data roots


def test_missing_data_root(tailgeom, tmp_path):
    code, _, err = train(tailgeom, tmp_path, "--dataset", "PACS", "--data", tmp_path / "nowhere")
    assert code == DATA
    assert "nowhere" in one_sentence(err)
    assert not (tmp_path / "run").exists()


def test_empty_data_root(tailgeom, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, err = train(tailgeom, tmp_path, "--dataset", "mine", "--data", tmp_path / "empty")
    assert code == DATA
    assert "empty" in one_sentence(err)


def test_domain_that_lacks_a_class(tailgeom, tmp_path, tiny_tree):
    for file in (tiny_tree / "dusk" / "dog").iterdir():
        file.unlink()
    code, _, err = train(tailgeom, tmp_path, "--dataset", "mine", "--data", tiny_tree, "--test-domain", "night")
    assert code == DATA
    assert "'dusk'" in one_sentence(err)
    assert "'dog'" in err


TREE = ("--dataset", "mine", "--test-domain", "night", "--setting", "balanced", "--validation", "2")


def test_broken_image_is_named_and_skipping_lists_it(tailgeom, tmp_path, tiny_tree):
    truncated = tiny_tree / "day" / "cat" / "03.png"
    truncated.write_bytes(truncated.read_bytes()[:90])
    (tiny_tree / "day" / "dog" / "05.png").write_text("no image")
    code, _, err = train(tailgeom, tmp_path, *TREE, "--data", tiny_tree, "--image-size", "16", "--batch-size", "4")
    assert code == DATA
    assert "03.png" in one_sentence(err) or "05.png" in err
    code, out, _ = tailgeom("data", "inspect", tiny_tree, "--dataset", "mine", "--json")
    assert code == DATA
    assert set(json.loads(out)["broken"]) == {"day/cat/03.png", "day/dog/05.png"}
    code, _, err = tailgeom(
        "train", "--out", tmp_path / "skipped", "--steps", "2", "--device", "cpu", *TREE,
        "--data", tiny_tree, "--image-size", "16", "--batch-size", "4", "--skip-broken",
    )  # fmt: skip
    assert code == 0, err
    manifest = json.loads((tmp_path / "skipped" / "manifest.json").read_text())
    assert manifest["data"]["broken_files_skipped"] == ["day/cat/03.png", "day/dog/05.png"]
    assert "2 broken files left out" in err


def test_a_setting_that_asks_for_more_than_a_cell_has_names_the_cell(tailgeom, tmp_path, tiny_tree):
    for file in sorted((tiny_tree / "dusk" / "dog").iterdir())[2:]:
        file.unlink()
    code, _, err = train(tailgeom, tmp_path, *TREE, "--data", tiny_tree)
    assert code == DATA
    assert "'dusk'" in one_sentence(err)
    assert "'dog'" in err
    assert "2" in err


# ---------------------------------------------------------------- unknown names


@pytest.mark.parametrize(
    ("words", "listed"),
    [
        (("--algorithm", "nope"), "dann, ecl, eqrm, erm, fish"),
        (("--test-domain", "nope"), "optdigits"),
        (("--setting", "nope"), "TotalHeavyTail"),
        (("--dataset", "nope"), "PACS"),
        (("--backbone", "nope"), "small_cnn"),
        (("--augment", "nope"), "crop_flip"),
        (("--algorithm", "ndcl", "--set", "gamma=1"), "alpha"),
        (("--algorithm", "ndcl", "--set", "alpha=much"), "alpha"),
        (("--steps", "0"), "--steps"),
        (("--lr", "-1"), "lr"),
    ],
)
def test_unknown_names_list_the_known_ones(tailgeom, tmp_path, words, listed):
    code, _, err = train(tailgeom, tmp_path, *words)
    assert code == USAGE
    assert listed in one_sentence(err)


def test_unknown_command_and_unknown_flag(tailgeom):
    code, _, err = tailgeom("mesure")
    assert code == USAGE
    assert "measure" in one_sentence(err)
    for words in (("measure", "--no-such-flag"), ("train",), ("data", "foo"), ("measure", "a", "b")):
        code, _, err = tailgeom(*words)
        assert code == USAGE
        assert "--help" in one_sentence(err)


def test_no_gpu(tailgeom, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, _, err = tailgeom("train", "--out", tmp_path / "run", "--device", "cuda")
    assert code == USAGE
    assert "GPU" in one_sentence(err)


# ---------------------------------------------------------------- counts


@pytest.mark.parametrize("counts", ["5,-1", "5,nan", "5,x", "5", "5,0", "5,inf", ",", "-5,3"])
def test_counts_that_are_none(tailgeom, counts):
    code, out, err = tailgeom("optimum", f"--counts={counts}")
    assert code == USAGE
    assert out == ""
    one_sentence(err)


def test_no_counts_at_all(tailgeom):
    for words in ((), ("--counts", ""), ("--counts", "5,1", "--proportions", ".5,.5")):
        code, _, err = tailgeom("optimum", *words)
        assert code == USAGE
        assert "--counts" in one_sentence(err)


@pytest.mark.parametrize("text", ["", "a,b\n", "5,1\n2\nx\n", "5,-2\n", "domain,a,b\nday,1\n"])
def test_counts_file_that_is_broken(tailgeom, tmp_path, text):
    file = tmp_path / "counts.txt"
    file.write_text(text)
    code, _, err = tailgeom("optimum", "--counts-file", file)
    assert code == DATA
    assert "counts.txt" in one_sentence(err)


def test_both_counts_files_that_we_write_are_read(tailgeom, trained, tmp_path):
    assert tailgeom("data", "split", "--out", tmp_path)[0] == 0
    found = [
        json.loads(tailgeom("optimum", "--counts-file", path, "--json")[1])["proportions"]
        for path in (tmp_path / "counts.csv", trained / "counts.csv")
    ]
    assert len(found[0]) == 10
    np.testing.assert_allclose(found[0], found[1])


def test_counts_file_missing(tailgeom, tmp_path):
    code, _, err = tailgeom("optimum", "--counts-file", tmp_path / "none.csv")
    assert code == DATA
    assert "none.csv" in one_sentence(err)


# ---------------------------------------------------------------- artifacts

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


# ---------------------------------------------------------------- run directories


def test_a_run_of_another_configuration_is_refused_by_name(tailgeom, trained):
    code, _, err = tailgeom("train", "--algorithm", "ndcl", "--out", trained, "--steps", "13", "--device", "cpu")
    assert code == USAGE
    assert "optim.steps" in one_sentence(err)


def test_a_checkpoint_of_another_configuration_is_refused(tailgeom, trained, tmp_path):
    import shutil

    for command in ("extract", "train"):
        run = tmp_path / command
        shutil.copytree(trained, run)
        (run / "done").unlink()
        text = (run / "config.yaml").read_text().replace("steps: 12", "steps: 24")
        (run / "config.yaml").write_text(text)
        short = ("--steps", "24", "--checkpoint-every", "4", "--log-every", "2", "--batch-size", "8", "--device", "cpu")
        words = (run,) if command == "extract" else ("--algorithm", "ndcl", "--out", run, *short)
        code, _, err = tailgeom(command, *words)
        assert code == DATA
        assert "another configuration" in one_sentence(err)


def test_extract_of_no_run(tailgeom, tmp_path):
    code, _, err = tailgeom("extract", tmp_path)
    assert code == DATA
    assert "config.yaml" in one_sentence(err)


def test_run_directory_that_cannot_be_written(tailgeom, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = tailgeom("train", "--out", tmp_path / "file" / "run", "--steps", "2", "--device", "cpu")
    assert code == DATA
    assert "file" in one_sentence(err)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [20_000, 500_000])
def test_full_disk_keeps_the_last_checkpoint(tmp_path, trained, limit):
    """A limit on file size makes writing fail inside the kernel, as a full disk does: for weights, or for the state."""

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    run = tmp_path / "run"
    words = [
        "train",
        "--out",
        str(run),
        "--steps",
        "4",
        "--batch-size",
        "4",
        "--checkpoint-every",
        "2",
        "--device",
        "cpu",
    ]
    command = [sys.executable, "-m", "experiments.cli", *words]
    found = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, timeout=120)
    assert found.returncode == DATA
    message = [line for line in found.stderr.splitlines() if line.startswith("tailgeom:")]
    assert len(message) == 1
    assert "Traceback" not in found.stderr
    assert not (run / "done").exists()
    assert not (run / "checkpoint").exists()
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    assert (run / "done").exists()


def test_a_mistyped_name_does_not_spoil_the_run_directory(tailgeom, tmp_path):
    for words in (("--augment", "crp"), ("--backbone", "small"), ("--algorithm", "ermm"), ("--test-domain", "mnits")):
        code, _, err = train(tailgeom, tmp_path, *words)
        assert code == USAGE
        one_sentence(err)
    code, _, err = train(tailgeom, tmp_path, "--batch-size", "4")
    assert code == 0, err


def test_two_processes_do_not_train_one_run(tailgeom, tmp_path):
    from experiments.runs import RunDirectory

    with RunDirectory(tmp_path / "run").locked():
        code, _, err = train(tailgeom, tmp_path)
    assert code == USAGE
    assert "Another process" in one_sentence(err)
    assert not (tmp_path / "run" / ".lock").exists()


def test_a_run_does_not_go_on_with_other_data(tailgeom, tmp_path, tiny_tree):
    run = tmp_path / "run"
    words = (
        "train",
        "--out",
        run,
        *TREE,
        "--data",
        tiny_tree,
        "--image-size",
        "16",
        "--batch-size",
        "4",
        "--steps",
        "4",
    )
    words = (*words, "--checkpoint-every", "2", "--device", "cpu")
    assert tailgeom(*words)[0] == 0
    (run / "done").unlink()
    (tiny_tree / "day" / "cat" / "03.png").unlink()
    splits = (run / "splits.csv").read_bytes()
    for command in (words, ("extract", run)):
        code, _, err = tailgeom(*command)
        assert code == DATA
        assert "data changed" in one_sentence(err)
    assert (run / "splits.csv").read_bytes() == splits


def test_a_loss_that_is_not_finite_stops_the_run_and_names_it(tailgeom, tmp_path, monkeypatch):
    from experiments.algorithms.erm import ERM

    def diverges(self, batch, rng):
        return {"loss": self.model(batch.inputs).sum() * float("nan")}

    monkeypatch.setattr(ERM, "terms", diverges)
    code, _, err = tailgeom("train", "--out", tmp_path / "run", "--steps", "2", "--device", "cpu")
    assert code == 1
    assert "step 1" in one_sentence(err)
    assert not (tmp_path / "run" / "done").exists()
