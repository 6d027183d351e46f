"""A small convolutional network for small images: minutes on a CPU where ResNet-50 needs a GPU."""

from itertools import pairwise

from torch import Tensor, nn

from experiments.models.image_backbone import ImageBackbone


class SmallCNN(ImageBackbone):
    """Three convolution blocks and global average pooling; 128 features, no BatchNorm (GroupNorm instead).

    GroupNorm has no running statistics, so features do not depend on which domains shared a batch.
    """

    num_features = 128

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        widths = (channels, 32, 64, self.num_features)
        blocks: list[nn.Module] = []
        for inside, outside in pairwise(widths):
            blocks += [nn.Conv2d(inside, outside, 3, padding=1), nn.GroupNorm(8, outside), nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(N, 3, H, W)`` to features ``(N, 128)``."""
        return self.body(images)
