"""The cosine classifier: linear on features of length one, so that everything that reads a linear head still holds."""

import pytest
import torch
from torch.nn.functional import normalize

from experiments.models import build_classifier
from experiments.models.classifier import COSINE_SCALE


@pytest.fixture
def model():
    return build_classifier("small_cnn", 5, seed=0, cosine=True, projection=16, projection_norm="batch")


@pytest.fixture
def images():
    return torch.rand(6, 3, 28, 28, generator=torch.Generator().manual_seed(0))


def test_logits_are_scaled_cosines_of_features_and_rows(model, images):
    features = model.backbone((images - model.mean) / model.std)
    cosines = normalize(features, dim=1) @ normalize(model.class_rows, dim=1).T
    torch.testing.assert_close(model(images), COSINE_SCALE * cosines)


def test_what_is_stored_is_a_linear_head_on_unit_features(model, images):
    features = model.features(images)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(model(images), features @ model.head.weight.T)
    torch.testing.assert_close(model.head.weight.norm(dim=1), torch.full((5,), COSINE_SCALE))
    assert not model.head.bias.any()


def test_training_moves_the_rows_and_never_the_bias(model, images):
    before = model.class_rows.detach().clone()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    torch.nn.functional.cross_entropy(model(images), torch.tensor([0, 1, 2, 3, 4, 0])).backward()
    optimizer.step()
    assert not torch.equal(model.class_rows, before)
    assert not model.head.bias.any()


def test_its_state_is_restored_whole(model, images):
    other = build_classifier("small_cnn", 5, seed=1, cosine=True, projection=16, projection_norm="batch")
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.eval()(images), model.eval()(images))


def test_a_linear_classifier_is_what_it_was(images):
    model = build_classifier("small_cnn", 5, seed=0)
    assert model.class_rows is model.head.weight
    assert {name for name in model.state_dict() if name.startswith("head")} == {"head.weight", "head.bias"}


def test_batchnorm_stands_between_the_layers_of_the_projection_head(model):
    kinds = [type(layer).__name__ for layer in model.projection]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    plain = build_classifier("small_cnn", 5, seed=0, projection=16).projection
    assert [type(layer).__name__ for layer in plain] == ["Linear", "ReLU", "Linear"]
