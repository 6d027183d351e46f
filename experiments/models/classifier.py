"""A backbone and a linear head: the one model interface of training, extraction and probes."""

import torch
from torch import Tensor, nn

from experiments.config import BACKBONES
from experiments.models.small_cnn import SmallCNN
from geometry.errors import UsageError

# Pixel statistics the backbones expect, for inputs in [0, 1].
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Classifier(nn.Module):
    """``logits = head(backbone(normalised inputs))``.

    ``features(x)`` is exactly what the linear head reads, so boundary distances in feature space are exact.
    """

    def __init__(self, backbone: nn.Module, num_features: int, num_classes: int, *, images: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(num_features, num_classes)
        self.images = images
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1), persistent=False)

    def features(self, inputs: Tensor) -> Tensor:
        """``(N, ...)`` inputs (images in [0, 1], or feature vectors) to ``(N, D)`` features."""
        return self.backbone((inputs - self.mean) / self.std if self.images else inputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs to ``(N, K)`` logits."""
        return self.head(self.features(inputs))


def build_backbone(name: str, *, weights: str = "none", num_inputs: int | None = None) -> tuple[nn.Module, int]:
    """A backbone by name and its number of features.

    Raises:
        UsageError: unknown name.
    """
    if name == "small_cnn":
        return SmallCNN(), SmallCNN.num_features
    if name == "resnet50":
        from experiments.models.resnet import ResNet50

        return ResNet50(weights), ResNet50.num_features
    if name == "features" and num_inputs is not None:
        return nn.Identity(), num_inputs
    raise UsageError(f"Unknown backbone {name!r}; known: {', '.join(BACKBONES)}.")


def build_classifier(
    name: str, num_classes: int, *, seed: int, weights: str = "none", num_inputs: int | None = None
) -> Classifier:
    """A freshly initialised classifier; the same seed gives the same parameters.

    Args:
        name: ``small_cnn``, ``resnet50``, or ``features`` for inputs that are feature vectors already.
        num_classes: K.
        seed: of the initialisation.
        weights: pretrained weights of ``resnet50``: a path, ``imagenet`` or ``none``.
        num_inputs: dimension of the feature vectors for ``features``.

    Raises:
        UsageError: unknown backbone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        backbone, num_features = build_backbone(name, weights=weights, num_inputs=num_inputs)
        return Classifier(backbone, num_features, num_classes, images=name != "features")
