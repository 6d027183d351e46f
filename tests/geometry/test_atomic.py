"""Files that are whole or absent."""

import json

import numpy as np
import pytest

from geometry.atomic import plain, read_json, recover_directory, replacing_directory, write_csv, write_json, write_text
from geometry.errors import DataError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "x", "old")
    with pytest.raises(TypeError):
        write_json(tmp_path / "x", {"a": object()})
    assert (tmp_path / "x").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_failed_directory_leaves_the_old_one(tmp_path):
    with replacing_directory(tmp_path / "d") as directory:
        (directory / "a").write_text("1")

    def fail():
        with replacing_directory(tmp_path / "d") as directory:
            (directory / "b").write_text("2")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["a"]


def test_recovery_prefers_the_new_directory(tmp_path):
    with replacing_directory(tmp_path / "d") as directory:
        (directory / "new").write_text("")
    (tmp_path / ".d.previous").mkdir()
    recover_directory(tmp_path / "d")
    assert (tmp_path / "d" / "new").exists()


def test_what_json_cannot_hold_becomes_null(tmp_path):
    write_json(tmp_path / "x.json", {"a": np.array([1.5, np.nan]), "b": np.int64(3), "c": float("inf")})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [1.5, None], "b": 3, "c": None}
    assert plain(np.bool_(True)) is True


def test_csv(tmp_path):
    write_csv(tmp_path / "x.csv", ("a", "b"), [(1, float("nan")), ("x,y", 2.5)])
    assert (tmp_path / "x.csv").read_text() == 'a,b\n1,\n"x,y",2.5\n'


def test_unwritable_place_and_broken_json(tmp_path):
    (tmp_path / "file").write_text("{")
    with pytest.raises(DataError, match="Cannot write"):
        write_text(tmp_path / "file" / "x", "")
    with pytest.raises(DataError, match="JSON"):
        read_json(tmp_path / "file")
    with pytest.raises(DataError, match="none"):
        read_json(tmp_path / "absent")
