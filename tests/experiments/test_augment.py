"""Batched augmentation against torchvision's functions on one image at a time, for the same drawn parameters."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from experiments import colour
from experiments.augment import augment
from experiments.crop_and_colour import apply, draw
from geometry.errors import UsageError


@pytest.fixture(scope="module")
def images():
    """Smooth and noisy, saturated and grey pictures, taller than wide."""
    rng = np.random.default_rng(0)
    noise = rng.random((24, 3, 40, 32))
    noise[0] = noise[0, :1]
    noise[1] = 0.5
    noise[2] = np.rint(noise[2])
    noise[3:8] = np.sort(noise[3:8], axis=-1)
    return torch.as_tensor(noise, dtype=torch.float32)


def one_by_one(images, drawn):
    """The same with torchvision, image by image."""
    changes = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    )
    found = []
    for i, image in enumerate(images):
        seen = functional.resized_crop(image, *map(int, drawn.window[i]), list(image.shape[1:]), antialias=True)
        if drawn.mirror[i]:
            seen = functional.horizontal_flip(seen)
        for number in drawn.order[i]:
            seen = changes[number](seen, float(drawn.amount[i, number]))
        found.append(functional.rgb_to_grayscale(seen, 3) if drawn.grey[i] else seen)
    return torch.stack(found)


@pytest.mark.parametrize("seed", range(3))
def test_the_protocol_is_torchvisions(images, seed):
    drawn = draw(len(images), (40, 32), np.random.default_rng(seed))
    torch.testing.assert_close(apply(images, drawn), one_by_one(images, drawn), atol=2e-4, rtol=0)


@pytest.mark.parametrize("shift", [-0.3, -0.1, 0.0, 0.2, 0.3])
def test_hue_alone(images, shift):
    expected = torch.stack([functional.adjust_hue(image, shift) for image in images])
    torch.testing.assert_close(colour.hue(images, torch.full((24,), shift)), expected, atol=2e-5, rtol=0)


def test_a_factor_of_one_changes_nothing(images):
    one = torch.ones(len(images))
    for change in (colour.brightness, colour.contrast, colour.saturation):
        torch.testing.assert_close(change(images, one), images)
    torch.testing.assert_close(colour.hue(images, 0 * one), images)


def test_what_is_drawn_has_the_protocols_ranges():
    drawn = draw(4000, (224, 224), np.random.default_rng(0))
    top, left, height, width = drawn.window.T
    area, aspect = height * width / 224**2, width / height
    assert area.min() > 0.69
    assert area.max() <= 1
    assert aspect.min() > 0.73
    assert aspect.max() < 1.37
    assert ((top >= 0) & (top + height <= 224) & (left >= 0) & (left + width <= 224)).all()
    assert drawn.mirror.mean() == pytest.approx(0.5, abs=0.03)
    assert drawn.grey.mean() == pytest.approx(0.1, abs=0.02)
    assert drawn.amount[:, :3].min() == pytest.approx(0.7, abs=0.01)
    assert drawn.amount[:, 3].max() == pytest.approx(0.3, abs=0.01)
    assert len(np.unique(drawn.order, axis=0)) == 24


def test_windows_are_distributed_as_torchvisions():
    from torchvision.transforms.v2 import RandomResizedCrop

    crop = RandomResizedCrop(64, scale=(0.7, 1.0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = [crop.make_params([torch.empty(3, 64, 64)]) for _ in range(4000)]
    theirs = np.array([[found[name] for name in ("top", "left", "height", "width")] for found in theirs])
    ours = draw(4000, (64, 64), np.random.default_rng(0)).window
    error = np.hypot(ours.std(axis=0), theirs.std(axis=0)) / np.sqrt(4000)
    assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) < 4 * error).all()
    assert ours.std(axis=0) == pytest.approx(theirs.std(axis=0), rel=0.08)


def test_randomness_is_the_generators_alone(images):
    first, again, other = (augment(images, "protocol", np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == images.shape
    assert first.min() >= 0
    assert first.max() <= 1
    assert not torch.equal(first[4], first[5])


def test_unknown_name(images):
    with pytest.raises(UsageError, match="protocol"):
        augment(images, "cutout", np.random.default_rng(0))


def test_cifars_crops_are_windows_of_the_padded_image():
    """Every image is one of its 81 windows, flipped or not, by torchvision's functions; all of them come."""
    rng = np.random.default_rng(1)
    image = torch.as_tensor(rng.random((3, 6, 5)), dtype=torch.float32)
    padded = functional.pad(image, [4, 4, 4, 4])
    windows = [functional.crop(padded, top, left, 6, 5) for top in range(9) for left in range(9)]
    known = torch.stack(windows + [functional.horizontal_flip(window) for window in windows])
    found = augment(image.expand(4000, -1, -1, -1), "cifar", np.random.default_rng(2))
    assert found.shape == (4000, 3, 6, 5)
    which = (found[:, None] == known[None]).flatten(2).all(dim=2)
    assert which.any(dim=1).all()
    assert (which.sum(dim=1) == 1).all()
    share = which.float().sum(dim=0) / 4000
    assert abs(share * 162 - 1).max() < 0.9  # 25 of 4000 expected: five standard errors
    assert 0.45 < float(which[:, :81].any(dim=1).float().mean()) < 0.56


def test_cifars_augmentation_is_a_function_of_its_generator(images):
    first, again, other = (augment(images, "cifar", np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
