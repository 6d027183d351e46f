"""Bad input gets one clear sentence and a stable exit code: 2 usage, 3 data missing or broken; never a traceback."""

import json

import numpy as np
import pytest

from tests.one_sentence import DATA, TREE, USAGE, one_sentence, train

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
    for words in (("measure", "--no-such-flag"), ("train",), ("data", "foo"), ("extract", "a", "b")):
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
