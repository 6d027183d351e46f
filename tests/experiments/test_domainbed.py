"""DomainBed checkpoints become artifacts; a pickle that does more than hold weights is refused and never run."""

import os
import pickle
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import resnet18, resnet50

from experiments.data_config import DataConfig
from experiments.domainbed import data_of, read_checkpoint, to_classifier
from experiments.models.weights import read_weights
from geometry.artifact import load
from geometry.errors import DataError, UsageError

WEIGHTS, PACS = (os.environ.get(f"TAILGEOM_TEST_{name}") for name in ("WEIGHTS", "PACS"))
DATA = ("--setting", "balanced", "--validation", "2", "--image-size", "32", "--device", "cpu")


class Featurizer(nn.Module):
    """DomainBed's networks.ResNet: the names of its parameters are the format."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.network.fc = nn.Identity()
        self.dropout = nn.Dropout(0.0)

    def forward(self, images):
        return self.dropout(self.network(images))


class ERM(nn.Module):
    """DomainBed's algorithms.ERM, with its doubled names."""

    def __init__(self, classes, network):
        super().__init__()
        size = network.fc.in_features
        self.featurizer = Featurizer(network)
        self.classifier = nn.Linear(size, classes)
        self.network = nn.Sequential(self.featurizer, self.classifier)


class NDCL(ERM):
    """The release's algorithm beside ERM: a counter that it never uses."""

    def __init__(self, classes, network):
        super().__init__(classes, network)
        self.register_buffer("update_count", torch.tensor([0]))


@pytest.fixture(scope="module")
def algorithm():
    torch.manual_seed(0)
    found = ERM(2, resnet18())
    for module in found.modules():  # statistics that differ from the defaults, so that forgetting them shows
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return found.eval()


def contents(algorithm, **changes):
    return {
        "args": {"dataset": "tree", "algorithm": "NDCL", "test_envs": [1], "seed": 0},
        "model_input_shape": (3, 224, 224),
        "model_num_classes": 2,
        "model_num_domains": 2,
        "model_hparams": {
            "lr": np.float64(5e-5),
            "batch_size": np.int64(32),
            "resnet18": True,
            "dropout": np.bool_(False),
        },
        "model_dict": algorithm.state_dict(),
    } | changes


@pytest.fixture
def saved(algorithm, tmp_path):
    def save(**changes):
        torch.save(contents(algorithm, **changes), tmp_path / "model.pkl")
        return tmp_path / "model.pkl"

    return save


def test_an_artifact_with_the_checkpoints_own_numbers(tailgeom, algorithm, saved, tiny_tree, tmp_path):
    out = tmp_path / "artifact"
    code, _, err = tailgeom("import-domainbed", saved(), "--data", tiny_tree, "--out", out, *DATA)
    assert code == 0, err
    assert "held out: dusk" in err  # test_envs [1] of day, dusk, night
    artifact = load(out)
    assert artifact.held_out == "dusk"
    assert artifact.class_names == ("cat", "dog")
    assert artifact.provenance["domainbed"]["hparams"]["lr"] == 5e-5
    assert artifact.provenance["domainbed"]["args"]["algorithm"] == "NDCL"
    from PIL import Image

    # DomainBed's own evaluation: Resize((32, 32)) is the identity here, then ImageNet's statistics.
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    images = np.stack([np.asarray(Image.open(tiny_tree / name)) for name in artifact.sample_ids]) / 255
    batch = torch.tensor((images - mean) / std, dtype=torch.float32).permute(0, 3, 1, 2)
    with torch.no_grad():
        features = algorithm.featurizer(batch)
        logits = algorithm.network(batch)
    assert artifact.features == pytest.approx(features.numpy(), abs=1e-4)
    assert artifact.logits == pytest.approx(logits.numpy(), abs=1e-4)
    assert artifact.head_weight == pytest.approx(algorithm.classifier.weight.detach().numpy())
    assert tailgeom("measure", out, "--json")[0] == 0


