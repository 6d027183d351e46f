"""Cached features of augmented views: right, pure, computed once, whole or absent."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest
import torch

from experiments import frozen as module
from experiments.augment import augment
from experiments.config import ModelConfig
from experiments.data_config import DataConfig
from experiments.folding import folded
from experiments.frozen import FrozenInputs
from experiments.inputs import FeatureInputs, ImageInputs
from experiments.models import build_classifier
from experiments.splitting import open_catalogue
from experiments.view_features import CHUNK, ViewFeatures
from geometry.errors import DataError, UsageError

CPU = torch.device("cpu")


@pytest.fixture
def digits():
    """Three hundred of the embedded digits: three chunks."""
    catalogue, _ = open_catalogue(DataConfig(), None)
    return ImageInputs(catalogue.select(np.arange(0, 9000, 30)), 28)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of our own."""
    monkeypatch.setenv("TAILGEOM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "views"


def frozen(digits, copies=2, **options):
    return FrozenInputs(digits, ModelConfig(view_copies=copies, **options), seed=0, device=CPU)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def ways(count, dimensions, folder, compute=None, copies=2):
    return ViewFeatures(
        folder, count, copies, compute or (lambda index, _, rng: rng.random((len(index), dimensions), dtype=np.float32))
    )


@pytest.mark.parametrize("name", ["weak", "strong", "contrast", "protocol"])
def test_values_are_the_features_of_the_augmented_images(digits, cache, name):
    inputs = frozen(digits)
    index = np.array([130, 3, 299, 131, 3])
    found = inputs.augmented(index, name, np.random.default_rng(6), CPU)
    copies = np.random.default_rng(6).integers(0, 2, 5)
    assert len(set(copies[:4])) == 2
    model = build_classifier("small_cnn", 1, seed=0).eval()
    for place, (image, copy) in enumerate(zip(index, copies, strict=True)):
        chunk = image // CHUNK
        rng = np.random.default_rng(np.random.SeedSequence([copy, chunk, *name.encode()]))
        chunk_images = digits.batch(np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, 300)), CPU)
        with torch.no_grad():
            expected = model.features(augment(chunk_images, name, rng, mirror=False))[image % CHUNK]
        torch.testing.assert_close(found[place], expected)
    plain = inputs.batch(index, CPU)
    assert not torch.allclose(found, plain, atol=1e-3)
    assert torch.equal(inputs.augmented(index, "none", np.random.default_rng(6), CPU), plain)
    assert inputs.augmented(index[:0], name, np.random.default_rng(6), CPU).shape == (0, 128)


def test_only_what_is_asked_for_is_computed_and_once(digits, cache, monkeypatch):
    inputs, seen = frozen(digits), []
    inputs.prepare_views(np.array([5, 290]), ("weak", "none", "weak"), lambda done, total: seen.append((done, total)))
    assert seen == [(128, 344), (172, 344), (300, 344), (344, 344)]
    assert [file.split("/", 1)[1] for file in files(cache)] == [
        f"weak-{copy}/{chunk}.npy" for copy in (0, 1) for chunk in ("00000", "00002")
    ]
    first = inputs.augmented(np.arange(256, 300), "weak", np.random.default_rng(1), CPU)
    again = frozen(digits)
    monkeypatch.setattr(again.pixels, "batch", lambda *_: pytest.fail("computed again"))
    again.prepare_views(np.array([5, 290]), ("weak",), lambda *_: pytest.fail("nothing to do"))
    assert torch.equal(again.augmented(np.arange(256, 300), "weak", np.random.default_rng(1), CPU), first)


def test_copies_differ_and_more_of_them_leave_the_first_as_they_are(digits, cache):
    few, index = frozen(digits, copies=1), np.arange(40)
    first = few.augmented(index, "weak", np.random.default_rng(0), CPU)
    more = frozen(digits, copies=3)
    drawn = torch.stack([more.augmented(index, "weak", np.random.default_rng(seed), CPU) for seed in range(20)])
    assert ((drawn == first).all(dim=2).any(dim=0)).float().mean() > 0.95
    assert (drawn.std(dim=0).amax(dim=1) > 0).all()
    assert len({tuple(row) for row in drawn[:, 0].tolist()}) == 3


def test_another_backbone_has_other_files(digits, cache):
    for seed in (0, 1):
        FrozenInputs(digits, ModelConfig(view_copies=1), seed, CPU).prepare_views(np.arange(3), ("weak",))
    assert len(list(cache.iterdir())) == 2


def test_plain_features_are_untouched_by_views(digits, cache):
    digest = frozen(digits).digest()
    inputs = frozen(digits, copies=1)
    inputs.prepare_views(np.arange(300), ("strong",))
    assert inputs.digest() == digest


