import os

import numpy as np
import pytest

from experiments.data import pixels
from experiments.data.decode import decode
from experiments.data.folders import read_tree
from experiments.data.pixels import PixelCache, content_digest
from geometry.errors import DataError


@pytest.fixture
def tree(make_tree, tmp_path, monkeypatch):
    monkeypatch.setenv("TAILGEOM_CACHE", str(tmp_path / "cache"))
    return make_tree({"a": {"x": 4, "y": 3}, "b": {"x": 2, "y": 2}}, size=(9, 7))


def test_pixels_are_those_of_decoding(tree):
    data = read_tree(tree)
    cache, index = PixelCache(data, 6), np.array([5, 0, 5, 10])
    np.testing.assert_array_equal(cache.read(index), decode(data, index, 6).images)
    assert not cache.holds(index).any()
    cache.fill(index[:2])
    assert cache.holds(index).tolist() == [True, True, True, False]
    np.testing.assert_array_equal(cache.read(index), decode(data, index, 6).images)


def test_an_image_is_decoded_once_for_all(tree, monkeypatch):
    data, asked = read_tree(tree), []

    def counted(catalogue, indices, size, **options):
        asked.extend(np.asarray(indices).tolist())
        return decode(catalogue, indices, size, **options)

    monkeypatch.setattr(pixels, "decode", counted)
    seen = []
    PixelCache(data, 6).fill(np.arange(4), lambda done, total: seen.append((done, total)))
    PixelCache(read_tree(tree), 6).fill(np.arange(2, 8))
    PixelCache(data, 6).read(np.arange(8))
    assert asked == [0, 1, 2, 3, 4, 5, 6, 7]
    assert seen == [(n, 4) for n in range(1, 5)]


def test_other_content_or_size_is_another_folder(tree):
    data = read_tree(tree)
    first = PixelCache(data, 6).folder
    assert PixelCache(data, 5).folder != first
    file = tree / data.paths[3]
    before = file.read_bytes()
    stat = file.stat()
    file.write_bytes((tree / data.paths[4]).read_bytes())
    assert PixelCache(data, 6).folder != first
    file.write_bytes(before)
    assert PixelCache(data, 6).folder == first
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))  # touched, not changed
    assert PixelCache(data, 6).folder == first


def test_the_content_is_read_again_only_when_files_change(tree, monkeypatch):
    data = read_tree(tree)
    digest = content_digest(data)
    monkeypatch.setattr(pixels, "_hash_files", lambda paths: pytest.fail("read again"))
    assert content_digest(data) == digest


def test_a_row_that_a_kill_left_unmarked_is_decoded_again(tree, monkeypatch):
    data = read_tree(tree)
    cache = PixelCache(data, 6)
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(DataError, match=r"No space left.*TAILGEOM_CACHE"):
        cache.fill(np.arange(3))
    assert not cache.holds(np.arange(3)).any()
    np.testing.assert_array_equal(cache.read(np.arange(3)), decode(data, np.arange(3), 6).images)


def test_a_broken_or_missing_file_is_named(tree):
    data = read_tree(tree)
    (tree / data.paths[2]).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a/x/002\.png"):
        PixelCache(data, 6).fill(np.arange(4))
    (tree / data.paths[1]).unlink()
    with pytest.raises(DataError, match=r"a/x/001\.png"):
        PixelCache(data, 6)
