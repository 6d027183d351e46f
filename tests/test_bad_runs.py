"""Run directories that are foreign, full, shared or moved on are refused by name, and what was saved is kept."""

import resource
import subprocess
import sys

import pytest

from tests.one_sentence import DATA, TREE, USAGE, one_sentence, train


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
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        code, _, err = tailgeom("train", "--out", out, "--steps", "2", "--device", "cpu")
        assert code == USAGE
        assert "file" in one_sentence(err)
    assert (tmp_path / "file").read_text() == ""


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
    found = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, timeout=300)
    assert found.returncode == DATA
    message = [line for line in found.stderr.splitlines() if line.startswith("tailgeom:")]
    assert len(message) == 1
    assert "Traceback" not in found.stderr
    assert not (run / "done").exists()
    assert not (run / "checkpoint").exists()
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300)
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
