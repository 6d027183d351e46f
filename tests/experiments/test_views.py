"""The views of semi-supervised and contrastive learning, against torchvision's functions and by their distributions."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode, functional

from experiments import views
from experiments.augment import augment
from experiments.crop_and_colour import UNCHANGED, apply, draw
from experiments.rand_augment import OPERATIONS, rand_augment

NAMES = ("weak", "strong", "contrast")
MANY = 4000


@pytest.fixture(scope="module")
def images():
    """Smooth and noisy, saturated and flat pictures of whole bytes, taller than wide."""
    rng = np.random.default_rng(0)
    noise = np.rint(255 * rng.random((30, 3, 40, 32))) / 255
    noise[1] = 0.5
    noise[2] = np.rint(noise[2])
    noise[3:12] = np.sort(noise[3:12], axis=-1)
    return torch.as_tensor(noise, dtype=torch.float32)


@pytest.mark.parametrize("name", NAMES)
def test_a_view_is_an_image_of_the_same_shape_and_range(images, name):
    for batch in (images, images[:, :, :28, :28], images[:1], images[:0]):
        found = augment(batch, name, np.random.default_rng(0))
        assert found.shape == batch.shape
        assert found.dtype == batch.dtype
        assert found.is_contiguous()
        assert len(batch) == 0 or (found.min() >= 0 and found.max() <= 1)


@pytest.mark.parametrize("name", NAMES)
def test_randomness_is_the_generators_alone(images, name):
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    before = images.clone()
    first, again, other = (augment(images, name, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


@pytest.mark.parametrize("name", NAMES)
def test_what_the_others_show_does_not_matter(images, name):
    whole = augment(images, name, np.random.default_rng(3))
    rest = images.clone()
    rest[5:] = 1 - rest[5:].flip(0)
    torch.testing.assert_close(augment(rest, name, np.random.default_rng(3))[:5], whole[:5])


@pytest.mark.parametrize("name", ["weak", "strong"])
def test_how_many_follow_does_not_matter(images, name):
    whole = augment(images, name, np.random.default_rng(3))
    torch.testing.assert_close(augment(images[:7], name, np.random.default_rng(3)), whole[:7])


@pytest.mark.parametrize("name", NAMES)
def test_grey_stays_grey(images, name):
    grey = images[:, :1].expand(-1, 3, -1, -1)
    found = augment(grey, name, np.random.default_rng(0))
    torch.testing.assert_close(found, found[:, :1].expand(-1, 3, -1, -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("mirror", [True, False])
def test_weak_views_are_windows_of_the_mirrored_border(mirror):
    """Every image is one of its 25 windows, flipped half of the time if at all, by torchvision; all of them come."""
    image = torch.as_tensor(np.random.default_rng(1).random((3, 17, 16)), dtype=torch.float32)
    padded = functional.pad(image, [2, 2, 2, 2], padding_mode="reflect")
    cuts = [functional.crop(padded, top, left, 17, 16) for top in range(5) for left in range(5)]
    known = torch.stack(cuts + [functional.horizontal_flip(cut) for cut in cuts])
    found = augment(image.expand(MANY, -1, -1, -1), "weak", np.random.default_rng(2), mirror=mirror)
    which = (found[:, None] == known[None]).flatten(2).all(dim=2)
    assert (which.sum(dim=1) == 1).all()
    share = which.float().mean(dim=0).numpy()
    assert share[25:].sum() == pytest.approx(0.5 * mirror, abs=0.03)
    np.testing.assert_allclose(share[:25] + share[25:], 1 / 25, atol=4 * np.sqrt(1 / 25 / MANY))


def test_the_sides_give_the_reach():
    """Up to 12.5 %: 3, 4 and 28 pixels at 28, 32 and 224, found from where a white column went."""
    for side, reach in ((28, 3), (32, 4), (224, 28)):
        image = torch.zeros(1, 3, side, side)
        image[..., side // 2] = 1
        found = augment(image.expand(400, -1, -1, -1), "weak", np.random.default_rng(0), mirror=False)
        moved = found[:, 0, 0].argmax(dim=1) - side // 2
        assert (int(moved.min()), int(moved.max())) == (-reach, reach)


def by_torchvision(image, name, value):
    """One operation of FixMatch's list on one image, by torchvision, whose signs of moves are the other ones."""
    nearest = {"interpolation": InterpolationMode.NEAREST}
    height, width = image.shape[1:]
    still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]} | nearest
    lean = -float(np.degrees(np.arctan(value)))
    moves = {
        "shear_x": {"shear": [-lean, 0.0], "center": [0, 0]},
        "shear_y": {"shear": [0.0, -lean], "center": [0, 0]},
        "translate_x": {"translate": [-value * width, 0]},
        "translate_y": {"translate": [0, -value * height]},
    }
    if name in moves:
        return functional.affine(image, **(still | moves[name]))
    others = {
        "autocontrast": lambda: functional.autocontrast(image),
        "brightness": lambda: functional.adjust_brightness(image, value),
        "colour": lambda: functional.adjust_saturation(image, value),
        "contrast": lambda: functional.adjust_contrast(image, value),
        "equalize": lambda: functional.equalize(image),
        "identity": lambda: image,
        "posterize": lambda: functional.posterize(image, int(value)),
        "rotate": lambda: functional.rotate(image, value, **nearest),
        "sharpness": lambda: functional.adjust_sharpness(image, value),
        "solarize": lambda: functional.solarize(image, value),
    }
    return others[name]()


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_torchvisions(images, name):
    low, high, _ = OPERATIONS[name]
    share = np.random.default_rng(0).random(len(images))
    value = low + (high - low) * share
    if name.startswith("translate"):  # torchvision moves by whole pixels
        side = images.shape[3 if name == "translate_x" else 2]
        share = (np.rint(value * side) / side - low) / (high - low)
        value = np.rint(value * side) / side
    number = np.full((len(images), 1), list(OPERATIONS).index(name))
    found = rand_augment(images, number, share[:, None])
    expected = torch.stack([by_torchvision(image, name, float(v)) for image, v in zip(images, value, strict=True)])
    # A pixel that lies halfway between two may be read from either.
    assert ((found - expected).abs().amax(dim=1) > 2e-5).float().mean() < 2e-3
    assert name == "identity" or not torch.equal(found, images)


