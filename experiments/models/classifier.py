"""A backbone and a linear head: the one model interface of training, extraction and probes."""

from contextlib import nullcontext
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrize import register_parametrization

from experiments.models.backbones import build_backbone
from experiments.models.image_backbone import ImageBackbone

COSINE_SCALE = 30.0


class UnitRows(nn.Module):
    """Rows of one length, whatever the length of what is trained: ``scale w_k / |w_k|``."""

    def forward(self, rows: Tensor) -> Tensor:
        """``(K, D)`` to ``(K, D)``."""
        return COSINE_SCALE * normalize(rows, dim=1)


class Classifier(nn.Module):
    """``logits = head(backbone(normalised inputs))``, and a projection head beside the linear one where wanted.

    ``features(x)`` is exactly what the linear head reads, so boundary distances in feature space are exact. A cosine
    classifier (scale 30, as BCL and ECL's predecessor train it) is linear on features of length one: ``features`` are
    then unit vectors, ``head.weight`` has rows of length 30, and its bias stays zero.

    Args:
        backbone: inputs to ``(N, num_features)``; an :class:`ImageBackbone` where inputs are images.
        num_features: D.
        num_classes: K.
        images: whether inputs are images, to be normalised.
        projection: dimension P of the projection head, 0 for none.
        projection_norm: ``batch`` for BatchNorm after the projection head's first layer, else ``none``.
        cosine: whether the classifier is a cosine classifier.
        train_backbone: whether gradients reach the backbone; without, it also stays in evaluation mode.
    """

    def __init__(
        self,
        backbone: ImageBackbone | nn.Identity,
        num_features: int,
        num_classes: int,
        *,
        images: bool,
        projection: int = 0,
        projection_norm: str = "none",
        cosine: bool = False,
        train_backbone: bool = True,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(num_features, num_classes)
        if isinstance(backbone, ImageBackbone):
            backbone.initialise(self.head)
        self.cosine = cosine
        if cosine:
            nn.init.zeros_(self.head.bias).requires_grad_(False)
            register_parametrization(self.head, "weight", UnitRows())
        self.projection = _projection_head(num_features, projection, projection_norm) if projection else None
        self.images = images
        self.train_backbone = train_backbone
        backbone.requires_grad_(train_backbone)
        if images:
            self.register_buffer("mean", torch.tensor(backbone.pixel_mean).reshape(1, 3, 1, 1), persistent=False)
            self.register_buffer("std", torch.tensor(backbone.pixel_std).reshape(1, 3, 1, 1), persistent=False)

    def features(self, inputs: Tensor) -> Tensor:
        """``(N, ...)`` inputs (images in [0, 1], or feature vectors) to ``(N, D)`` features."""
        with nullcontext() if self.train_backbone else torch.no_grad():
            found = self.backbone((inputs - self.mean) / self.std if self.images else inputs)
            return normalize(found, dim=1) if self.cosine else found

    @property
    def class_rows(self) -> Tensor:
        """``(K, D)`` the classifier's rows as they are trained, before a cosine classifier gives them their length."""
        return self.head.parametrizations.weight.original if self.cosine else self.head.weight

    def project(self, features: Tensor) -> Tensor:
        """``(N, D)`` features to unit vectors: ``(N, P)`` of the projection head, or the features' own directions."""
        return normalize(features if self.projection is None else self.projection(features), dim=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs to ``(N, K)`` logits."""
        return self.head(self.features(inputs))

    def train(self, mode: bool = True) -> Self:
        """Training mode, for all but a backbone that is not trained."""
        super().train(mode)
        if not self.train_backbone:
            self.backbone.eval()
        return self


def _projection_head(num_features: int, dimensions: int, norm: str) -> nn.Sequential:
    """One hidden layer as wide as the features (Chen et al. 2020; Khosla et al. 2020), normalised where BCL does."""
    between = [nn.BatchNorm1d(num_features)] if norm == "batch" else []
    return nn.Sequential(
        nn.Linear(num_features, num_features), *between, nn.ReLU(inplace=True), nn.Linear(num_features, dimensions)
    )


def build_classifier(
    name: str,
    num_classes: int,
    *,
    seed: int,
    weights: str = "none",
    num_inputs: int | None = None,
    projection: int = 0,
    projection_norm: str = "none",
    cosine: bool = False,
    finetune: str = "all",
) -> Classifier:
    """A freshly initialised classifier; the same seed gives the same parameters.

    Args:
        name: a backbone (:func:`experiments.models.backbones.build_backbone`), or ``features`` for inputs that are
            feature vectors already.
        num_classes: K.
        seed: of the initialisation.
        weights: pretrained weights of the backbone: a path, ``imagenet`` or ``none``.
        num_inputs: dimension of the feature vectors for ``features``.
        projection: dimension of the projection head, 0 for none.
        projection_norm: ``none`` or ``batch``.
        cosine: whether the classifier is a cosine classifier.
        finetune: ``all``, or ``head`` or ``none`` for a backbone that stays as it is.

    Raises:
        UsageError: unknown backbone, or one whose package is not installed.
        DataError: weights that are missing or do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        backbone, num_features = build_backbone(name, weights=weights, num_inputs=num_inputs)
        return Classifier(
            backbone,
            num_features,
            num_classes,
            images=name != "features",
            projection=projection,
            projection_norm=projection_norm,
            cosine=cosine,
            train_backbone=finetune == "all",
        )
