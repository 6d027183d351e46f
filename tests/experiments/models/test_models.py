"""Models: one interface, seeded, BatchNorm frozen, weights read strictly and never unpickled."""

import lzma
import pickle
import sys
import types

import pytest
import torch
from safetensors.torch import save_file

from experiments.models import build_classifier
from experiments.models.resnet import ResNet
from experiments.models.weights import read_weights, weights_record
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
        loaded = ResNet(50, str(tmp_path / name)).network.conv1.weight
        assert torch.equal(loaded, state["conv1.weight"])
    del state["layer1.0.conv1.weight"]
    save_file(state, tmp_path / "part.safetensors")
    with pytest.raises(DataError, match="not those"):
        ResNet(50, str(tmp_path / "part.safetensors"))


def test_compressed_weights(tmp_path):
    save_file({"x": torch.arange(3.0)}, tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors.xz").write_bytes(lzma.compress((tmp_path / "w.safetensors").read_bytes()))
    assert read_weights(tmp_path / "w.safetensors.xz")["x"].tolist() == [0, 1, 2]


def test_weights_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="no file"):
        ResNet(50, str(tmp_path / "none.pth"))

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
    with pytest.raises(UsageError, match="no pretrained weights"):
        build_classifier("small_cnn", 3, seed=0, weights="some.pth")


@pytest.mark.parametrize(("name", "dimensions", "side"), [("resnet18", 512, 32), ("vit_b16", 768, 224)])
def test_torchvisions_other_backbones(name, dimensions, side):
    model = build_classifier(name, 3, seed=0).train()
    assert not any(m.training for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    with torch.no_grad():
        assert model.features(torch.rand(1, 3, side, side)).shape == (1, dimensions)


def test_vit_reads_one_size():
    model = build_classifier("vit_b16", 3, seed=0)
    with pytest.raises(UsageError, match="--image-size 224"):
        model(torch.rand(1, 3, 64, 64))


def test_projections_are_unit_vectors_of_a_head_beside_the_linear_one():
    plain, model = (build_classifier("features", 3, seed=0, num_inputs=5, projection=size) for size in (0, 4))
    features = torch.rand(6, 5, generator=torch.Generator().manual_seed(0))
    for each, size in ((plain, 5), (model, 4)):
        assert each.project(features).shape == (6, size)
        torch.testing.assert_close(each.project(features).norm(dim=1), torch.ones(6))
    torch.testing.assert_close(plain.project(features), features / features.norm(dim=1, keepdim=True))
    expected = model.projection[2](model.projection[0](features).relu())
    torch.testing.assert_close(model.project(features), expected / expected.norm(dim=1, keepdim=True))
    assert torch.equal(plain.head.weight, model.head.weight)
    assert not any("projection" in name for name in plain.state_dict())


@pytest.mark.parametrize("finetune", ["all", "head"])
def test_a_backbone_that_is_not_trained_stays_as_it_is(finetune):
    model = build_classifier("small_cnn", 3, seed=0, finetune=finetune).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    torch.nn.functional.cross_entropy(model(torch.rand(4, 3, 28, 28)), torch.tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    moved = {name.split(".")[0] for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == ({"backbone", "head"} if finetune == "all" else {"head"})
    assert model.backbone.training == (finetune == "all")


class FakeNetwork(torch.nn.Module):
    """What the backbone uses of a timm model."""

    def __init__(self):
        super().__init__()
        self.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
        self.num_features = 3
        self.norm = torch.nn.BatchNorm2d(3)

    def forward(self, images):
        return self.norm(images).mean(dim=(2, 3))


def test_timm_models_bring_their_own_pixel_statistics(monkeypatch):
    asked = []

    def create_model(name, pretrained, num_classes):
        asked.append((name, pretrained, num_classes))
        if name != "tiny":
            raise RuntimeError("Unknown model (huge)")
        return FakeNetwork()

    monkeypatch.setitem(sys.modules, "timm", types.SimpleNamespace(create_model=create_model))
    model = build_classifier("timm:tiny", 2, seed=0, weights="imagenet").train()
    assert asked == [("tiny", True, 0)]
    assert not model.backbone.network.norm.training
    images = torch.rand(2, 3, 8, 8)
    expected = ((images - 0.5) / 0.25).mean(dim=(2, 3))
    torch.testing.assert_close(model.features(images), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(UsageError, match="Unknown model"):
        build_classifier("timm:huge", 2, seed=0)


def test_without_timm_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"tailgeom\[timm\]"):
        build_classifier("timm:tiny", 2, seed=0)


def test_weights_are_known_by_their_content(tmp_path):
    file = tmp_path / "weights.pth"
    file.write_bytes(b"abc")
    of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, example B.1
    assert weights_record(str(file)) == {"given": str(file), "sha256": of_abc}
    assert weights_record("imagenet") == {"given": "imagenet"}
    with pytest.raises(DataError, match=r"Cannot read the weights at .*none\.pth"):
        weights_record(str(tmp_path / "none.pth"))