def test_the_second_operation_sees_what_the_first_made(images):
    brightness, solarize = (list(OPERATIONS).index(name) for name in ("brightness", "solarize"))
    found = rand_augment(images, np.tile([brightness, solarize], (30, 1)), np.full((30, 2), 0.5))
    dark = images * 0.5
    torch.testing.assert_close(found, torch.where(dark >= 0.5, 1 - dark, dark))


def test_strong_views_draw_every_operation_and_magnitude(images, monkeypatch):
    asked = []
    monkeypatch.setattr(views, "rand_augment", lambda images, which, how: asked.append((which, how)) or images)
    views.strong(images[:1].expand(MANY, -1, -1, -1), np.random.default_rng(0))
    ((which, magnitude),) = asked
    assert which.shape == magnitude.shape == (MANY, 2)
    share = np.bincount(which.ravel(), minlength=len(OPERATIONS)) / which.size
    np.testing.assert_allclose(share, 1 / 14, atol=4 * np.sqrt(1 / 14 / which.size))
    assert magnitude.min() < 0.01 < 0.99 < magnitude.max()
    assert abs(np.corrcoef(which.T)[0, 1]) < 0.06


def test_strong_views_lose_a_square_of_up_to_half_a_side(images, monkeypatch):
    monkeypatch.setattr(views, "rand_augment", lambda images, which, magnitude: images)
    found = views.strong(torch.ones(MANY, 3, 32, 32), np.random.default_rng(0))
    grey = (found == 0.5).all(dim=1)
    assert ((found == 1) | grey[:, None]).all()
    rows, columns = grey.any(dim=2).sum(dim=1), grey.any(dim=1).sum(dim=1)
    assert torch.equal(rows * columns, grey.sum(dim=(1, 2)))  # one rectangle
    assert int(rows.max()) == int(columns.max()) == 16
    whole = grey[:, 0].any(dim=1) | grey[:, -1].any(dim=1) | grey[:, :, 0].any(dim=1) | grey[:, :, -1].any(dim=1)
    assert (rows - columns)[~whole].abs().max() <= 1
    # Side s of uniform law on 0 to 1/2, centre uniform: the mean of (s - s^2 / 4)^2 is the share that is lost.
    s = np.linspace(0, 0.5, 2001)
    assert grey.float().mean().item() == pytest.approx(np.mean((s - s**2 / 4) ** 2), rel=0.06)


