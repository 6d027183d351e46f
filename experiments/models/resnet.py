"""torchvision's ResNets without their classifiers, BatchNorm frozen as the protocol has it."""

from pathlib import Path

from torch import Tensor, nn

from experiments.models.frozen_norm import FrozenNorm
from experiments.models.weights import load_strictly


class ResNet(FrozenNorm):
    """ResNet-18 or ResNet-50: ``(N, 3, H, W)`` to ``(N, 512)`` or ``(N, 2048)`` (He et al. 2016).

    Args:
        depth: 18 or 50.
        weights: a file with torchvision's layout, ``imagenet`` (IMAGENET1K_V1, fetched by torchvision) or ``none``.
    """

    def __init__(self, depth: int, weights: str) -> None:
        super().__init__()
        from torchvision.models import get_model

        name = f"resnet{depth}"
        self.network = get_model(name, weights="IMAGENET1K_V1" if weights == "imagenet" else None)
        if weights not in ("imagenet", "none"):
            load_strictly(self.network, Path(weights), f"torchvision's {name}")
        self.num_features = int(self.network.fc.in_features)
        self.network.fc = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Images, normalised with ImageNet's statistics, to features."""
        return self.network(images)
