"""Bad names, trees, images, weights and checkpoints stop a training command with one clear sentence."""

import shutil

import pytest

from tests.one_sentence import DATA, USAGE

TREE = (
    "--dataset",
    "mine",
    "--test-domain",
    "night",
    "--setting",
    "balanced",
    "--validation",
    "2",
    "--image-size",
    "8",
)


def refused(tailgeom, tmp_path, *words):
    """Code and message of a training command that must fail with one sentence and leave nothing finished."""
    code, _, err = tailgeom("train", "--out", tmp_path / "run", "--steps", "2", "--device", "cpu", *words)
    *_, message = err.rstrip().splitlines()
    assert "Traceback" not in err
    assert sum(line.startswith("tailgeom: ") for line in err.splitlines()) == 1
    assert message.startswith("tailgeom: ")
    assert message.endswith((".", ")"))
    assert not (tmp_path / "run" / "done").exists()
    return code, message


@pytest.mark.parametrize(
    ("words", "listed"),
    [
        (("--sampling", "nope"), "class-aware"),
        (("--optimizer", "nope"), "adamw"),
        (("--schedule", "nope"), "cosine"),
        (("--precision", "fp8"), "bf16"),
        (("--finetune", "nope"), "head"),
        (("--algorithm", "supcon", "--set", "negatives=nope"), "mixup"),
        (("--algorithm", "supcon", "--set", "tau=0"), "0"),
        (("--algorithm", "ndcl", "--set", "prior_weights=nope"), "effective"),
        (("--setting", "Duality", "--setting-options", "nope=1"), "nope"),
        (("--batch-size", "0"), "--batch-size"),
        (("--checkpoint-every", "0"), "--checkpoint-every"),
        (("--seed", "-1"), "-1"),
        (("--device", "tpu"), "cuda"),
    ],
)
def test_a_name_or_number_that_is_none(tailgeom, tmp_path, words, listed):
    code, message = refused(tailgeom, tmp_path, *words)
    assert code == USAGE
    assert listed in message


def test_a_tree_of_one_domain_leaves_no_source(tailgeom, tmp_path, tiny_tree):
    for domain in ("day", "dusk"):
        shutil.rmtree(tiny_tree / domain)
    code, message = refused(tailgeom, tmp_path, *TREE, "--data", tiny_tree)
    assert code == DATA
    assert "domain" in message


@pytest.mark.parametrize("part", ["day", "night"])
def test_a_broken_image_is_named_whether_source_or_target(tailgeom, tmp_path, tiny_tree, part):
    for file in (tiny_tree / part / "dog").iterdir():
        file.write_bytes(b"\x89PNG broken")
    code, message = refused(tailgeom, tmp_path, *TREE, "--data", tiny_tree)
    assert code == DATA
    assert f"{part}/dog/" in message


def test_weights_that_are_missing_or_no_weights(tailgeom, tmp_path, tiny_tree):
    (tmp_path / "weights.pth").write_bytes(b"no weights")
    for name in ("weights.pth", "nowhere.pth"):
        words = ("--backbone", "resnet18", "--weights", tmp_path / name)
        code, message = refused(tailgeom, tmp_path, *TREE, "--data", tiny_tree, *words)
        assert code == DATA
        assert name in message


def test_a_checkpoint_of_garbage_is_refused_and_kept(tailgeom, tmp_path, trained):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "done").unlink()
    (run / "checkpoint" / "model.safetensors").write_bytes(b"garbage")
    code, _, err = tailgeom(
        "train", "--algorithm", "ndcl", "--out", run, "--steps", "12", "--checkpoint-every", "4", "--log-every", "2",
        "--batch-size", "8", "--device", "cpu",
    )  # fmt: skip
    assert code == DATA
    assert "checkpoint" in err.splitlines()[-1]
    assert "delete it" in err.splitlines()[-1]
    assert (run / "checkpoint" / "model.safetensors").read_bytes() == b"garbage"