@pytest.mark.parametrize("kind", [KeyboardInterrupt, OSError])
def test_an_interruption_leaves_nothing_half_written(tmp_path, kind, monkeypatch):
    def compute(index, _, rng):
        if index[0] == CHUNK and broken:
            raise kind("stopped")
        return rng.random((len(index), 4), dtype=np.float32)

    broken, store = True, ways(300, 4, tmp_path, compute)
    with pytest.raises(kind):
        store.prepare(np.arange(300), ("weak",))
    assert files(tmp_path) == ["weak-0/00000.npy"]
    broken, counts = False, []
    store.prepare(np.arange(300), ("weak",), lambda *now: counts.append(now))
    assert counts[-1] == (472, 472)
    assert len(files(tmp_path)) == 6


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    def half(file, array):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("experiments.view_features.np.save", half)
        with pytest.raises(DataError, match="No space left"):
            ways(10, 4, tmp_path).prepare(np.arange(10), ("weak",))
    assert files(tmp_path) == []
    (tmp_path / "weak-0").rmdir()
    (tmp_path / "weak-0").write_text("in the way")
    with pytest.raises(DataError, match="TAILGEOM_CACHE"):
        ways(10, 4, tmp_path).prepare(np.arange(10), ("weak",))


def test_processes_that_compute_at_once_share_the_chunks(tmp_path):
    """Threads stand for processes: locks belong to open files. Every chunk is computed by one of them, both work."""
    done = {"a": [], "b": []}

    def worker(which):
        def compute(index, name, rng):
            time.sleep(0.02)
            done[which].append((name, int(index[0])))
            return rng.random((len(index), 4), dtype=np.float32)

        return threading.Thread(
            target=lambda: ways(10 * CHUNK, 4, tmp_path, compute, copies=1).prepare(
                np.arange(10 * CHUNK), ("weak", "strong")
            )
        )

    both = [worker(which) for which in done]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(done["a"] + done["b"]) == len(set(done["a"] + done["b"])) == 20
    assert min(map(len, done.values())) > 2
    assert len(files(tmp_path)) == 20


def test_digits_are_not_mirrored_and_photographs_are(digits, tiny_tree):
    assert not digits.mirror
    photographs, _ = open_catalogue(DataConfig(dataset="mine", data=tiny_tree), None)
    inputs = ImageInputs(photographs, 16)
    assert inputs.mirror
    for source in (digits, inputs):
        index, rng = np.arange(40), np.random.default_rng
        expected = augment(source.batch(index, CPU), "weak", rng(0), mirror=source.mirror)
        assert torch.equal(source.augmented(index, "weak", rng(0), CPU), expected)
        source.prepare_views(index, ("weak", "none"))


def test_features_of_an_artifact_have_one_view():
    inputs = FeatureInputs(np.random.default_rng(0).random((6, 3)))
    index, rng = np.array([4, 1]), np.random.default_rng(0)
    assert torch.equal(inputs.augmented(index, "none", rng, CPU), inputs.features[index])
    inputs.prepare_views(index, ("none",))
    for ask in (
        lambda: inputs.augmented(index, "weak", rng, CPU),
        lambda: inputs.prepare_views(index, ("none", "weak")),
    ):
        with pytest.raises(UsageError, match="Features of an artifact have one view"):
            ask()


def test_unknown_names_are_refused_before_anything_is_computed(digits, cache, monkeypatch):
    inputs = frozen(digits)
    monkeypatch.setattr(module.ViewFeatures, "prepare", lambda *_: pytest.fail("computed"))
    for source in (inputs, digits):
        with pytest.raises(UsageError, match="Unknown augmentation 'wrong'"):
            source.augmented(np.arange(3), "wrong", np.random.default_rng(0), CPU)
        with pytest.raises(UsageError, match="Unknown augmentation 'wrong'"):
            source.prepare_views(np.arange(3), ("weak", "wrong"))
    assert not cache.exists()


def test_a_folded_resnet_has_the_same_features():
    from torch import nn

    model = build_classifier("resnet18", 3, seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor, low in (
                (norm.weight, 0.5),
                (norm.bias, -0.5),
                (norm.running_mean, -0.5),
                (norm.running_var, 0.5),
            ):
                tensor.data.uniform_(low, low + 1, generator=generator)
    fast, images = folded(model), torch.rand((4, 3, 48, 48), generator=generator)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in fast.modules())
    assert any(isinstance(part, nn.BatchNorm2d) for part in model.modules())
    with torch.inference_mode():
        expected = model.features(images)
        found = fast.features(images)
    assert ((found - expected).norm(dim=1) / expected.norm(dim=1)).max() < 1e-5
    small = build_classifier("small_cnn", 3, seed=0).eval()
    assert torch.equal(folded(small).features(images), small.features(images))


def test_bf16_views_are_other_files_and_nearly_the_same_features(digits, cache):
    index, rngs = np.arange(40), (np.random.default_rng(0) for _ in range(2))
    exact, half = (
        frozen(digits, view_precision=precision).augmented(index, "strong", rng, CPU)
        for precision, rng in zip(("fp32", "bf16"), rngs, strict=True)
    )
    assert half.dtype == torch.float32
    assert len(list(cache.iterdir())) == 2
    assert 0 < float((half - exact).norm() / exact.norm()) < 0.05


def test_inputs_are_freed_with_their_last_reference(digits, cache):
    inputs = frozen(digits, copies=1)
    inputs.augmented(np.arange(3), "weak", np.random.default_rng(0), CPU)
    gone = weakref.ref(inputs)
    gc.disable()
    try:
        del inputs
        assert gone() is None
    finally:
        gc.enable()
