"""Models: one interface, seeded, BatchNorm frozen, weights read strictly and never unpickled."""

import lzma
import pickle

import pytest
import torch
from safetensors.torch import save_file

from experiments.models import build_classifier
from experiments.models.resnet import ResNet50, read_weights
from geometry.errors import DataError, UsageError


def test_logits_are_the_head_on_the_features():
    model = build_classifier("small_cnn", 7, seed=0).eval()
    images = torch.rand(3, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    features = model.features(images)
    assert features.shape == (3, 128)
    torch.testing.assert_close(model(images), features @ model.head.weight.T + model.head.bias)


def test_same_seed_same_parameters_and_the_global_state_is_left_alone():
    before = torch.get_rng_state()
    first, second, third = (build_classifier("small_cnn", 3, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], third["head.weight"])


def test_features_of_one_image_do_not_depend_on_its_batch():
    model = build_classifier("small_cnn", 3, seed=0).train()
    images = torch.rand(4, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.features(images)[:1], model.features(images[:1]))


def test_feature_vectors_pass_through_unchanged():
    model = build_classifier("features", 3, seed=0, num_inputs=5)
    vectors = torch.arange(10.0).reshape(2, 5)
    assert torch.equal(model.features(vectors), vectors)


def test_resnet50_trains_with_frozen_batchnorm():
    model = build_classifier("resnet50", 4, seed=0)
    model.train()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    norm = next(module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d))
    statistics, weights = norm.running_mean.clone(), model.head.weight.detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(model(images), torch.tensor([0, 3]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert not norm.training
    assert torch.equal(norm.running_mean, statistics)
    assert not torch.equal(model.head.weight, weights)
    assert model.features(images).shape == (2, 2048)


def test_weights_are_read_strictly(tmp_path):
    from torchvision.models import resnet50

    with torch.random.fork_rng():
        torch.manual_seed(5)
        state = resnet50().state_dict()
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        loaded = ResNet50(str(tmp_path / name)).network.conv1.weight
        assert torch.equal(loaded, state["conv1.weight"])
    del state["layer1.0.conv1.weight"]
    save_file(state, tmp_path / "part.safetensors")
    with pytest.raises(DataError, match="not those"):
        ResNet50(str(tmp_path / "part.safetensors"))


def test_compressed_weights(tmp_path):
    save_file({"x": torch.arange(3.0)}, tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors.xz").write_bytes(lzma.compress((tmp_path / "w.safetensors").read_bytes()))
    assert read_weights(tmp_path / "w.safetensors.xz")["x"].tolist() == [0, 1, 2]


def test_weights_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="no file"):
        ResNet50(str(tmp_path / "none.pth"))

    class Trap:
        def __reduce__(self):
            return (eval, ("1/0",))

    (tmp_path / "trap.pth").write_bytes(pickle.dumps(Trap(), protocol=2))
    (tmp_path / "short.safetensors").write_bytes(b"\x10\x00")
    (tmp_path / "short.safetensors.xz").write_bytes(b"no xz")
    for name in ("trap.pth", "short.safetensors", "short.safetensors.xz"):
        with pytest.raises(DataError, match=name):
            read_weights(tmp_path / name)


def test_unknown_backbone():
    with pytest.raises(UsageError, match="resnet50"):
        build_classifier("resnet", 3, seed=0)
