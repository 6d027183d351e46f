import numpy as np
import pytest
from PIL import Image

from experiments.data.decode import decode
from experiments.data.folders import read_tree
from geometry.errors import DataError, UsageError


def test_pixels_are_those_of_torchvisions_resize(make_tree):
    transforms = pytest.importorskip("torchvision.transforms")
    data = read_tree(make_tree({"a": {"x": 3}, "b": {"x": 2}}, size=(41, 23)))
    decoded = decode(data, [4, 0, 2], 16)
    assert decoded.images.shape == (3, 16, 16, 3)
    assert decoded.images.dtype == np.uint8
    assert decoded.kept.tolist() == [4, 0, 2]
    for image, index in zip(decoded.images, decoded.kept, strict=True):
        with Image.open(data.root / data.paths[index]) as file:
            expected = transforms.Resize((16, 16))(file.convert("RGB"))
        np.testing.assert_array_equal(image, np.asarray(expected))


def test_an_image_of_the_right_size_is_left_as_it_is(make_tree):
    data = read_tree(make_tree({"a": {"x": 2}}, size=(8, 8)))
    with Image.open(data.root / data.paths[1]) as file:
        np.testing.assert_array_equal(decode(data, size=8).images[1], np.asarray(file))


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "I;16"])
def test_every_mode_becomes_rgb_without_a_warning(make_tree, mode):
    root = make_tree({"a": {"x": 1}}, size=(6, 6))
    grey = np.arange(36, dtype=np.uint8).reshape(6, 6) * 7
    if mode == "P":
        image = Image.fromarray(grey).convert("P")
        image.save(root / "a" / "x" / "000.png", transparency=bytes(range(256)))
    elif mode == "I;16":
        Image.fromarray(grey.astype(np.uint16) * 257).save(root / "a" / "x" / "000.png")
    else:
        Image.fromarray(grey).convert(mode).save(root / "a" / "x" / "000.png")
    image = decode(read_tree(root), size=6).images[0]
    assert (image[..., 0] == image[..., 2]).all()
    if mode != "1":
        np.testing.assert_array_equal(image[..., 1], grey)


@pytest.fixture
def spoilt(make_tree):
    """Five images of which numbers 1 and 3 cannot be read."""
    root = make_tree({"a": {"x": 5}}, size=(64, 64), extension="jpg")
    truncated = root / "a" / "x" / "001.jpg"
    truncated.write_bytes(truncated.read_bytes()[:700])
    (root / "a" / "x" / "003.jpg").write_text("<html>404</html>")
    return read_tree(root)


def test_the_first_broken_file_is_named(spoilt):
    with pytest.raises(DataError, match=r"a/x/001\.jpg.*truncated"):
        decode(spoilt, size=8)
    with pytest.raises(DataError, match=r"a/x/003\.jpg.*not an image"):
        decode(spoilt, [0, 3], 8)
    (spoilt.root / spoilt.paths[0]).unlink()
    with pytest.raises(DataError, match=r"a/x/000\.jpg.*not there"):
        decode(spoilt, [0], 8)


def test_broken_files_are_skipped_and_listed(spoilt):
    done = []
    decoded = decode(spoilt, [4, 3, 2, 1, 0], 8, skip_broken=True, progress=lambda n, total: done.append((n, total)))
    assert decoded.kept.tolist() == [4, 2, 0]
    assert decoded.broken == ("a/x/003.jpg", "a/x/001.jpg")
    assert len(decoded.reasons) == 2
    assert done == [(n, 5) for n in range(1, 6)]
    np.testing.assert_array_equal(decoded.images, decode(spoilt, decoded.kept, 8).images)
    assert spoilt.select(decoded.kept).sizes.tolist() == [[3]]


def test_nothing_readable_is_an_error_even_when_skipping(spoilt):
    with pytest.raises(DataError, match="None of 2 images"):
        decode(spoilt, [1, 3], 8, skip_broken=True)


@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_a_png_cut_anywhere_is_a_data_error(make_tree, cut):
    root = make_tree({"a": {"x": 2}}, size=(5, 5))
    path = root / "a" / "x" / "001.png"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"001\.png"):
        decode(read_tree(root), size=5)


def test_no_images_and_no_size(make_tree):
    data = read_tree(make_tree({"a": {"x": 1}}))
    assert decode(data, [], 4).images.shape == (0, 4, 4, 3)
    with pytest.raises(UsageError, match="size"):
        decode(data, size=0)
