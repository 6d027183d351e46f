"""Files that are whole or absent."""

import json

import numpy as np
import pytest

from geometry.atomic import (
    plain,
    read_directory,
    read_json,
    readable_directory,
    recover_directory,
    replacing_directory,
    write_csv,
    write_json,
    write_text,
)
from geometry.errors import DataError, UsageError

HOLDS = ("a", "b", "new", "old")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "x", "old")
    with pytest.raises(TypeError):
        write_json(tmp_path / "x", {"a": object()})
    assert (tmp_path / "x").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_failed_directory_leaves_the_old_one(tmp_path):
    with replacing_directory(tmp_path / "d", HOLDS) as directory:
        (directory / "a").write_text("1")

    def fail():
        with replacing_directory(tmp_path / "d", HOLDS) as directory:
            (directory / "b").write_text("2")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["a"]


def test_recovery_prefers_the_new_directory(tmp_path):
    with replacing_directory(tmp_path / "d", HOLDS) as directory:
        (directory / "new").write_text("")
    (tmp_path / ".d.previous").mkdir()
    recover_directory(tmp_path / "d")
    assert (tmp_path / "d" / "new").exists()


def test_a_reader_finds_the_previous_directory_and_moves_nothing(tmp_path):
    path, previous = tmp_path / "d", tmp_path / ".d.previous"
    assert readable_directory(path) == path
    previous.mkdir()
    assert readable_directory(path) == previous
    assert [found.name for found in tmp_path.iterdir()] == [".d.previous"]
    recover_directory(path)
    assert [found.name for found in tmp_path.iterdir()] == ["d"]
    previous.mkdir()
    assert readable_directory(path) == path


def test_a_reader_between_the_two_renames_does_not_stop_the_writer(tmp_path, monkeypatch):
    path, rename, found = tmp_path / "d", type(tmp_path).replace, []
    with replacing_directory(path, HOLDS) as directory:
        (directory / "old").write_text("")

    def then_read(source, target):
        moved = rename(source, target)
        found.append([file.name for file in readable_directory(path).iterdir()])
        return moved

    with replacing_directory(path, HOLDS) as directory:
        (directory / "new").write_text("")
        monkeypatch.setattr(type(path), "replace", then_read)
    assert found == [["old"], ["new"]]
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize("cut_short", [True, False])
def test_a_reader_overtaken_by_the_end_of_a_replacement_reads_the_new_directory(tmp_path, cut_short):
    """The old directory is emptied file by file: it is still there, by the same inode, with a file too few."""
    path, previous = tmp_path / "d", tmp_path / ".d.previous"
    previous.mkdir()
    for name in ("first", "second"):
        (previous / name).write_text("old")

    def read(place):
        found = [(place / "first").read_text()]
        if place == previous:
            path.mkdir()
            for name in ("first", "second"):
                (path / name).write_text("new")
            (previous / ("second" if cut_short else "first")).unlink()
        try:
            return [*found, (place / "second").read_text()]
        except FileNotFoundError as error:
            raise DataError("a file is missing") from error

    assert read_directory(path, read) == ["new", "new"]


def test_a_broken_directory_is_complained_of_once_and_one_that_never_rests_in_the_end(tmp_path):
    path, asked = tmp_path / "d", []
    path.mkdir()

    def broken(place):
        asked.append(place)
        raise DataError("a file is missing")

    with pytest.raises(DataError, match="a file is missing"):
        read_directory(path, broken)
    assert asked == [path]

    def replaced(place):
        path.rename(tmp_path / f"old {len(list(tmp_path.iterdir()))}")
        path.mkdir()

    with pytest.raises(DataError, match="faster than it can be read"):
        read_directory(path, replaced)


def test_the_only_whole_directory_is_not_deleted_before_the_new_one_is_in_place(tmp_path, monkeypatch):
    path, previous = tmp_path / "d", tmp_path / ".d.previous"
    previous.mkdir()

    def crash(source, target):
        raise OSError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "replace", crash)
        with pytest.raises(DataError, match="killed"), replacing_directory(path, HOLDS):
            pass
    assert readable_directory(path) == previous
    with replacing_directory(path, HOLDS) as directory:
        (directory / "new").write_text("")
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


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


def test_what_is_not_ours_is_never_replaced(tmp_path):
    def replace_it(path):
        with replacing_directory(path, HOLDS) as directory:
            (directory / "a").write_text("")

    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("years")
    (tmp_path / "file").write_text("x")
    for name in ("thesis", "file"):
        with pytest.raises(UsageError, match="another place"):
            replace_it(tmp_path / name)
    assert (tmp_path / "thesis" / "thesis.txt").read_text() == "years"
    assert (tmp_path / "file").read_text() == "x"
    (tmp_path / "empty").mkdir()
    replace_it(tmp_path / "empty")
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["a"]