def test_cutout_of_known_place():
    image = torch.zeros(2, 3, 8, 8)
    found = views.cutout(image, np.array([0.5, 0.0]), np.array([[0.5, 0.25], [0.5, 0.5]]))
    expected = torch.zeros(8, 8)
    expected[2:6, 0:4] = 0.5
    assert torch.equal(found[0], expected.expand(3, 8, 8))
    assert torch.equal(found[1], image[1])


def test_the_contrast_view_has_simclrs_ranges(images):
    options = {
        "scale": views.CONTRAST_SCALE,
        "jitter": views.CONTRAST_JITTER,
        "jittered": views.CONTRAST_JITTERED,
        "grey_share": views.CONTRAST_GREY,
    }
    drawn = draw(MANY, (224, 224), np.random.default_rng(0), **options)
    area = drawn.window[:, 2] * drawn.window[:, 3] / 224**2
    assert area.min() == pytest.approx(0.08, abs=0.01)
    assert area.max() > 0.95
    assert drawn.mirror.mean() == pytest.approx(0.5, abs=0.03)
    assert drawn.grey.mean() == pytest.approx(0.2, abs=0.03)
    unchanged = (drawn.order == UNCHANGED).all(axis=1)
    assert ((drawn.order == UNCHANGED).any(axis=1) == unchanged).all()
    assert unchanged.mean() == pytest.approx(0.2, abs=0.03)
    np.testing.assert_allclose(drawn.amount.min(axis=0), [0.6, 0.6, 0.6, -0.1], atol=0.01)
    np.testing.assert_allclose(drawn.amount.max(axis=0), [1.4, 1.4, 1.4, 0.1], atol=0.01)
    same = apply(images, draw(len(images), (40, 32), np.random.default_rng(5), **options))
    assert torch.equal(augment(images, "contrast", np.random.default_rng(5)), same)


def test_colours_that_stay_stay_to_the_bit(images):
    drawn = draw(len(images), (40, 32), np.random.default_rng(0), scale=(1.0, 1.0), jittered=0.0, grey_share=0.0)
    drawn.window[:], drawn.mirror[:] = (0, 0, 40, 32), False
    torch.testing.assert_close(apply(images, drawn), images, atol=1e-5, rtol=0)  # resampled onto its own grid
    drawn.order[:15] = np.arange(4)
    changed = (apply(images, drawn) - images).abs().amax(dim=(1, 2, 3)) > 1e-3
    assert changed[:15].all()
    assert not changed[15:].any()


def test_without_mirror_nothing_else_changes(images):
    """The flip is drawn either way, so the other parts of a view are the same with and without."""
    for name in NAMES:
        with_flip, without = (
            augment(images, name, np.random.default_rng(4), mirror=mirror) for mirror in (True, False)
        )
        same = (with_flip - without).abs().amax(dim=(1, 2, 3)) < 1e-6
        assert 5 < int(same.sum()) < 26