@pytest.mark.parametrize("kind", [ERM, NDCL])
def test_a_resnet50_of_domainbed_and_of_the_release(saved, kind):
    torch.manual_seed(0)
    theirs = kind(7, resnet50()).eval()
    name, ours = to_classifier(read_checkpoint(saved(model_dict=theirs.state_dict(), model_num_classes=7)))
    assert name == "resnet50"
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = theirs.network((images - ours.mean) / ours.std)
        torch.testing.assert_close(ours.eval()(images), expected)


@pytest.mark.skipif(
    not (WEIGHTS and PACS), reason="TAILGEOM_TEST_WEIGHTS (a ResNet-50) and TAILGEOM_TEST_PACS (root of PACS) not set"
)
def test_real_photographs_through_a_real_resnet50(tailgeom, saved, tmp_path):
    """The features of the artifact are those of DomainBed's own evaluation, Pillow's resizing included."""
    from PIL import Image
    from torchvision.transforms import v2

    for folder in sorted(Path(PACS).glob("PACS/*/*")):
        few = tmp_path / "few" / folder.relative_to(PACS)
        few.mkdir(parents=True)
        for image in sorted(folder.iterdir())[:3]:
            shutil.copy(image, few)
    network = resnet50()
    network.load_state_dict(read_weights(Path(WEIGHTS)))
    theirs = NDCL(7, network).eval()
    args = {"dataset": "PACS", "algorithm": "NDCL", "test_envs": [3], "type": "TotalHeavyTail", "seed": 0}
    path = saved(args=args, model_num_classes=7, model_num_domains=3, model_dict=theirs.state_dict())
    words = ("--setting", "balanced", "--validation", "1", "--device", "cpu", "--out", tmp_path / "artifact")
    code, _, err = tailgeom("import-domainbed", path, "--data", tmp_path / "few", *words)
    assert code == 0, err
    artifact = load(tmp_path / "artifact")
    assert artifact.held_out == "sketch"
    transform = v2.Compose(
        [
            v2.Resize((224, 224)),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    some = range(0, len(artifact.labels), 7)
    images = [Image.open(tmp_path / "few" / "PACS" / artifact.sample_ids[i]).convert("RGB") for i in some]
    with torch.no_grad():
        features = theirs.featurizer(torch.stack([transform(image) for image in images])).numpy()
    assert artifact.features[list(some)] == pytest.approx(features, abs=1e-4)


def test_either_of_the_doubled_names_will_do(algorithm, saved):
    state = algorithm.state_dict()
    for prefix in ("featurizer.", "network."):
        single = {name: tensor for name, tensor in state.items() if name.startswith(prefix)}
        if prefix == "featurizer.":
            single |= {name: tensor for name, tensor in state.items() if name.startswith("classifier.")}
        name, model = to_classifier(read_checkpoint(saved(model_dict={**single, "update_count": torch.tensor([0])})))
        assert name == "resnet18"
        assert torch.equal(model.head.weight, state["classifier.weight"])
        assert torch.equal(model.backbone.network.conv1.weight, state["featurizer.network.conv1.weight"])


def test_numpy_scalars_of_both_generations_are_let_through(saved):
    path = saved()
    found = read_checkpoint(path)
    assert found.hparams == {"lr": 5e-5, "batch_size": 32, "resnet18": True, "dropout": False}
    for old, new in ((b"numpy._core.multiarray", b"numpy.core.multiarray"),):
        import zipfile

        renamed = path.with_name("numpy1.pkl")
        with zipfile.ZipFile(path) as before, zipfile.ZipFile(renamed, "w", zipfile.ZIP_STORED) as after:
            for entry in before.infolist():
                text = before.read(entry)
                if entry.filename.endswith("data.pkl"):
                    # A pickled name is preceded by its length (BINUNICODE) or ended by a newline (GLOBAL).
                    assert b"c" + old + b"\n" in text
                    text = text.replace(b"c" + old + b"\n", b"c" + new + b"\n")
                after.writestr(entry, text)
        assert read_checkpoint(renamed).hparams == found.hparams


class Payload:
    """Unpickling this makes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


@pytest.mark.parametrize("place", ["args", "model_hparams", "model_dict", "whole", "bare"])
def test_a_payload_is_refused_and_never_run(tailgeom, algorithm, saved, tiny_tree, tmp_path, place):
    marker = tmp_path / "ran"
    path = tmp_path / "model.pkl"
    if place == "whole":
        torch.save(Payload(marker), path)
    elif place == "bare":
        path.write_bytes(pickle.dumps(Payload(marker)))
    else:
        path = saved(**{place: {"x": Payload(marker)}})
    code, _, err = tailgeom("import-domainbed", path, "--data", tiny_tree, "--out", tmp_path / "artifact", *DATA)
    assert code == 3
    assert not marker.exists()
    assert "--trust-pickle" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "artifact").exists()


def test_trust_has_to_be_asked_for(algorithm, saved):
    path = saved(args=Namespace(dataset="tree", test_envs=[1]))
    with pytest.raises(DataError, match=r"argparse\.Namespace.*nothing of it was run.*--trust-pickle"):
        read_checkpoint(path)
    assert read_checkpoint(path, trust_pickle=True).args == {"dataset": "tree", "test_envs": [1]}


def test_the_checkpoint_knows_its_data(saved, tiny_tree):
    checkpoint = read_checkpoint(saved())
    own = data_of(checkpoint, DataConfig(data=tiny_tree))
    assert (own.dataset, own.test_domain) == ("tree", "dusk")
    assert data_of(checkpoint, DataConfig(data=tiny_tree, test_domain="dusk")).test_domain == "dusk"
    with pytest.raises(UsageError, match="dusk held out"):
        data_of(checkpoint, DataConfig(data=tiny_tree, test_domain="day"))
    other = data_of(checkpoint, DataConfig(dataset="mine", data=tiny_tree, test_domain="day"))
    assert (other.dataset, other.test_domain) == ("mine", "day")
    silent = read_checkpoint(saved(args={}))
    with pytest.raises(UsageError, match="--dataset"):
        data_of(silent, DataConfig(data=tiny_tree))


def broken(algorithm):
    state = algorithm.state_dict()
    head = {name: tensor for name, tensor in state.items() if name.startswith("classifier.")}
    cnn = {"featurizer.conv9.weight": torch.zeros(1), **head}
    deep = {name: tensor for name, tensor in state.items() if name.startswith("featurizer.")}
    deep |= {"classifier.0.weight": torch.zeros(2, 512), "classifier.2.weight": torch.zeros(2, 2)}
    cut = {name: tensor for name, tensor in state.items() if "layer4" not in name}
    wide = {**state, "classifier.weight": torch.zeros(2, 300)}
    return [
        ({"model_dict": cnn}, "ResNet featurizer"),
        ({"model_dict": deep}, "one linear classifier"),
        ({"model_dict": cut}, "not those of a resnet18"),
        ({"model_dict": wide}, "got 300"),
        ({"model_dict": {"a": 1}}, "tensors by name"),
    ]


@pytest.mark.parametrize("case", range(5))
def test_other_networks_are_named(algorithm, saved, case):
    changes, said = broken(algorithm)[case]
    with pytest.raises(DataError, match=said):
        to_classifier(read_checkpoint(saved(**changes)))


def test_other_files_are_named(tailgeom, saved, tiny_tree, tmp_path):
    place = ("--data", tiny_tree, "--out", tmp_path / "artifact", *DATA)
    text = tmp_path / "text.pkl"
    text.write_text("hello")
    torch.save({"state": 1}, tmp_path / "other.pkl")
    for path, said in (
        (tmp_path / "none.pkl", "found no file"),
        (text, "text.pkl"),
        (tmp_path / "other.pkl", "no DomainBed"),
    ):
        code, _, err = tailgeom("import-domainbed", path, *place)
        assert code == 3
        assert said in err
        assert err.count("\n") == 1
    code, _, err = tailgeom("import-domainbed", saved(model_num_classes=3), *place)
    assert code == 3
    assert err.count("\n") == 1
    assert tailgeom("import-domainbed", saved())[0] == 2
    code, _, err = tailgeom("import-domainbed", saved(), "--out", tmp_path / "artifact")
    assert code == 2
    assert "--data ROOT" in err
