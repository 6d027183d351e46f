"""Any model of timm as a backbone; timm is an optional extra."""

from pathlib import Path

import torch
from torch import Tensor

from experiments.models.frozen_norm import FrozenNorm
from experiments.models.weights import load_strictly
from geometry.errors import UsageError


class TimmBackbone(FrozenNorm):
    """A timm model without its classifier, pooled as timm pools it: images to ``(N, num_features)``.

    ``pixel_mean`` and ``pixel_std`` are those of the model's own pretraining.

    Args:
        name: timm's, for example ``convnext_tiny.fb_in1k``.
        weights: a file with timm's layout (of the model without classifier), ``imagenet`` (timm's own pretrained
            weights for that name, whatever they were trained on, fetched by timm) or ``none``.

    Raises:
        UsageError: timm is not installed, or does not know the name.
    """

    def __init__(self, name: str, weights: str) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            raise UsageError(
                f'The backbone timm:{name} needs timm, which is not installed; pip install "tailgeom[timm]".'
            ) from error
        try:
            self.network = timm.create_model(name, pretrained=weights == "imagenet", num_classes=0)
        except RuntimeError as error:
            raise UsageError(f"timm cannot make {name!r}: {str(error).splitlines()[0].rstrip('.')}.") from error
        if weights not in ("imagenet", "none"):
            load_strictly(self.network, Path(weights), f"timm's {name}")
        pretraining = self.network.pretrained_cfg
        self.pixel_mean, self.pixel_std = tuple(pretraining["mean"]), tuple(pretraining["std"])
        self.num_features = self._width()

    def _width(self) -> int:
        # `num_features` of timm is not always what comes out (a head of its own may follow the pooling).
        return int(getattr(self.network, "head_hidden_size", None) or self.network.num_features)

    def forward(self, images: Tensor) -> Tensor:
        """Images, normalised with the model's own statistics, to features."""
        return torch.flatten(self.network(images), 1)
