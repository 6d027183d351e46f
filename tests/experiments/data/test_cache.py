import threading
from pathlib import Path

import pytest

from experiments.data.cache import cache_root, cached_directory
from geometry.errors import DataError


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TAILGEOM_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_root() == tmp_path / "home" / ".cache" / "tailgeom"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/paths/do/not/count")
    assert cache_root() == tmp_path / "home" / ".cache" / "tailgeom"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_root() == tmp_path / "xdg" / "tailgeom"
    monkeypatch.setenv("TAILGEOM_CACHE", str(tmp_path / "own"))
    assert cache_root() == tmp_path / "own"


def test_built_once(tmp_path):
    calls = []

    def build(folder: Path) -> None:
        calls.append(folder)
        (folder / "file").write_text("made")

    for _ in range(2):
        path = cached_directory(tmp_path / "deep" / "set", build)
        assert (path / "file").read_text() == "made"
    assert len(calls) == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["set"]


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def build(folder: Path) -> None:
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_directory(tmp_path / "set", build)
    assert list(tmp_path.iterdir()) == []


def test_of_two_builders_one_wins_and_both_read_a_whole_set(tmp_path):
    both_building = threading.Barrier(2, timeout=120)
    results, contents = [], []

    def build(folder: Path) -> None:
        (folder / "file").write_text("made")
        both_building.wait()

    def work() -> None:
        results.append(cached_directory(tmp_path / "set", build))
        contents.append((tmp_path / "set" / "file").read_text())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [tmp_path / "set"] * 2
    assert contents == ["made"] * 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["set"]


def test_a_cache_that_cannot_be_written_is_a_data_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="TAILGEOM_CACHE"):
        cached_directory(tmp_path / "file" / "set", lambda folder: None)
