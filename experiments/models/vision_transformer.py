"""torchvision's ViT-B/16 without its classifier."""

from pathlib import Path

from torch import Tensor, nn

from experiments.models.image_backbone import ImageBackbone
from experiments.models.weights import load_strictly
from geometry.errors import UsageError

SIDE = 224


class VisionTransformer(ImageBackbone):
    """ViT-B/16: ``(N, 3, 224, 224)`` to the class token, ``(N, 768)`` (Dosovitskiy et al. 2021).

    Args:
        weights: a file with torchvision's layout, ``imagenet`` (IMAGENET1K_V1, fetched by torchvision) or ``none``.
    """

    def __init__(self, weights: str) -> None:
        super().__init__()
        from torchvision.models import vit_b_16

        self.network = vit_b_16(weights="IMAGENET1K_V1" if weights == "imagenet" else None)
        if weights not in ("imagenet", "none"):
            load_strictly(self.network, Path(weights), "torchvision's vit_b_16")
        self.num_features = int(self.network.hidden_dim)
        self.network.heads = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Images, normalised with ImageNet's statistics, to features."""
        if images.shape[-2:] != (SIDE, SIDE):
            side = images.shape[-1]
            raise UsageError(f"vit_b16 reads images of {SIDE} pixels a side, got {side}; set --image-size {SIDE}.")
        return self.network(images)
